import numpy as np
import polars as pl
import pytest

from imprint.corpus import ABILITIES, KINDS, AbilityRows, Packed, Stream
from imprint.runs import LocalExecutor, Store, silent
from imprint.studies import planted_abilities
from imprint.studies.ability_perturbations import BASELINES, DOSES, INFLUENCE_FILE, AbilityInfluence
from imprint.studies.ability_training import AbilityTraining, accuracies_of, shares_with
from imprint.studies.planted_abilities import (
    EVERYTHING,
    RETRAINING,
    DeletionTruth,
    abilities_rows,
    family_matrix,
    family_rows,
    truth_rows,
)

HERE = LocalExecutor(workers=1)
BRIEF = AbilityTraining(steps=2, checkpoint_every=2, batch=8, items=20)


def truth(effects, seeds=3, noise=0.02, learned=0.97):
    """Runs that lose what `effects` says, kind by ability."""
    rng = np.random.default_rng(0)
    untouched = np.full((seeds, 4), learned) + noise * rng.normal(size=(seeds, 4))
    without = untouched[None] - np.array(effects)[:, None, :] + noise * rng.normal(size=(4, seeds, 4))
    return DeletionTruth(untouched=untouched, without=without)


def table(effects, family="LEACE erasure", control=0.0):
    """What perturbations of one family measured in two seeds."""
    rows = [
        {
            "cluster": kind,
            "ability": ability,
            "family": family,
            "setting": f"dose {dose}",
            "metric": metric,
            "estimate": float(dose * effects[row][column] + control),
            "low": 0.0,
            "high": 1.0,
            "p": 0.01,
            "control": control,
            "seed": seed,
        }
        for row, kind in enumerate(KINDS)
        for column, ability in enumerate(ABILITIES)
        for dose in (0.5, 1.0)
        for metric in ("correct", "log_prob")
        for seed in (0, 1)
    ]
    return pl.DataFrame(rows[::-1])


def gates(rows):
    return {row.question.split(" [")[0]: row.passed for row in rows if row.passed is not None}


def test_the_planted_permutation_passes():
    rows = truth_rows(truth(0.9 * np.eye(4)))
    assert all(gates(rows).values())
    assert len(gates(rows)) == 6
    own = next(row for row in rows if row.question.startswith("kinds whose own"))
    assert (own.value, own.method) == (4.0, RETRAINING)
    match = next(row for row in rows if row.metric == "permutation p")
    assert match.value == 1 / 24


def test_side_effects_do_not_hide_it_until_they_are_larger():
    effects = 0.9 * np.eye(4)
    effects[2, 0] = 0.6
    assert all(gates(truth_rows(truth(effects))).values())
    effects[2, 0] = 1.0
    failed = [question for question, passed in gates(truth_rows(truth(effects))).items() if not passed]
    assert len(failed) == 1
    assert failed[0].startswith("kinds whose own")


@pytest.mark.parametrize(
    "effects", [np.zeros((4, 4)), 0.9 * np.eye(4)[[1, 0, 2, 3]], 0.9 * np.ones((4, 4))], ids=["none", "swapped", "all"]
)
def test_the_mutations_fail(effects):
    passed = gates(truth_rows(truth(effects)))
    assert any(not ok for question, ok in passed.items() if question.startswith("kinds whose own"))


def test_runs_that_learned_nothing_fail():
    rows = truth_rows(truth(np.zeros((4, 4)), learned=0.3))
    assert not any(gates(rows).values())


def test_matrix_of_a_family_takes_controls_off_and_keeps_the_order():
    effects = np.arange(16.0).reshape(4, 4)
    phi = family_matrix(table(effects, control=5.0), "LEACE erasure")
    assert (phi.clusters, phi.abilities) == (KINDS, ABILITIES)
    assert phi.mean == pytest.approx(0.75 * effects)


