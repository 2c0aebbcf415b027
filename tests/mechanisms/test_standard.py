import pytest
import torch
from handmade_heads import CONTEXT
from ordinal_heads import duplicate_transformer, successor_transformer

from imprint.errors import ConfigError
from imprint.mechanisms import MECHANISMS, score_heads, standard_mechanism
from imprint.models import Architecture, induction_transformer

ALPHABET = range(1, 50)
SUCCESSORS = [(token, token + 1) for token in range(1, 30)]
WHOSE = {
    "previous_token": (lambda: induction_transformer(50, CONTEXT), "L0.H0"),
    "copying": (lambda: induction_transformer(50, CONTEXT), "L1.H0"),
    "duplicate_token": (duplicate_transformer, "L0.H1"),
    "successor": (successor_transformer, "L1.H0"),
}


def build(name, **options):
    fixed = {"context": CONTEXT, "rows": 8, "bos": 0, "successors": SUCCESSORS}
    return standard_mechanism(name, ALPHABET, **{**fixed, **options})


@pytest.mark.parametrize("name", MECHANISMS)
def test_each_names_the_head_that_was_built_for_it_and_no_other(name):
    model, head = WHOSE[name]
    found = score_heads(model(), build(name))
    assert found.mechanism == name.replace("_", " ")
    assert [each.head for each in found.heads if each.role] == [head]


@pytest.mark.parametrize("name", MECHANISMS)
def test_none_of_them_is_in_a_fresh_model(name):
    sizes = {"vocab_size": 50, "n_positions": CONTEXT, "n_embd": 32, "n_layer": 2, "n_head": 2}
    fresh = [
        Architecture(config={**sizes, "bos_token_id": 0, "eos_token_id": 0}).initialise(seed) for seed in range(20)
    ]
    mechanism = build(name)
    maxima = torch.stack([mechanism.rows(model).mean(-1).max() for model in fresh[1:]])
    assert score_heads(fresh[0], mechanism, initial_maxima=maxima).best() is None


@pytest.mark.parametrize("context", [6, 12, 64])
@pytest.mark.parametrize("name", MECHANISMS[:3])
def test_the_sequences_fit_the_context_and_the_alphabet(name, context):
    for alphabet in (range(1, 6), ALPHABET):
        tokens = standard_mechanism(name, alphabet, context=context, rows=8, bos=0).tokens
        assert tokens.shape[0] == 8
        assert tokens.shape[1] <= context
        assert set(tokens[:, 1:].flatten().tolist()) <= set(alphabet)
        assert tokens[:, 0].tolist() == [0] * 8


@pytest.mark.parametrize("name", MECHANISMS[:3])
def test_the_seed_decides_and_nothing_else(name):
    assert torch.equal(build(name).tokens, build(name).tokens)
    assert not torch.equal(build(name).tokens, build(name, seed=1).tokens)


def test_what_cannot_be_built():
    with pytest.raises(ConfigError, match="'induction' is no mechanism"):
        build("induction")
    with pytest.raises(ConfigError, match="3"):
        build("successor", successors=[(1, 2)])
    for name in MECHANISMS[:3]:
        with pytest.raises(ConfigError, match="BOS token 7"):
            build(name, bos=7)
