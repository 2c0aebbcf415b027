import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from pydantic import TypeAdapter
from variance_tables import PUBLISHED, TABLE, nested_file, tidy_rows, write_rows

from imprint.errors import ConfigError, InputError
from imprint.stats import Nest, Undefined
from imprint.studies.variance import (
    Outcomes,
    VarianceFinding,
    analyse,
    analyse_nest,
    read_outcomes,
    read_published,
    require_known,
)

STORED = TypeAdapter(VarianceFinding)


@pytest.fixture(scope="module")
def published_table():
    table, printed = read_outcomes(TABLE), read_published(PUBLISHED)
    return {name: analyse(table, name, seed=0, published=printed[name]) for name in table.metrics}


@pytest.mark.parametrize(
    ("metric", "f", "icc", "p", "verdict"),
    [("alignment", 0.537, -0.182, 0.719, "no sign"), ("arc_c", 4.280, 0.522, 0.032, "differ")],
)
def test_published_table(published_table, metric, f, icc, p, verdict):
    """AT-VAR-2."""
    found = published_table[metric]
    assert found.one_way.f.statistic == pytest.approx(f, abs=6e-4)
    assert found.one_way.icc.estimate == pytest.approx(icc, abs=6e-4)
    assert found.p == pytest.approx(p, abs=0.01)
    assert found.verdict == verdict
    assert f"{f:.3f}" in found.answer
    assert found.components[0].share == pytest.approx(icc, abs=6e-4)


def test_published_medians_are_flagged(published_table):
    """AT-VAR-1: 1.82 should be 1.51, .021 should be .015; the ranges are right."""
    for metric, median, ratio in (("alignment", 1.51, 1.95), ("arc_c", 0.015, 6.40)):
        checks = published_table[metric].published
        assert [check.consistent for check in checks] == [False, True, False]
        assert checks[0].recomputed == pytest.approx(median)
        assert checks[2].recomputed == pytest.approx(ratio, abs=0.005)


def test_the_seed_block_is_found_and_said(published_table):
    found = published_table["alignment"]
    assert (found.two_way.block.statistic, found.two_way.block.p) == pytest.approx((5.95, 0.026), abs=0.005)
    assert any("seed block F = 5.95, p = 0.026" in note for note in found.notes)
    assert not any("seed block" in note for note in published_table["arc_c"].notes)


def test_condition_means_have_the_pooled_interval(published_table):
    """By hand: 10 df, t = 2.228, sd^2 = the pipeline component."""
    found = published_table["alignment"]
    half = 2.2281 * np.sqrt(found.components[1].variance.estimate / 3)
    control = next(one for one in found.conditions if one.name == "tulu_control")
    assert [one.seed for one in control.pipelines] == ["42", "137", "256"]
    assert control.mean.estimate == pytest.approx(np.mean([26.10, 29.08, 25.66]))
    assert control.mean.high - control.mean.estimate == pytest.approx(half, rel=1e-4)
    assert found.sd_within**2 == pytest.approx(found.components[1].variance.estimate)


def test_a_finding_survives_its_file(published_table):
    refused = analyse_nest(one_pipeline_nest(), seed=0)
    for found in (*published_table.values(), refused):
        assert STORED.validate_json(STORED.dump_json(found)) == found
        json.dumps(found.as_dict(), allow_nan=False)
    assert refused.p is None


def numbers(found):
    once = found.one_way
    return [
        once.f.statistic,
        once.icc.estimate,
        once.icc.low,
        found.p,
        *(one.variance.estimate for one in found.components),
    ]


