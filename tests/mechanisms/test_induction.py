import math

import numpy as np
import pytest
import torch
from handmade_heads import fixed_distance_transformer, two_back_transformer

from imprint.capabilities import RepeatProbe, random_period_probes, repeat_probe
from imprint.mechanisms import (
    exceedance,
    offset_profile,
    prefix_matching,
    prefix_matching_any,
    previous_token,
    uniform_baseline,
    wrong_target_null,
)
from imprint.models import attention_patterns, induction_transformer

ALPHABET = range(1, 50)


@pytest.fixture(scope="module")
def model():
    return induction_transformer()


def probe_of(period=31, bos=0, rows=8, alphabet=ALPHABET):
    return repeat_probe(alphabet, period=period, rows=rows, seed=0, bos=bos)


def with_replacement(period, rows, bos=None):
    """A probe whose tokens may repeat within the segment, from all 50 tokens."""
    rng = np.random.default_rng(1)
    segment = rng.integers(int(bos is not None), 50, (rows, period))
    start = np.zeros((rows, int(bos is not None)), dtype=np.int64)
    tokens = torch.from_numpy(np.concatenate([start, segment, segment], axis=1))
    return RepeatProbe(tokens=tokens, unrelated=tokens, period=period, alphabet_size=50)


def uniform(seq, layers=1, rows=2, heads=3):
    pattern = torch.ones(seq, seq, dtype=torch.float64).tril()
    return (pattern / pattern.sum(-1, keepdim=True)).expand(layers, rows, heads, seq, seq)


def random_patterns(seed, heads=4, seq=64):
    """Heads whose attention is an arbitrary function of the two positions."""
    scores = torch.randn(1, 1, heads, seq, seq, generator=torch.Generator().manual_seed(seed))
    return scores.masked_fill(torch.ones(seq, seq).triu(1).bool(), -torch.inf).softmax(-1)


# Strict prefix matching (AT-IH-1)


@pytest.mark.parametrize("period", [5, 20, 31])
def test_the_perfect_head_scores_one_with_bos_and_distinct_tokens(model, period):
    probe = probe_of(period)
    scores = prefix_matching(attention_patterns(model, probe.tokens), probe)
    assert scores.shape == (2, 2)
    assert scores[1, 0].item() == pytest.approx(1.0, abs=1e-6)
    others = torch.tensor([scores[0, 0], scores[0, 1], scores[1, 1]])
    assert others.max() < 2 / period


@pytest.mark.parametrize("period", [5, 32])
def test_without_bos_it_loses_half_a_match(model, period):
    probe = probe_of(period, bos=None, alphabet=range(50))
    score = prefix_matching(attention_patterns(model, probe.tokens), probe)[1, 0].item()
    assert score == pytest.approx(1 - 0.5 / (period - 1), abs=1e-6)


def test_the_score_does_not_depend_on_the_batch(model):
    probe = probe_of()
    patterns = attention_patterns(model, probe.tokens)
    whole = prefix_matching(patterns, probe)
    rows = torch.stack([prefix_matching(patterns[:, row : row + 1], probe) for row in range(8)]).mean(0)
    torch.testing.assert_close(whole, rows)


def test_uniform_attention_scores_the_uniform_baseline():
    probe = probe_of(32, bos=None, alphabet=range(50))
    baseline = uniform_baseline(probe.query)
    assert baseline == pytest.approx(0.0216, abs=5e-5)
    assert baseline == pytest.approx(sum(1 / (t + 1) for t in range(32, 63)) / 31)
    assert prefix_matching(uniform(64), probe)[0].tolist() == pytest.approx([baseline] * 3)
    assert uniform_baseline(torch.tensor([0])) == 1.0


