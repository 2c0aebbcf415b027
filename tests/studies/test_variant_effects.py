"""Effects of a variant of training: by hand, invariant to how often a run is scored, quiet under the null, loud when planted."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from imprint.errors import ConfigError
from imprint.studies.variant_effects import variant_effects

ARMS = {"baseline": "baseline", "treatment": "swapped"}


def table(differences, *, checkpoints=2, stderr=0.02, wobble=0.0, seed=0):
    """One row a task, model, arm and checkpoint; the treated arm lies higher by the difference, and both wobble together."""
    rng = np.random.default_rng(seed)
    rows = []
    for task, models in differences.items():
        for model, difference in enumerate(models):
            for step in range(checkpoints):
                level = 0.6 + wobble * rng.normal()
                for arm, score in (("baseline", level), ("swapped", level + difference)):
                    rows.append(
                        {"task": task, "metric": "share", "model": f"m{model}", "variant": arm, "step": 1000.0 + step}
                        | {"score": score, "stderr": stderr}
                    )
    return pl.DataFrame(rows)


def test_the_numbers_by_hand():
    found = {one.task: one for one in variant_effects(table({"a": [0.01, 0.03], "b": [-0.01, 0.01]}), **ARMS)}
    # in errors of .02: a .5 and 1.5, b -.5 and .5; each task has a sum of squares of .5, on one degree of freedom each
    spread = np.sqrt((0.5 + 0.5) / 2)
    stderr = spread * 0.02 * np.sqrt(2) / 2
    one = found["a"]
    assert one.effect.estimate == pytest.approx(0.02)
    assert one.effect.high - one.effect.estimate == pytest.approx(stats.t.ppf(0.975, 2) * stderr)
    assert one.p == pytest.approx(2 * stats.t.sf(0.02 / stderr, 2))
    assert one.q == pytest.approx(2 * one.p)  # the smaller of two
    assert found["b"].p == pytest.approx(1.0)
    assert one.smallest == pytest.approx((stats.t.ppf(0.975, 2) + stats.t.ppf(0.8, 2)) * stderr)
    assert (one.effect.n, one.effect.unit, one.models[0].checkpoints) == (2, "run", 2)
    assert one.alone.low < one.effect.low  # one degree of freedom instead of two


def test_scoring_a_run_more_often_is_no_more_evidence():
    differences = {f"t{task}": list(np.random.default_rng(task).normal(0, 0.01, 3)) for task in range(6)}
    few, many = (variant_effects(table(differences, checkpoints=number), **ARMS) for number in (1, 40))
    np.testing.assert_allclose([one.p for one in few], [one.p for one in many])
    assert {one.effect.n for one in many} == {3}


def test_swapped_arms_turn_the_sign_and_nothing_else():
    differences = {"a": [0.01, 0.03, 0.02], "b": [-0.01, 0.01, 0.0]}
    forth = variant_effects(table(differences), **ARMS)
    back = variant_effects(table(differences), baseline="swapped", treatment="baseline")
    for one, two in zip(forth, back, strict=True):
        assert one.effect.estimate == pytest.approx(-two.effect.estimate)
        assert one.q == pytest.approx(two.q)


def chance(seed, tasks=20, models=3, spread=0.01):
    rng = np.random.default_rng(seed)
    return {f"t{task:02d}": rng.normal(0, spread, models).tolist() for task in range(tasks)}


def test_chance_alone_is_rarely_called_an_effect():
    """The null, and what breaks it: taken checkpoint by checkpoint, the same tables would be full of effects."""
    wrong = naive = 0
    for seed in range(60):
        differences = chance(seed)
        wrong += any(one.q <= 0.05 for one in variant_effects(table(differences, checkpoints=1), **ARMS))
        many = np.repeat(np.array(list(differences.values())), 10, axis=1)
        naive += bool((stats.ttest_1samp(many, 0.0, axis=1).pvalue <= 0.05 / len(many)).any())
    assert wrong <= 8  # 5 % of 60, and what chance adds to that
    assert naive >= 30


def test_a_planted_effect_is_found_in_its_task_alone():
    differences = chance(3)
    differences["t07"] = [one - 0.06 for one in differences["t07"]]
    found = variant_effects(table(differences), **ARMS)
    assert found[0].task == "t07"
    assert found[0].word == "lowered"
    assert "lowered" in found[0].sentence
    assert {one.word for one in found[1:]} == {"no detectable effect"}
    assert found[0].smallest < 0.06
    assert found[0].as_dict()["effect"]["unit"] == "run"


def test_tasks_without_two_paired_models_are_left_out():
    one_model = table({"b": [0.5]})
    found = variant_effects(pl.concat([table({"a": [0.0, 0.01]}), one_model]), **ARMS)
    assert [one.task for one in found] == ["a"]
    with pytest.raises(ConfigError, match="two models or more"):
        variant_effects(one_model, **ARMS)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda rows: rows.drop("stderr"), "no column 'stderr'"),
        (lambda rows: rows.with_columns(stderr=pl.lit(None, dtype=pl.Float64)), "without a standard error"),
        (lambda rows: pl.concat([rows, rows.head(1)]), "more than one score"),
        (lambda rows: rows.filter(pl.col("variant") == "baseline"), "no variant 'swapped'"),
    ],
)
def test_bad_tables_are_refused(spoil, says):
    with pytest.raises(ConfigError, match=says):
        variant_effects(spoil(table({"a": [0.0, 0.01]})), **ARMS)


def test_an_unknown_task_is_refused():
    with pytest.raises(ConfigError, match="the task 'z'"):
        variant_effects(table({"a": [0.0, 0.01]}), **ARMS, tasks=["z"])