def small(seed=3):
    """Few enough pipelines that every arrangement is tried, so that p does not hang on their order."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "condition": np.repeat(["a", "b", "c"], 6),
            "pipeline": np.tile(np.repeat(["1", "2", "3"], 2), 3),
            "stage": np.tile(["0", "1"], 9),
            "metric": ["m"] * 18,
            "value": rng.standard_normal(18) + np.repeat([0.0, 1, 3], 6),
        }
    )


def test_row_order_names_and_units_do_not_matter():
    frame = small()
    expected = numbers(analyse(Outcomes(frame=frame, source="t"), "m", seed=0))
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1)
    names = {"a": "zeta", "b": "alpha", "c": "mu", "1": "137", "2": "9", "3": "42"}
    renamed = frame.with_columns(pl.col("condition", "pipeline").replace(names))
    assert numbers(analyse(Outcomes(frame=shuffled, source="t"), "m", seed=0)) == pytest.approx(expected)
    assert numbers(analyse(Outcomes(frame=renamed, source="t"), "m", seed=5)) == pytest.approx(expected)
    moved = frame.with_columns((10 - 3 * pl.col("value")).alias("value"))
    scaled = numbers(analyse(Outcomes(frame=moved, source="t"), "m", seed=0))
    assert scaled[:4] == pytest.approx(expected[:4])
    assert scaled[4:] == pytest.approx([9 * value for value in expected[4:]])


def verdicts(effect, seeds):
    found = []
    for seed in seeds:
        conditions = np.repeat([0, 1, 2], [3, 3, 2])
        values = np.random.default_rng(seed).standard_normal(8) + effect * conditions
        found.append(analyse_nest(Nest(values=values, conditions=conditions, pipelines=np.arange(8)), seed=0).verdict)
    return found


def test_null_worlds_rarely_differ_and_real_ones_do():
    assert verdicts(0.0, range(40)).count("differ") <= 5  # 40 times .05 and two standard errors
    assert verdicts(6.0, range(10)).count("differ") >= 9


def one_pipeline_nest(stages=10, samples=1, seed=0):
    rng = np.random.default_rng(seed)
    shape = (5, stages, samples)
    values = (
        2 * rng.standard_normal((5, 1, 1)) + rng.standard_normal((*shape[:2], 1)) + 0.1 * rng.standard_normal(shape)
    )
    place = np.indices(shape).reshape(3, -1)
    return Nest(
        values=values.ravel(), conditions=place[0], pipelines=np.full(values.size, 42), stages=place[1], metric="m"
    )


def test_one_pipeline_of_ten_last_stage_seeds_is_refused_with_a_design(tmp_path):
    """The columns as stage seeds: refused. The mutation, the same columns passed off as pipelines, finds conditions."""
    shape, sds = (5, 1, 10), (0, 2, 1, 0)
    honest = read_outcomes(nested_file(tmp_path, *shape, sds=sds))
    found = analyse(honest, "score", seed=0)
    assert found.verdict == "cannot tell"
    assert "last-stage seeds of one pipeline are not independent" in found.answer
    assert "run at least 2, better 5, pipeline seeds of every condition" in found.answer
    for missing in (found.one_way, found.two_way, found.permutation, found.range_ratio, found.sd_within):
        assert isinstance(missing, Undefined)
    assert [plan.pipelines for plan in found.plans] == [2, 3, 5, 10]
    rows = [(condition, stage, value) for condition, _, stage, _, value in tidy_rows(*shape, sds=sds, seed=0)]
    lying = read_outcomes(write_rows(tmp_path / "lying.csv", ("condition", "seed", "score"), rows))
    fooled = analyse(lying, "score", seed=0)
    assert fooled.verdict == "differ"  # in a world without any condition effect
    assert fooled.one_way.f.p < 1e-6
    assert "not independent" in fooled.notes[0]


def test_another_f_with_stage_seeds_as_pipelines():
    frame = small()
    honest = analyse(Outcomes(frame=frame, source="t"), "m", seed=0)
    lying = frame.with_columns(pipeline=pl.concat_str("pipeline", "stage", separator="-")).drop("stage")
    fooled = analyse(Outcomes(frame=lying, source="t"), "m", seed=0)
    assert honest.one_way.f.denominator_df == 6
    assert fooled.one_way.f.denominator_df == 15
    assert fooled.one_way.f.statistic != pytest.approx(honest.one_way.f.statistic, rel=0.05)


def test_components_of_one_pipeline_are_those_of_the_textbook():
    nest = one_pipeline_nest()
    values = nest.values.reshape(5, 10)
    inner = values.var(1, ddof=1).mean()
    found = analyse_nest(nest, seed=0).components
    assert [one.level for one in found] == ["condition + pipeline seed", "stage seed"]
    assert found[1].variance.estimate == pytest.approx(inner)
    assert found[0].variance.estimate == pytest.approx(values.mean(1).var(ddof=1) - inner / 10)
    assert [(one.variance.n, one.variance.unit) for one in found] == [(5, "pipeline seed"), (50, "run")]
    assert isinstance(found[0].f, Undefined)
    assert "cannot be told apart" in found[0].f.reason
    three = analyse_nest(one_pipeline_nest(samples=3), seed=0).components
    assert [one.level for one in three] == ["condition + pipeline seed", "stage seed", "evaluation sample"]
    samples = analyse_nest(replace(nest, stages=None), seed=0)
    assert [one.level for one in samples.components] == ["condition + pipeline seed", "evaluation sample"]
    assert "evaluation samples of one pipeline" in samples.answer


@pytest.mark.parametrize(("conditions", "pipelines", "needed"), [(2, 3, 4), (3, 2, 3), (2, 2, 4)])
def test_a_design_without_a_small_enough_p_cannot_tell(conditions, pipelines, needed):
    place = np.indices((conditions, pipelines)).reshape(2, -1)
    nest = Nest(values=100.0 * place[0] + 0.1 * place[1] ** 2, conditions=place[0], pipelines=place[1])
    found = analyse_nest(nest, seed=0)
    assert found.verdict == "cannot tell"
    assert f"run at least {needed} pipelines" in found.answer
    if conditions == 2:
        assert analyse_nest(nest, seed=0, alpha=0.4).verdict == "differ"


def test_alpha_decides(published_table):
    assert analyse(read_outcomes(TABLE), "arc_c", seed=0, alpha=0.01).verdict == "no sign"
    with pytest.raises(InputError, match=r"alpha=0\.0 must lie"):
        analyse(read_outcomes(TABLE), "arc_c", seed=0, alpha=0.0)


def test_unequal_designs_keep_what_they_can():
    frame = small().filter((pl.col("condition") != "c") | (pl.col("pipeline") != "3"))
    found = analyse(Outcomes(frame=frame, source="t"), "m", seed=0)
    assert isinstance(found.two_way, Undefined)
    assert isinstance(found.range_ratio, Undefined)
    assert found.detectable.pipelines == 2
    assert any("unequal numbers" in note for note in found.notes)
    alone = frame.filter((pl.col("condition") != "c") | (pl.col("pipeline") == "1"))
    single = analyse(Outcomes(frame=alone, source="t"), "m", seed=0)
    assert isinstance(single.conditions[2].mean, Undefined)
    assert any("one pipeline only in c" in note for note in single.notes)


def test_pipelines_that_do_not_vary():
    flat = Nest(values=np.repeat([1.0, 2, 3], 3), conditions=np.repeat([0, 1, 2], 3), pipelines=np.tile([0, 1, 2], 3))
    found = analyse_nest(flat, seed=0)
    assert isinstance(found.one_way.f, Undefined)
    assert found.verdict == "differ"
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("conditions", "message"),
    [(np.zeros(4), "one condition"), (np.arange(4.0), "one pipeline seed in each of 4 conditions")],
)
def test_designs_that_hold_nothing_are_refused(conditions, message):
    with pytest.raises(InputError, match=message):
        analyse_nest(Nest(values=np.arange(4.0), conditions=conditions, pipelines=np.arange(4)), seed=0)


def test_published_numbers_keep_their_digits_without_quotes(tmp_path):
    yaml, json_file = tmp_path / "p.yaml", tmp_path / "p.json"
    yaml.write_text("m:\n  within_sd: [1.10, 1.20, 1.50]\n  median: 1.20\n")
    json_file.write_text('{"m": {"within_sd": [1.10, "1.20", 1.50], "median": 1.20}}')
    assert read_published(yaml) == read_published(json_file)
    assert read_published(yaml)["m"].within_sd == ("1.10", "1.20", "1.50")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m: {within_sd: [1.0], medain: 1.0}", "m.medain"),
        ("m: {median: 1.0}", "m.within_sd: Field required"),
        ("m: {within_sd: []}", "m.within_sd"),
        ("m: {within_sd: [1.0], ends: [1, 2, 3]}", "m.ends"),
        ("m: [1", "not valid YAML"),
        ("1", "the file"),
    ],
)
def test_bad_published_files_are_refused(tmp_path, text, message):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_published(path)
    assert "\n" not in str(caught.value)


def test_published_numbers_of_a_metric_that_is_not_there():
    with pytest.raises(ConfigError, match=r"'arc' is not in t\.csv, which has arc_c"):
        require_known({"arc": read_published(PUBLISHED)["arc_c"]}, ("arc_c",), "t.csv")
