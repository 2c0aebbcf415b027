import time

import numpy as np
import pytest

from imprint.errors import InputError, SelfCheckFailed
from imprint.stats import Effect, Undefined, ais, corrected_ais, exact_mcnemar, impact, impacts, random_flip_null
from imprint.stats.item_weights import item_weights


def answers(right, items):
    """`right` of `items` questions answered."""
    return (np.arange(items) < right).astype(float)


def test_known_answers_of_methods():
    assert ais(0.30, 0.25) == pytest.approx(0.1667, abs=1e-4)
    assert corrected_ais(0.30, 0.25, chance=0.25) == pytest.approx(1.0)
    found = impact(answers(600, 2000), answers(500, 2000), chance=0.25, seed=0)
    assert found.ais.estimate == pytest.approx(1 / 6)
    assert found.corrected.estimate == pytest.approx(1.0)
    assert found.lost.estimate == pytest.approx(0.05)
    assert found.corrected.low < 1 < found.corrected.high


def test_mcnemar_of_methods():
    before = np.r_[np.ones(12), np.zeros(3), np.ones(20), np.zeros(15)]
    after = np.r_[np.zeros(12), np.ones(3), np.ones(20), np.zeros(15)]
    found = impact(before, after, seed=0)
    assert found.test == "exact McNemar"
    assert found.p == pytest.approx(0.0352, abs=5e-5)
    assert found.p == pytest.approx(exact_mcnemar(12, 3))


@pytest.mark.parametrize(
    ("items", "accuracy", "mean", "sd"), [(50, 0.2, -0.17, 0.208), (50, 0.6, 0.015, 0.052), (1319, 0.2, -0.15, 0.032)]
)
def test_the_null_is_biased_and_its_width_known(items, accuracy, mean, sd):
    found = random_flip_null(accuracy, items, 0.05, seed=1, draws=4000)
    assert found == (pytest.approx(mean, abs=0.012), pytest.approx(sd, rel=0.08))


def test_no_perturbation_costs_nothing():
    before = answers(70, 200)
    found = impact(before, before.copy(), chance=0.25, seed=0)
    assert (found.lost.estimate, found.ais.estimate, found.corrected.estimate, found.p) == (0.0, 0.0, 0.0, 1.0)
    assert not found.lost.has_width


def test_undefined_is_said_and_never_nan():
    nothing = impact(np.zeros(50), np.zeros(50), chance=0.25, seed=0)
    assert isinstance(nothing.ais, Undefined)
    assert "zero" in nothing.ais.reason
    weak = impact(answers(27, 100), answers(20, 100), chance=0.25, seed=0)
    assert isinstance(weak.ais, Effect)
    assert isinstance(weak.corrected, Undefined)
    assert "chance 0.25" in weak.corrected.reason
    unknown = impact(answers(27, 100), answers(20, 100), seed=0)
    assert "no chance level" in unknown.corrected.reason
    assert isinstance(ais(0.0, 0.0), Undefined)
    assert isinstance(corrected_ais(0.25, 0.2, chance=0.25), Undefined)
    assert set(nothing.as_dict()["ais"]) == {"undefined"}


def test_log_probabilities_lose_nats_and_no_share():
    rng = np.random.default_rng(0)
    before = -rng.exponential(1.0, 300)
    found = impact(before, before - 0.5, scale="interval", metric="log_prob", seed=0)
    assert found.lost.estimate == pytest.approx(0.5)
    assert isinstance(found.ais, Undefined)
    assert found.test == "sign flips of items"
    assert found.p < 0.01


def test_lower_is_better_turns_the_sign():
    rng = np.random.default_rng(0)
    loss = rng.gamma(4.0, 0.5, 400)
    found = impact(loss, 1.1 * loss, better="lower", chance=5.0, metric="loss", seed=0)
    assert found.lost.estimate == pytest.approx(0.1 * loss.mean())
    assert found.ais.estimate == pytest.approx(0.1)
    assert found.corrected.estimate == pytest.approx(0.1 * loss.mean() / (5.0 - loss.mean()))
    assert found.ais.low > 0
    assert ais(2.0, 2.2, better="lower") == pytest.approx(0.1)


