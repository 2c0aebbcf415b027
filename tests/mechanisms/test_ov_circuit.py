import pytest
import torch
from handmade_heads import LOUD, VOCABULARY
from ordinal_heads import writing_transformer
from tiny_families import CAUSAL, inputs, tiny
from torch import nn

from imprint.errors import ContextTooLong, ModelError
from imprint.mechanisms.ov_circuit import attention_norm, behind_norm, centres, has_direct_path, ov_logits, raised_share
from imprint.models import Anatomy, attention_patterns, hooked, record

READABLE = [name for name in CAUSAL if name != "falcon-rw"]
LINEAR = [name for name in CAUSAL if name != "olmo2"]
EVERY_TOKEN = torch.arange(31)


def candidates_of(tokens, size=31):
    return torch.arange(size).expand(len(tokens), -1)


def dense(model, written):
    """The logits of something written into the stream, by the full unembedding: gain, centring, mean of the vocabulary."""
    norm, head = Anatomy(model).final_norm(), model.get_output_embeddings()
    if centres(norm, written.shape[-1]):
        written = written - written.mean(-1, keepdim=True)
    gain = getattr(norm, "weight", None)
    logits = (written if gain is None else written * gain) @ head.weight.T
    return (logits - logits.mean(-1, keepdim=True)).detach()


@pytest.mark.parametrize("name", [name for name in READABLE if name != "olmo2"])
def test_read_with_the_real_attention_the_parts_add_up_to_the_head(name):
    """Sum over positions of attention times OV logits = the direct effect of the head's recorded output."""
    model, tokens = tiny(name), inputs(name)["input_ids"]
    anatomy, patterns = Anatomy(model), attention_patterns(model, tokens)
    heads = [str(head) for head in anatomy.heads()]
    with torch.no_grad(), record(model, heads) as states:
        model(input_ids=tokens)
    for layer, logits in enumerate(ov_logits(model, tokens, candidates_of(tokens))):
        for head in range(anatomy.num_heads):
            slices = anatomy.head_slices(f"L{layer}.H{head}")
            out = slices["o"].matrix(model.get_parameter(slices["o"].name)).detach()
            together = torch.einsum("rtj,rjc->rtc", patterns[layer][:, head], logits[head])
            whole = dense(model, states[f"L{layer}.H{head}"] @ out.T)
            # Most families take their softmax in single precision.
            torch.testing.assert_close(together, whole, rtol=1e-5, atol=1e-5)


def test_the_hand_built_matrix_is_read_off():
    matrix = torch.randn(VOCABULARY, VOCABULARY, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tokens = torch.arange(1, 11).reshape(2, 5)
    layers = list(ov_logits(writing_transformer(matrix), tokens, candidates_of(tokens, VOCABULARY)))
    wanted = matrix[tokens] - matrix[tokens].mean(-1, keepdim=True)
    torch.testing.assert_close(layers[1][0], wanted)
    assert layers[0].abs().max() == layers[1][1].abs().max() == 0


@pytest.mark.parametrize("name", LINEAR)
def test_the_norm_that_attention_reads_is_found(name):
    model, tokens = tiny(name), inputs(name)["input_ids"]
    seen = {}
    norm = attention_norm(model, 1)
    hooks = [
        (norm, "post", lambda t: seen.__setitem__("made", t)),
        (Anatomy(model).projection("v", 1), "pre", lambda t: seen.__setitem__("read", t)),
    ]
    with torch.no_grad(), hooked(model, hooks):
        model(input_ids=tokens)
    assert seen["made"] is seen["read"]


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "olmo"])
def test_a_norm_is_its_gain_and_centring_up_to_scale_and_bias(name):
    model = tiny(name)
    norm = attention_norm(model, 0)
    states = torch.randn(5, 24, dtype=torch.float64)
    with torch.no_grad():
        real = norm(states) - (getattr(norm, "bias", None) if getattr(norm, "bias", None) is not None else 0)
    ours = behind_norm(norm, states)
    ratio = real / ours
    assert torch.allclose(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-4)
    assert (ratio > 0).all()


def test_which_norms_centre():
    assert centres(nn.LayerNorm(24), 24)
    assert not centres(nn.RMSNorm(24), 24)
    assert not centres(nn.Identity(), 24)
    tiny_gain = nn.RMSNorm(24)
    nn.init.constant_(tiny_gain.weight, 1e-4)
    assert not centres(tiny_gain, 24)
    assert centres(nn.LayerNorm(24).bfloat16(), 24)
    assert not centres(nn.RMSNorm(24).bfloat16(), 24)


def test_a_model_without_a_linear_direct_path_is_refused():
    for name in ("olmo2", "bert"):
        model, tokens = tiny(name), inputs(name)["input_ids"]
        with pytest.raises(ModelError, match="direct path"):
            next(ov_logits(model, tokens, candidates_of(tokens)))
    with pytest.raises(ModelError, match="No norm"):
        attention_norm(tiny("olmo2"), 0)


def test_too_long_a_row_is_refused():
    with pytest.raises(ContextTooLong):
        next(ov_logits(tiny("gpt2"), torch.ones(1, 17, dtype=torch.long), torch.ones(1, 2, dtype=torch.long)))


# The share


def test_shares_by_hand():
    assert raised_share(torch.tensor([3.0, 1.0, -1.0, -4.0])).tolist() == pytest.approx([0.75, 0.25, -0.2, -0.8])
    assert raised_share(torch.tensor([2.0, 0.0, 0.0])).tolist() == [1.0, 0.0, 0.0]
    assert raised_share(torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_shares_are_fair_odd_and_without_scale():
    logits = torch.randn(7, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shares = raised_share(logits)
    torch.testing.assert_close(shares.sum(-1), torch.zeros(7, dtype=torch.float64))
    torch.testing.assert_close(raised_share(LOUD * logits), shares)
    torch.testing.assert_close(raised_share(-logits), -shares)
    assert shares.abs().max() <= 1


def test_it_is_known_beforehand_which_models_have_the_path():
    assert [name for name in [*CAUSAL, "bert"] if not has_direct_path(tiny(name))] == ["olmo2", "bert"]
