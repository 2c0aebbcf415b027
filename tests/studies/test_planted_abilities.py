import numpy as np
import polars as pl
import pytest
from planted_effects import influence_table, planted_truth

from imprint.corpus import ABILITIES, KINDS, AbilityRows, Packed, Stream
from imprint.runs import LocalExecutor, Store, silent
from imprint.studies.ability_perturbations import BASELINES, DOSES, INFLUENCE_FILE, AbilityInfluence
from imprint.studies.ability_training import AbilityTraining, accuracies_of, shares_with
from imprint.studies.planted_abilities import deletion_truth, family_matrix

HERE = LocalExecutor(workers=1)
BRIEF = AbilityTraining(steps=2, checkpoint_every=2, batch=8, items=20)


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


def test_matrix_of_a_family_takes_controls_off_and_keeps_the_order():
    effects = np.arange(16.0).reshape(4, 4)
    phi = family_matrix(influence_table(effects, control=5.0), "LEACE erasure")
    assert (phi.clusters, phi.abilities) == (KINDS, ABILITIES)
    assert phi.mean == pytest.approx(0.75 * effects)


def test_the_lead_is_the_own_loss_over_the_largest_other():
    effects = 0.9 * np.eye(4)
    effects[2, 0], effects[0, 3], effects[3, 1] = 0.3, -0.4, 0.2
    truth = planted_truth(effects, noise=0.0)
    assert [truth.lead(kind).mean() for kind in range(4)] == pytest.approx([0.6, 0.7, 0.6, 0.7])
    same = truth.lead_effect(2)
    assert (same.estimate, same.n) == (pytest.approx(0.6), 3)


def test_seeds_that_disagree_widen_the_lead():
    calm, wild = (planted_truth(0.9 * np.eye(4), noise=noise).lead_effect(0) for noise in (0.01, 0.2))
    assert wild.high - wild.low > 5 * (calm.high - calm.low)


def test_untouched_and_deleted_runs_keep_their_places(tmp_path):
    """Two steps of training: the accuracies of `deletion_truth` are those of the runs it names."""
    store = Store(tmp_path)
    truth = deletion_truth(BRIEF, 2, store, HERE, silent)
    chances = np.array([1 / 60, 1 / 5, 1 / 3, 1 / 30])
    for seed in (0, 1):
        known = accuracies_of(store.get(BRIEF.asked(BRIEF.run(seed))))
        assert truth.untouched[seed] == pytest.approx((known - chances) / (1 - chances))
        known = accuracies_of(store.get(BRIEF.asked(BRIEF.without(KINDS[3], seed))))
        assert truth.without[3, seed] == pytest.approx((known - chances) / (1 - chances))


@pytest.mark.slow
def test_retraining_without_a_cause_loses_its_ability_alone(tmp_path):
    """One seed trained for real until sums and recall are learned (two runs of 600 steps, one CPU-minute)."""
    training, store = AbilityTraining(steps=600, checkpoint_every=600), Store(tmp_path)
    runs = [training.run(0), training.without("arithmetic", 0)]
    untouched, without = (accuracies_of(store.get(training.asked(run))) for run in runs)
    sums, recall = ABILITIES.index("sums"), ABILITIES.index("recall")
    assert min(untouched[sums], untouched[recall], without[recall]) > 0.9
    assert without[sums] < 0.35