def test_many_at_once_are_the_same_as_one_by_one():
    rng = np.random.default_rng(0)
    before = (rng.random(120) < 0.7).astype(float)
    after = np.stack([np.where(rng.random(120) < flips, 1 - before, before) for flips in (0.0, 0.1, 0.4)])
    together = impacts(before, after, chance=0.25, seed=3, draws=300)
    alone = [impact(before, row, chance=0.25, seed=3, draws=300) for row in after]
    assert [one.p for one in together] == [one.p for one in alone]
    for many, one in zip(together, alone, strict=True):
        assert many.lost.low == pytest.approx(one.lost.low)
        assert many.ais.high == pytest.approx(one.ais.high)
        assert many.corrected.estimate == pytest.approx(one.corrected.estimate)


def test_item_order_does_not_matter_but_pairing_does():
    rng = np.random.default_rng(0)
    before = (rng.random(300) < 0.6).astype(float)
    after = np.where(rng.random(300) < 0.1, 0.0, before)
    order = rng.permutation(300)
    straight, shuffled = (impact(b, a, seed=0) for b, a in ((before, after), (before[order], after[order])))
    assert straight.lost.estimate == pytest.approx(shuffled.lost.estimate)
    assert straight.p == pytest.approx(shuffled.p)
    unpaired = impact(before, after[order], seed=0)
    assert unpaired.p > 10 * straight.p
    assert unpaired.lost.high - unpaired.lost.low > 2 * (straight.lost.high - straight.lost.low)


def test_intervals_cover_the_truth():
    rng, hits = np.random.default_rng(0), 0
    for trial in range(200):
        before = (rng.random(150) < 0.7).astype(float)
        after = np.where(rng.random(150) < 0.2, 0.0, before)
        found = impact(before, after, seed=trial, draws=400)
        hits += found.ais.low <= 0.2 <= found.ais.high
    assert 0.9 <= hits / 200 <= 0.99


def test_items_within_seeds_are_not_independent():
    """Five seeds that differ: the interval over seeds must be much wider than the one that counts every item."""
    rng = np.random.default_rng(0)
    seeds = np.repeat(np.arange(5), 200)
    drop = np.repeat([0.0, 0.05, 0.3, 0.1, 0.2], 200)
    before = (rng.random(1000) < 0.8).astype(float)
    after = np.where(rng.random(1000) < drop, 0.0, before)
    naive, nested = impact(before, after, seed=0), impact(before, after, groups=seeds, seed=0)
    assert nested.lost.high - nested.lost.low > 2.5 * (naive.lost.high - naive.lost.low)
    assert (nested.lost.n, nested.lost.unit) == (5, "pipeline seed")
    assert nested.test == "sign flips of seeds"
    assert nested.p == 4 / 32  # the smallest that four seeds allow: one lost nothing
    assert "too narrow" in nested.lost.note
    assert nested.lost.estimate == pytest.approx(naive.lost.estimate)


def test_weights_are_means_and_groups_stay_whole():
    groups = np.array([0, 0, 0, 1, 1])
    (weights,) = item_weights(5, groups, seed=0, draws=2000)
    assert np.allclose(weights.sum(1), 1)
    assert 0.4 < (weights[:, 3:].sum(1) == 0).mean() + (weights[:, :3].sum(1) == 0).mean() < 0.6  # 2 of 4 draws
    (plain,) = item_weights(5, None, seed=0, draws=2000)
    assert np.allclose(plain.mean(0), 0.2, atol=0.01)


def test_refuses_what_cannot_be_paired():
    with pytest.raises(InputError, match="50 unperturbed and 40 perturbed"):
        impact(np.ones(50), np.ones(40), seed=0)
    with pytest.raises(SelfCheckFailed, match="not finite"):
        impact(np.ones(3), np.array([1.0, np.nan, 0.0]), seed=0)
    with pytest.raises(InputError, match="at least 2 different"):
        impact(np.ones(4), np.ones(4), groups=np.zeros(4), seed=0)
    with pytest.raises(InputError, match="at least 2"):
        impact(np.ones(1), np.ones(1), seed=0)


def test_two_hundred_perturbations_of_four_tasks_take_seconds():
    rng = np.random.default_rng(0)
    before = (rng.random(1000) < 0.6).astype(float)
    after = np.where(rng.random((800, 1000)) < 0.1, 1 - before, before)
    start = time.process_time()
    assert len(impacts(before, after, chance=0.25, seed=0)) == 800
    assert time.process_time() - start < 5  # .33 s measured
