import numpy as np
import pytest
import torch
from tiny_families import CAUSAL, tiny

from imprint.errors import ComponentNotFound, ConfigError, ContextTooLong
from imprint.mechanisms import head_activations
from imprint.models import Anatomy, ablate_heads, induction_transformer, record

TOKENS = np.random.default_rng(0).integers(1, 31, (5, 9))
LENGTHS = np.array([9, 4, 9, 1, 7])


@pytest.mark.parametrize("name", [*CAUSAL, "bert"])
def test_it_is_the_length_of_what_a_head_adds(name):
    """The layer's attention output with the head minus without it, in every family with one tower."""
    model = tiny(name)
    found = head_activations(model, TOKENS, LENGTHS, ["L0.H1", "L1.H3"])
    assert found.shape == (5, 2)
    ids, mask = torch.from_numpy(TOKENS[:1]), torch.ones(1, 9, dtype=torch.long)
    for column, head in enumerate(["L0.H1", "L1.H3"]):
        layer = f"{head[:2]}.attn"
        with torch.no_grad(), record(model, [layer]) as whole:
            model.base_model(input_ids=ids, attention_mask=mask)
        with torch.no_grad(), ablate_heads(model, [head]), record(model, [layer]) as without:
            model.base_model(input_ids=ids, attention_mask=mask)
        written = (whole[layer] - without[layer])[0].norm(dim=-1).mean()
        assert found[0, column] == pytest.approx(written.item())


def test_padding_and_batches_do_not_matter():
    model = tiny("llama")
    heads = [str(head) for head in Anatomy(model).heads()]
    whole = head_activations(model, TOKENS, LENGTHS, heads)
    other = TOKENS.copy()
    other[1, 4:] = 30
    np.testing.assert_allclose(head_activations(model, other, LENGTHS, heads, batch=2), whole)
    alone = head_activations(model, TOKENS[3:4, :1], np.array([1]), heads)
    np.testing.assert_allclose(alone[0], whole[3])


def test_a_silent_head_is_silent_and_an_induction_head_writes_more_on_repeats():
    model = induction_transformer()
    rng = np.random.default_rng(0)
    first = np.stack([rng.permutation(np.arange(1, 50))[:24] for _ in range(6)])
    repeats = np.concatenate([first, first], axis=1)
    mixed = np.stack([rng.permutation(np.arange(1, 50))[:48] for _ in range(6)])
    sizes = np.full(6, 48)
    counted = []
    heads = ["L1.H0", "L1.H1"]
    on_repeats = head_activations(model, repeats, sizes, heads, advance=counted.append, batch=4)
    on_mixed = head_activations(model, mixed, sizes, heads)
    assert on_repeats[:, 0].min() > 1.5 * on_mixed[:, 0].max()
    assert np.abs(on_repeats[:, 1]).max() == 0.0
    assert counted == [4, 2]


def test_documents_that_cannot_be_measured_are_refused():
    model = tiny("gpt2")
    with pytest.raises(ConfigError, match="at least one token"):
        head_activations(model, TOKENS, np.array([9, 0, 9, 1, 7]), ["L0.H0"])
    with pytest.raises(ContextTooLong, match="context of 16"):
        head_activations(model, np.ones((2, 17), dtype=np.int64), np.array([17, 17]), ["L0.H0"])
    with pytest.raises(ComponentNotFound, match="heads 0 to 3"):
        head_activations(model, TOKENS, LENGTHS, ["L0.H9"])
