import pytest
import torch
from handmade_heads import CONTEXT, LOUD, VOCABULARY
from ordinal_heads import successor_transformer, writing_transformer
from tiny_families import tiny

from imprint.errors import ConfigError
from imprint.mechanisms.copying import CopyingProbe, copying_probe
from imprint.mechanisms.head_table import initial_maxima, score_heads
from imprint.models import Anatomy, Architecture, induction_transformer

ALPHABET = range(1, 50)


@pytest.fixture(scope="module")
def model():
    return induction_transformer(50, CONTEXT)


@pytest.fixture(scope="module")
def probe():
    return copying_probe(ALPHABET, rows=8, seed=0, bos=0)


def by_head(model, probe):
    return dict(zip(map(str, Anatomy(model).heads()), probe.rows(model).mean(-1).flatten().tolist(), strict=True))


def test_the_copier_scores_one_and_heads_that_write_elsewhere_zero(model, probe):
    assert by_head(model, probe) == pytest.approx({"L0.H0": 0, "L0.H1": 0, "L1.H0": 1, "L1.H1": 0}, abs=1e-12)


def test_its_negative_scores_minus_one(probe):
    anti = writing_transformer(-LOUD * torch.eye(VOCABULARY, dtype=torch.float64))
    assert by_head(anti, probe)["L1.H0"] == pytest.approx(-1.0)


def test_a_head_that_writes_the_next_token_does_not_copy(probe):
    """It lowers what it reads as all other tokens: one in 48 of 49, or one in 49 where the next token is the BOS."""
    assert len(probe.candidates) == 49
    score = by_head(successor_transformer(), probe)["L1.H0"]
    assert -1 / 48 <= score <= -1 / 49


def test_only_the_copier_is_named_and_it_beats_the_null(model, probe):
    found = score_heads(model, probe)
    assert [head.role for head in found.heads] == ["", "", "copying", ""]
    assert found.best().p == pytest.approx(1 / 200)
    assert found.best().score.low == pytest.approx(1.0)


def test_a_wrong_target_breaks_it(model, probe):
    """Mutation: judged by another token than the one read, the copier scores -1/48."""
    moved = probe.judged(probe.shares(model), torch.arange(49).roll(1)).mean(-1)
    assert moved[1, 0].item() == pytest.approx(-1 / 48)


def test_the_score_does_not_depend_on_the_batch_or_the_order_of_rows():
    model = tiny("llama")
    probe = copying_probe(range(1, 31), length=12, rows=6, seed=1, bos=0)
    whole = probe.rows(model)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(CopyingProbe(tokens=probe.tokens[order], first=1).rows(model), whole[..., order])


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama"])
def test_turning_a_head_round_turns_its_score_round(name):
    model = tiny(name)
    probe = copying_probe(range(1, 31), length=12, rows=4, seed=1)
    before = probe.rows(model)[1]
    out = Anatomy(model).head_slices("L1.H2")["o"]
    out.assign(model, -3 * out.view(model))
    after = probe.rows(model)[1]
    torch.testing.assert_close(after[2], -before[2])
    torch.testing.assert_close(after[[0, 1, 3]], before[[0, 1, 3]])
    assert before[2].abs().mean() > 0.01


def test_attention_to_the_bos_does_not_count(model):
    """The score is weighted by the attention that each token gets; one row's weights add to one."""
    probe = copying_probe(ALPHABET, rows=4, seed=0, bos=0)
    tables = probe.shares(writing_transformer(LOUD * torch.eye(VOCABULARY, dtype=torch.float64)))
    assert tables[1].shape == (2, 4, 25, len(probe.candidates))
    assert tables[1][0].relu().sum((-1, -2)).tolist() == pytest.approx([1.0] * 4)


@pytest.mark.parametrize("tied", [True, False])
def test_fresh_models_are_rarely_called(probe, tied):
    """With tied embeddings shuffled tokens alone call far too many: fresh models must be beaten as well."""
    sizes = {"vocab_size": 50, "n_positions": CONTEXT, "n_embd": 32, "n_layer": 2, "n_head": 4}
    tokens = {"tie_word_embeddings": tied, "bos_token_id": 0, "eos_token_id": 0}
    fresh = [Architecture(model_type="gpt2", config=sizes | tokens).initialise(seed) for seed in range(39)]
    maxima = initial_maxima(probe, fresh)
    assert maxima.max() < 0.15
    called = [
        score_heads(model, probe, initial_maxima=maxima[20:], draws=39, seed=seed).best() is not None
        for seed, model in enumerate(fresh[:20])
    ]
    assert sum(called) <= 4


def test_probes_that_cannot_be_built():
    with pytest.raises(ConfigError, match="alphabet's size"):
        copying_probe(range(10), length=11)
    with pytest.raises(ConfigError, match="BOS"):
        copying_probe(range(30), length=11, bos=3)