def test_a_head_at_a_fixed_distance_is_found_out_by_the_second_period():
    """AT-IH-2: at its own period it is indistinguishable from induction."""
    probes = random_period_probes(ALPHABET, rows=8, seed=0, bos=0, context=64)
    model = fixed_distance_transformer(probes[0].period - 1)
    scores = [prefix_matching(attention_patterns(model, probe.tokens), probe)[1, 0].item() for probe in probes]
    assert scores[0] == pytest.approx(1.0, abs=1e-6)
    assert scores[1] < 0.05  # queries nearer than the distance attend uniformly


# Any-match prefix matching


def test_with_replacement_the_strict_score_falls_and_any_match_does_not(model):
    """METHODS P4: .697 and .983 at 50 tokens and period 32, without BOS."""
    probe = with_replacement(32, rows=256)
    patterns = attention_patterns(model, probe.tokens)
    assert prefix_matching(patterns, probe)[1, 0].item() == pytest.approx(0.697, abs=0.015)
    assert prefix_matching_any(patterns, probe.tokens, 32)[1, 0].item() == pytest.approx(0.983, abs=0.004)


def test_both_scores_are_exact_with_replacement_and_bos(model):
    """The perfect head spreads its attention evenly over every position whose predecessor is the current token."""
    probe = with_replacement(31, rows=16, bos=0)
    patterns = attention_patterns(model, probe.tokens)
    shares = [
        1 / sum(row[j - 1] == row[t] for j in range(1, t + 1))
        for row in probe.tokens.tolist()
        for t in probe.query.tolist()
    ]
    assert prefix_matching(patterns, probe)[1, 0].item() == pytest.approx(sum(shares) / len(shares), abs=1e-6)
    assert prefix_matching_any(patterns, probe.tokens, 32)[1, 0].item() == pytest.approx(1.0, abs=1e-6)


def test_both_scores_agree_on_distinct_tokens(model):
    probe = probe_of(20)
    patterns = attention_patterns(model, probe.tokens)
    torch.testing.assert_close(prefix_matching_any(patterns, probe.tokens, 21), prefix_matching(patterns, probe))
    random = random_patterns(0, seq=41).expand(-1, 8, -1, -1, -1)
    torch.testing.assert_close(prefix_matching_any(random, probe.tokens, 21), prefix_matching(random, probe))


def test_any_match_counts_every_repeat():
    tokens = torch.tensor([[7, 8, 7, 8, 7, 8, 7]])
    score = prefix_matching_any(uniform(7, rows=1, heads=1), tokens, 2)
    # From t = 2: earlier positions after the same token are 1 of 3, 1 of 4, 2 of 5, 2 of 6.
    assert score.item() == pytest.approx((1 / 3 + 1 / 4 + 2 / 5 + 2 / 6) / 4)


def test_any_match_never_counts_the_future():
    tokens = torch.tensor([[7, 8, 7, 8, 7, 8]])
    future = torch.zeros(1, 1, 1, 6, 6)
    future[..., torch.arange(5), torch.arange(1, 6)] = 1.0
    assert prefix_matching_any(future, tokens, 1).item() == 0.0


# The previous token


@pytest.mark.parametrize("bos", [0, None])
def test_the_previous_token_head_scores_one(model, bos):
    probe = probe_of(20, bos=bos)
    scores = previous_token(attention_patterns(model, probe.tokens))
    assert scores[0, 0].item() == pytest.approx(1.0, abs=1e-6)
    assert scores.flatten()[1:].max() < 0.12


def test_uniform_attention_on_the_previous_token():
    assert previous_token(uniform(10))[0, 0].item() == pytest.approx(sum(1 / (t + 1) for t in range(2, 10)) / 8)


def test_a_head_that_looks_at_itself_or_two_back_is_no_previous_token_head():
    for offset in (0, 2):
        pattern = torch.zeros(1, 1, 1, 10, 10)
        pattern[..., torch.arange(offset, 10), torch.arange(10 - offset)] = 1.0
        assert previous_token(pattern).item() == 0.0


# The profile over offsets


