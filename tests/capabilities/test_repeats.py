import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imprint.capabilities import (
    copy_accuracy,
    copy_hits,
    copy_log_probs,
    fewshot_hits,
    random_period_probes,
    repeat_probe,
)
from imprint.errors import ConfigError
from imprint.models import Architecture, ablate_heads, head_means, induction_transformer

ALPHABET = range(1, 50)


@pytest.fixture(scope="module")
def model():
    return induction_transformer()


@pytest.fixture(scope="module")
def random_model():
    config = {"vocab_size": 50, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 2, "bos_token_id": 0}
    return Architecture(config=config | {"eos_token_id": 0}).initialise(0)  # in training mode, with dropout


def probe_of(period=31, rows=8, seed=0, bos=0):
    return repeat_probe(ALPHABET, period=period, rows=rows, seed=seed, bos=bos)


# The probe


@settings(max_examples=30)
@given(period=st.integers(2, 20), rows=st.integers(1, 5), seed=st.integers(0, 99), bos=st.sampled_from([None, 0, 77]))
def test_a_probe_is_a_fresh_segment_twice(period, rows, seed, bos):
    probe = repeat_probe(range(10, 34), period=period, rows=rows, seed=seed, bos=bos)
    start = int(bos is not None)
    assert probe.tokens.shape == probe.unrelated.shape == (rows, 2 * period + start)
    first, second = probe.tokens[:, start : start + period], probe.tokens[:, start + period :]
    assert torch.equal(first, second)
    assert all(len(set(row)) == period and set(row) <= set(range(10, 34)) for row in first.tolist())
    assert torch.equal(probe.unrelated[:, start + period :], second)
    if bos is not None:
        assert (probe.tokens[:, 0] == bos).all()
        assert (probe.unrelated[:, 0] == bos).all()


@settings(max_examples=20)
@given(period=st.integers(2, 20), bos=st.sampled_from([None, 0]))
def test_query_and_match_point_at_the_copy(period, bos):
    probe = repeat_probe(range(10, 34), period=period, rows=3, seed=1, bos=bos)
    assert len(probe.query) == len(probe.match) == period - 1
    assert torch.equal(probe.tokens[:, probe.match], probe.tokens[:, probe.query + 1])
    assert torch.equal(probe.tokens[:, probe.match - 1], probe.tokens[:, probe.query])
    assert int(probe.query[-1]) == probe.tokens.shape[1] - 2
    assert int(probe.query[0]) == period + int(bos is not None)  # the first token that came before


def test_nothing_can_be_copied_from_the_unrelated_half():
    probe = probe_of(rows=32)
    same = (probe.unrelated[:, 1:32] == probe.tokens[:, 1:32]).float().mean()
    assert same < 0.06
    assert not torch.equal(probe.unrelated, probe.tokens)


def test_rows_are_all_different_and_seeded():
    probe, same, other = probe_of(), probe_of(), probe_of(seed=1)
    assert len({tuple(row) for row in probe.tokens.tolist()}) == 8
    assert torch.equal(probe.tokens, same.tokens)
    assert torch.equal(probe.unrelated, same.unrelated)
    assert not torch.equal(probe.tokens, other.tokens)


def test_repeated_ids_in_the_alphabet_count_once():
    probe = repeat_probe([5, 6, 5, 7, 6], period=3, rows=2, seed=0, bos=None)
    assert probe.alphabet_size == 3
    assert probe.chance == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"period": 1}, "period 1 needs at least 2"),
        ({"period": 50}, "at most 49 tokens"),
        ({"context": 62}, "two periods of 31 tokens need 63 positions but the context is 62"),
        ({"bos": 7}, "alphabet holds the BOS token 7"),
    ],
)
def test_a_probe_that_cannot_be_made_is_refused(fields, words):
    with pytest.raises(ConfigError, match=words):
        repeat_probe(ALPHABET, **{"period": 31, "rows": 2, "seed": 0, "bos": 0, **fields})


@settings(max_examples=40)
@given(context=st.integers(12, 80), periods=st.integers(2, 4), seed=st.integers(0, 99), bos=st.sampled_from([None, 0]))
def test_random_periods_differ_and_fit(context, periods, seed, bos):
    try:
        probes = random_period_probes(ALPHABET, rows=2, seed=seed, bos=bos, context=context, periods=periods)
    except ConfigError as error:
        assert context < 4 * periods
        assert "too short" in str(error)  # noqa: PT017 - either outcome is right
        return
    found = [probe.period for probe in probes]
    longest = (context - (bos is not None)) // 2
    assert found[0] == longest
    assert len(set(found)) == periods
    assert found == sorted(found, reverse=True)
    assert min(found) >= longest // 2
    assert all(probe.tokens.shape[1] <= context for probe in probes)


