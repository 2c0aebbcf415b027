import pytest
import torch
from handmade_heads import CONTEXT, LOUD, VOCABULARY
from ordinal_heads import successor_transformer, writing_transformer
from tiny_families import CAUSAL, tiny

from imprint.errors import ModelError
from imprint.mechanisms.copying_weights import copying_weights, copying_weights_null, ov_eigenvalues
from imprint.mechanisms.ov_circuit import attention_norm, behind_norm, centres
from imprint.models import Anatomy, induction_transformer

LINEAR = [name for name in CAUSAL if name != "olmo2"]


def found_in(model, **options):
    return {each.head: each for each in copying_weights(model, **options)}


def full_circuit(model, address):
    """The [token, token] matrix itself: what reading one token adds to the logit of another."""
    anatomy = Anatomy(model)
    slices = anatomy.head_slices(address)
    value, out = (slices[role].matrix(model.get_parameter(slices[role].name)).detach() for role in ("v", "o"))
    embedding, unembedding = anatomy.embedding().weight.detach(), model.get_output_embeddings().weight.detach()
    written = behind_norm(attention_norm(model, int(address[1])), embedding) @ value.T @ out.T
    final = anatomy.final_norm()
    if centres(final, written.shape[1]):
        written = written - written.mean(-1, keepdim=True)
    gain = getattr(final, "weight", None)
    logits = (written if gain is None else written * gain.detach()) @ unembedding.T
    return logits - logits.mean(-1, keepdim=True)


def ordered(values):
    return sorted(values.tolist(), key=lambda z: (round(z.real, 6), round(z.imag, 6)))


@pytest.mark.parametrize("name", LINEAR)
def test_the_eigenvalues_are_those_of_the_full_circuit(name):
    """31 tokens, 24 dimensions, d_head 6 or 8: the dense matrix has these eigenvalues and zeros."""
    model = tiny(name)
    values = ov_eigenvalues(model)
    for layer, head in ((0, 0), (1, 3)):
        whole = torch.linalg.eigvals(full_circuit(model, f"L{layer}.H{head}"))
        kept = whole[whole.abs().argsort(descending=True)[: values.shape[-1]]]
        assert whole.abs().sort().values[: -values.shape[-1]].max() < 1e-4 * whole.abs().max()
        ours = ordered(values[layer, head])
        assert [z.real for z in ours] == pytest.approx([z.real for z in ordered(kept)], abs=1e-5)
        assert sorted(abs(z.imag) for z in ours) == pytest.approx(sorted(abs(z.imag) for z in kept.tolist()), abs=1e-5)


def test_a_copier_a_negative_copier_and_a_successor():
    eye = torch.eye(VOCABULARY, dtype=torch.float64)
    for model, ratio, positive in (
        (induction_transformer(50, CONTEXT), 1.0, 1.0),
        (writing_transformer(-LOUD * eye), -1.0, 0.0),
        (successor_transformer(), -1 / 49, 24 / 49),  # the 50th roots of unity without 1: 12 + 12 to the right
    ):
        head = found_in(model, draws=1)["L1.H0"]
        assert (head.ratio, head.positive) == pytest.approx((ratio, positive), abs=1e-6)


def test_heads_that_write_elsewhere_have_no_eigenvalues():
    found = found_in(induction_transformer(50, CONTEXT), draws=19)
    for name in ("L0.H0", "L0.H1", "L1.H1"):
        assert (found[name].ratio, found[name].positive) == (0.0, 0.0)
        assert found[name].p > 0.05 or found[name].ratio <= 0
    assert found["L1.H0"].p == pytest.approx(1 / 20)


def test_shuffled_tokens_are_the_null():
    """A perfect copier with shuffled tokens is a random permutation matrix: its ratio is (fixed points - 1) / 49."""
    null = copying_weights_null(induction_transformer(50, CONTEXT), draws=10, seed=0)
    assert null.max() < 0.15
    assert torch.equal(null, copying_weights_null(induction_transformer(50, CONTEXT), draws=10, seed=0))
    assert not torch.equal(null, copying_weights_null(induction_transformer(50, CONTEXT), draws=10, seed=1))


def test_shuffling_the_unembedding_itself_is_the_same():
    model = tiny("gpt_neox")
    order = torch.randperm(31, generator=torch.Generator().manual_seed(0))
    by_order = ov_eigenvalues(model, order)
    head = model.get_output_embeddings()
    with torch.no_grad():
        head.weight.copy_(head.weight[order])
    torch.testing.assert_close(ov_eigenvalues(model).abs().sort().values, by_order.abs().sort().values)


def test_what_no_probability_sees_changes_nothing():
    model = tiny("llama")
    before = ov_eigenvalues(model)
    head = model.get_output_embeddings()
    with torch.no_grad():
        head.weight += torch.randn(24, dtype=torch.float64)
    torch.testing.assert_close(ov_eigenvalues(model).abs().sort().values, before.abs().sort().values)


def test_forgetting_the_gain_would_be_seen():
    """Mutation: with another gain of the attention's norm the eigenvalues move."""
    model = tiny("gpt2")
    before = ov_eigenvalues(model)
    with torch.no_grad():
        model.transformer.h[0].ln_1.weight.mul_(torch.linspace(0.5, 2, 24))
    after = ov_eigenvalues(model)
    assert not torch.allclose(after[0].abs().sort().values, before[0].abs().sort().values)
    torch.testing.assert_close(after[1], before[1])


def test_a_model_that_normalises_afterwards_is_refused():
    with pytest.raises(ModelError):
        ov_eigenvalues(tiny("olmo2"))