def test_the_profile_shows_where_the_head_looks(model):
    offsets = (-2, -1, 0, 1, 2, 3)
    probe = probe_of(20)
    profile = offset_profile(attention_patterns(model, probe.tokens), probe, offsets)
    assert profile.shape == (6, 2, 2)
    assert profile[:, 1, 0].tolist() == pytest.approx([0, 0, 0, 1, 0, 0], abs=1e-6)
    torch.testing.assert_close(profile[3], prefix_matching(attention_patterns(model, probe.tokens), probe))
    probe = probe_of(20, alphabet=range(1, 25))
    shifted = offset_profile(attention_patterns(two_back_transformer(), probe.tokens), probe, offsets)
    assert shifted[:, 1, 0].tolist() == pytest.approx([0, 0, 0, 0, 1, 0], abs=1e-6)


def test_the_profile_leaves_out_positions_that_do_not_exist():
    probe = probe_of(3, bos=None)
    profile = offset_profile(uniform(6), probe, (-1, 2))  # queries 3 and 4; previous occurrences 0 and 1
    assert profile[0, 0, 0].item() == pytest.approx(1 / 5)  # only from query 4
    assert profile[1, 0, 0].item() == pytest.approx((1 / 4 + 1 / 5) / 2)


# The null


def test_the_null_of_uniform_attention_is_the_uniform_baseline():
    probe = probe_of(32, bos=None, alphabet=range(50))
    null = wrong_target_null(uniform(64), probe.query, draws=20, seed=0)
    assert null.tolist() == pytest.approx([uniform_baseline(probe.query)] * 20)


def test_the_null_is_a_maximum_over_heads_and_seeded():
    query = torch.arange(32, 63)
    many, one = random_patterns(0, heads=32), random_patterns(0, heads=32)[:, :, :1]
    null = wrong_target_null(many, query, draws=50, seed=1)
    assert torch.equal(null, wrong_target_null(many, query, draws=50, seed=1))
    assert not torch.equal(null, wrong_target_null(many, query, draws=50, seed=2))
    assert null.mean() > wrong_target_null(one, query, draws=50, seed=1).mean()


def test_the_null_only_has_earlier_targets():
    """Attention to the own position is never hit, attention to position 0 sometimes."""
    seq = 12
    itself, first = torch.zeros(1, 1, 1, seq, seq), torch.zeros(1, 1, 1, seq, seq)
    itself[..., range(seq), range(seq)] = 1.0
    first[..., 0] = 1.0
    query = torch.arange(1, seq - 1)
    assert wrong_target_null(itself, query, draws=50, seed=0).max() == 0
    hits = wrong_target_null(first, query, draws=2000, seed=0)
    assert hits.mean().item() == pytest.approx(sum(1 / t for t in range(1, seq - 1)) / 10, abs=0.01)


def test_the_perfect_head_beats_its_null(model):
    probe = probe_of()
    patterns = attention_patterns(model, probe.tokens)
    null = wrong_target_null(patterns, probe.query, draws=199, seed=0)
    assert null.max() < 0.3
    assert exceedance(prefix_matching(patterns, probe)[1, 0].item(), null) == pytest.approx(1 / 200)


def test_heads_that_know_nothing_are_rarely_called():
    """The false-positive rate of the largest score of four arbitrary heads stays near its level of .05."""
    probe = probe_of(31, rows=1)
    p = []
    for seed in range(80):
        patterns = random_patterns(seed, seq=63)
        null = wrong_target_null(patterns, probe.query, draws=99, seed=seed)
        p.append(exceedance(float(prefix_matching(patterns, probe).max()), null))
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 80)
    assert 0.3 < np.mean(p) < 0.7


def test_exceedance_counts_itself():
    null = torch.tensor([0.1, 0.2, 0.3, 0.4])
    assert [exceedance(score, null) for score in (0.5, 0.4, 0.25, 0.0)] == pytest.approx([0.2, 0.4, 0.6, 1.0])