def test_periods_depend_on_the_seed():
    seconds = {random_period_probes(ALPHABET, rows=1, seed=seed, bos=0, context=64)[1].period for seed in range(20)}
    assert len(seconds) > 5


def test_a_small_alphabet_bounds_the_period():
    probes = random_period_probes(range(10), rows=1, seed=0, bos=None, context=64)
    assert probes[0].period == 10


# Copying


def test_the_hand_built_model_copies_everything(model):
    probe = probe_of()
    assert copy_hits(model, probe).shape == (8, 30)
    assert copy_hits(model, probe).min() == 1
    assert copy_log_probs(model, probe).min() > -0.05
    accuracy = copy_accuracy(model, [probe, probe_of(20)])
    assert (accuracy.estimate, accuracy.n, accuracy.unit, accuracy.metric) == (1.0, 16, "item", "copy.accuracy")
    assert accuracy.control == "chance 0.0204"


@pytest.mark.parametrize("head", ["L0.H0", "L1.H0"])
def test_without_one_of_its_heads_it_is_no_better_than_chance(model, head):
    probe = probe_of(rows=64)
    means = head_means(model, [head], [{"input_ids": probe.tokens}])
    with ablate_heads(model, [head], mode="mean", mean=means):
        accuracy = copy_accuracy(model, [probe])
    items = 64 * 30
    assert accuracy.estimate < probe.chance + 3 * (probe.chance * (1 - probe.chance) / items) ** 0.5
    assert copy_accuracy(model, [probe]).estimate == 1.0


def test_log_probs_and_hits_are_those_of_the_models_output(random_model):
    probe = probe_of(rows=3)
    log_probs, hits = copy_log_probs(random_model, probe), copy_hits(random_model, probe)
    random_model.eval()
    with torch.no_grad():
        expected = random_model(probe.tokens).logits.double().log_softmax(-1)
    random_model.train()
    for row in range(3):
        for place, position in enumerate(range(32, 62)):
            target = int(probe.tokens[row, position + 1])
            assert log_probs[row, place].item() == pytest.approx(expected[row, position, target].item(), abs=1e-5)
            assert hits[row, place].item() == float(expected[row, position].argmax() == target)


def test_measuring_switches_dropout_off_and_leaves_the_model_as_it_was(random_model):
    probe = probe_of()
    assert random_model.training
    assert torch.equal(copy_log_probs(random_model, probe), copy_log_probs(random_model, probe))
    assert random_model.training
    assert not copy_log_probs(random_model, probe).requires_grad
    with torch.no_grad():  # and dropout would have mattered
        assert not torch.equal(random_model(probe.tokens).logits, random_model(probe.tokens).logits)


def test_a_random_model_is_at_chance(random_model):
    accuracy = copy_accuracy(random_model, [probe_of(rows=64), probe_of(20, rows=64)])
    assert accuracy.estimate < 0.05
    assert accuracy.n == 128


# Few-shot recall


@pytest.mark.parametrize("shots", [1, 8, 24])
def test_the_hand_built_model_recalls_every_pair(model, shots):
    hits = fewshot_hits(model, ALPHABET, shots=shots, rows=32, seed=0, bos=0)
    assert hits.shape == (32,)
    assert hits.min() == 1


def test_without_its_induction_head_it_recalls_nothing(model):
    with ablate_heads(model, ["L1.H0"]):
        assert fewshot_hits(model, ALPHABET, shots=8, rows=64, seed=0, bos=0).mean() < 0.1


def test_every_pair_is_asked_for_and_the_prompts_are_seeded(model):
    seen = []
    handle = model.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    for seed in (0, 0, 1):
        fewshot_hits(model, ALPHABET, shots=4, rows=64, seed=seed, bos=0)
    handle.remove()
    prompts = seen[0]
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert prompts.shape == (64, 1 + 8 + 1)
    assert all(len(set(row[1:9])) == 8 for row in prompts.tolist())
    asked = {row[1:9].index(row[9]) for row in prompts.tolist()}
    assert asked == {0, 2, 4, 6}  # always a question, never an answer


def test_impossible_prompts_are_refused(model):
    with pytest.raises(ConfigError, match="25 shots need 50 different tokens but the alphabet has 49"):
        fewshot_hits(model, ALPHABET, shots=25, rows=2, seed=0, bos=0)
    with pytest.raises(ConfigError, match="holds the BOS token 3"):
        fewshot_hits(model, ALPHABET, shots=2, rows=2, seed=0, bos=3)


def test_chance_is_small_enough_to_tell_from_copying(model):
    probe = probe_of()
    assert probe.chance == pytest.approx(1 / 49)
    assert np.isclose(copy_accuracy(model, [probe]).low, 1.0)
