"""A window of checkpoints: agreement between probes and between checkpoints, and the window's sum."""

import numpy as np
import pytest

from imprint.attribution import CONSENSUS, PROBES, Scores, consensus, window_agreement, window_sum
from imprint.errors import ConfigError, InputError

RNG = np.random.default_rng(0)
ROWS = 600
CAUSE = RNG.normal(size=ROWS)


def scored(noise=0.0, cause=CAUSE, scale=1.0, queries=PROBES):
    rows = scale * np.stack([cause + noise * RNG.normal(size=ROWS) for _ in queries])
    return Scores(queries=tuple(queries), rows=rows, tokens=None, subspace="L1.H0/qkvo", checks={})


def test_one_cause_without_noise_agrees_everywhere():
    found = window_agreement({10: scored(), 20: scored(scale=5)}, fraction=0.1)
    assert list(found.probes) == [10, 20]
    assert list(found.checkpoints) == [CONSENSUS, *PROBES]
    everything = [
        *found.probes[10],
        *found.probes[20],
        *(pair for pairs in found.checkpoints.values() for pair in pairs),
    ]
    assert len(everything) == 3 + 3 + 4
    assert all(pair.spearman == pytest.approx(1) and pair.overlap == 1 for pair in everything)
    assert [pair.other for pair in found.summed] == ["consensus at step 10", "consensus at step 20"]


def test_checkpoints_with_other_causes_agree_as_chance_has_it():
    found = window_agreement({10: scored(), 20: scored(cause=RNG.permutation(CAUSE))}, fraction=0.1)
    (pair,) = found.checkpoints[CONSENSUS]
    assert (pair.one, pair.other) == ("10", "20")
    assert abs(pair.spearman) < 0.15
    assert pair.overlap == pytest.approx(pair.chance, abs=0.1)
    assert all(both.overlap == 1 for both in found.probes[10])


def test_a_probe_of_noise_is_seen_at_its_checkpoint_only():
    broken = scored()
    broken.rows[2] = RNG.normal(size=ROWS)
    found = window_agreement({10: scored(), 20: broken}, fraction=0.1)
    assert min(pair.spearman for pair in found.probes[10]) == pytest.approx(1)
    assert [abs(pair.spearman) < 0.15 for pair in found.probes[20]] == [False, True, True]
    assert [abs(found.checkpoints[name][0].spearman) < 0.15 for name in PROBES] == [False, False, True]


def test_the_sum_of_ranks_does_not_follow_the_loudest_checkpoint():
    one, other, third = scored(), scored(noise=0.1), scored(cause=RNG.permutation(CAUSE), scale=1e6)
    mean = window_sum({1: one, 2: other, 3: third})
    weighted = window_sum({1: one, 2: other, 3: third}, rates={1: 1.0, 2: 1.0, 3: 1.0})
    assert np.corrcoef(mean, CAUSE)[0, 1] > 0.8
    assert abs(np.corrcoef(weighted, CAUSE)[0, 1]) < 0.15
    assert 0 < mean.min() < mean.max() <= 1


def test_the_weighted_sum_by_hand():
    one, other = scored(noise=1), scored(noise=1)
    found = window_sum({5: one, 9: other}, rates={5: 0.5, 9: 2.0}, query="attention")
    np.testing.assert_allclose(found, 0.5 * one.of("attention") + 2 * other.of("attention"))
    with_rates = window_agreement({5: one, 9: other}, fraction=0.1, rates={5: 0.5, 9: 2.0})
    assert with_rates.summed[-1].other == "learning-rate weighted sum"
    assert len(with_rates.summed) == 3


def test_two_checkpoints_alike_sum_to_their_consensus():
    one = scored(noise=1)
    found = window_sum({1: one, 2: one})
    assert np.array_equal(np.argsort(found), np.argsort(consensus(one)))


def test_a_head_without_the_attention_probe():
    few = PROBES[:2]
    found = window_agreement({1: scored(queries=few), 2: scored(queries=few)}, fraction=0.1)
    assert list(found.checkpoints) == [CONSENSUS, *few]


def test_one_checkpoint_has_probes_to_compare_but_no_sum():
    found = window_agreement({7: scored()}, fraction=0.1)
    assert len(found.probes[7]) == 3
    assert found.checkpoints[CONSENSUS] == found.summed == ()


def test_what_makes_no_window():
    with pytest.raises(InputError, match=r"1 checkpoint\(s\) make no window"):
        window_sum({1: scored()})
    with pytest.raises(InputError, match="steps 1 and 2 are of other probes or rows"):
        window_sum({1: scored(), 2: scored(queries=PROBES[:2])})
    with pytest.raises(InputError, match="step 2 has no learning rate"):
        window_sum({1: scored(), 2: scored()}, rates={1: 1.0})
    other = scored(queries=("previous_token",))
    with pytest.raises(ConfigError, match="none of the induction probes"):
        window_sum({1: other, 2: other})