def test_rows_of_a_cheap_method():
    good = family_rows(table(np.eye(4)), truth(0.9 * np.eye(4)), "LEACE erasure")
    values = {(row.question.split(",")[0], row.question.rsplit(", ", 1)[-1]): row.value for row in good}
    assert values["clusters matched with their own ability", "accuracy"] == 4
    assert values["own ability the largest of row and column", "log-prob"] == 4
    assert all(row.passed is None for row in good)
    swapped = family_rows(table(np.eye(4)[[1, 0, 2, 3]]), truth(0.9 * np.eye(4)), "LEACE erasure")
    assert swapped[0].value == 2
    rho = [next(row.value for row in rows if row.metric == "rho") for rows in (good, swapped)]
    assert rho[0] > rho[1]


def test_a_uniform_effect_has_no_correlation_to_report():
    rows = family_rows(table(np.ones((4, 4))), truth(0.9 * np.eye(4)), "LEACE erasure")
    assert not [row for row in rows if row.metric == "rho"]
    assert next(row for row in rows if row.question.startswith("own ability the largest")).value == 0


def test_shares_keep_the_proportions_of_the_rest():
    shares = shares_with(BRIEF.world, "code", 0.1)
    assert shares["code"] == 0.1
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["novel repeats"] / shares["facts"] == pytest.approx(2.5)


def test_without_a_kind_trains_on_others_in_its_place(tmp_path):
    store, run = Store(tmp_path), BRIEF.without("code", 0)
    stream, base = (Stream.load(store.get(one.stream)) for one in (run, BRIEF.run(0)))
    kinds = Packed.load(store.get(run.packed)).row_domains
    assert "code" not in kinds[stream.rows]
    changed = stream.rows != base.rows
    assert (kinds[base.rows[changed]] == "code").all()
    assert (stream.weights == 1).all()


def test_the_whole_world_in_two_steps(tmp_path, monkeypatch):
    """The mutation of the scorecard: models that learned nothing pass no gate; the same folder gives the same rows."""
    records = pl.concat([table(np.eye(4), family) for family in (*DOSES, *BASELINES)])
    monkeypatch.setattr(planted_abilities, "influence_records", lambda *_: records)
    rows = abilities_rows(BRIEF, 2, Store(tmp_path), HERE, silent)
    assert {row.method for row in rows} == {"untouched", RETRAINING, EVERYTHING, *DOSES, *BASELINES}
    assert not [row for row in rows if row.passed]
    assert all(np.isfinite(row.value) for row in rows)
    assert abilities_rows(BRIEF, 2, Store(tmp_path), HERE, silent) == rows


def test_every_perturbation_is_measured_beside_its_control(tmp_path):
    world = BRIEF.world.model_copy(update={"shares": dict.fromkeys(KINDS, 0.25)})
    step = AbilityInfluence(
        run=BRIEF.run(0),
        world=BRIEF.world,
        packed=AbilityRows(world=world, rows=64, seed=7),
        items=6,
        sites=("L0.resid_post",),
        controls=1,
    )
    found = pl.read_parquet(Store(tmp_path).get(step) / INFLUENCE_FILE)
    assert set(found["family"]) == {*DOSES, *BASELINES}
    for family, doses in DOSES.items():
        mine = found.filter(pl.col("family") == family)
        assert len(mine) == 4 * 4 * 2 * len(doses)
        assert set(mine["setting"]) == {f"L0.resid_post dose {dose}" for dose in doses}
    assert found.filter(pl.col("family") == "LEACE erasure", pl.col("metric") == "log_prob")["estimate"].abs().min() > 0
    assert (found["low"] <= found["high"]).all()
    overlap = found.filter(pl.col("family") == BASELINES[0], pl.col("metric") == "correct")["estimate"].to_numpy()
    assert (overlap.reshape(4, 4).argmax(1) == np.arange(4)).all()


@pytest.mark.slow
def test_retraining_recovers_the_permutation(tmp_path):
    """AT-E2E with two seeds: every gate of the truth passes (about ten minutes on two cores)."""
    training, store = AbilityTraining(), Store(tmp_path)
    rows = abilities_rows(training, 2, store, LocalExecutor(workers=2), silent)
    assert [(row.question, row.value) for row in rows if row.passed is False] == []
    assert accuracies_of(store.get(training.asked(training.run(0)))).min() > 0.6
