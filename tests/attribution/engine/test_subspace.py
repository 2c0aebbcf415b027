import pytest
import torch
from attribution_models import FAMILIES, ragged_rows, tiny
from torch.func import functional_call

from imprint.attribution import head_subspace, weight_matrix
from imprint.errors import ComponentNotFound
from imprint.models import Anatomy, label_mask, loss_gradients, token_losses

HEADS = ["L0.H0", "L1.H2", "L1.H3"]


def slices_only_gradient(model, head, tokens, lengths):
    """Per-row gradients of a model in which only the slices of one head are parameters: role -> [row, out, in]."""
    slices = {role: piece for role, piece in Anatomy(model).head_slices(head).items() if len(role) == 1}
    leaves = {role: piece.view(model).clone().requires_grad_(True) for role, piece in slices.items()}
    parameters = {name: value.detach().clone() for name, value in model.named_parameters()}
    for role, piece in slices.items():
        parameters[piece.name] = parameters[piece.name].index_copy(piece.dim, piece.index, leaves[role])
    logits = functional_call(model, parameters, (tokens[:, :-1],), {"use_cache": False}).logits
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
    sums = (losses * label_mask(lengths, losses.shape[1])).sum(1)
    rows = [torch.autograd.grad(total, list(leaves.values()), retain_graph=True) for total in sums]
    stacked = {role: torch.stack([row[number] for row in rows]) for number, role in enumerate(leaves)}
    return {role: grad.mT if slices[role].transposed else grad for role, grad in stacked.items()}


def block_gradients(model, subspace, tokens, lengths):
    captured, _ = loss_gradients(model, subspace.modules, tokens, lengths)
    return dict(zip((block.name for block in subspace.blocks), subspace.gradients(captured), strict=True))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_are_the_gradient_of_a_model_with_only_these_slices(family, head):
    model = tiny(family)
    tokens, lengths = ragged_rows(4)
    exact = slices_only_gradient(model, head, tokens, lengths)
    ours = block_gradients(model, head_subspace(model, head), tokens, lengths)
    assert list(ours) == ["qk", "v", "o"]
    torch.testing.assert_close(ours["qk"], torch.cat([exact["q"], exact["k"]], dim=1), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(ours["v"], exact["v"], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(ours["o"], exact["o"], rtol=1e-9, atol=1e-12)
    assert all(piece.norm() > 1e-3 for piece in ours.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_wrong_head_is_not_the_gradient(family):
    """The comparison above must be able to fail: another head's blocks are far away."""
    model = tiny(family)
    tokens, lengths = ragged_rows(4)
    exact = slices_only_gradient(model, "L1.H0", tokens, lengths)
    other = block_gradients(model, head_subspace(model, "L1.H2"), tokens, lengths)
    assert (other["v"] - exact["v"]).norm() > 0.1 * exact["v"].norm()
    assert (other["o"] - exact["o"]).norm() > 0.1 * exact["o"].norm()


@pytest.mark.parametrize("family", FAMILIES)
def test_perturbing_another_head_leaves_shapes_and_slices_right(family):
    model, tokens_lengths = tiny(family), ragged_rows(4)
    before = block_gradients(model, head_subspace(model, "L1.H0"), *tokens_lengths)
    other = head_subspace(model, "L1.H3")
    directions = [torch.ones_like(piece[0]) for piece in block_gradients(model, other, *tokens_lengths).values()]
    with other.shifted(directions, 0.3):
        after = block_gradients(model, head_subspace(model, "L1.H0"), *tokens_lengths)
        exact = slices_only_gradient(model, "L1.H0", *tokens_lengths)
    assert {name: piece.shape for name, piece in after.items()} == {name: p.shape for name, p in before.items()}
    torch.testing.assert_close(after["qk"], torch.cat([exact["q"], exact["k"]], dim=1), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(after["o"], exact["o"], rtol=1e-9, atol=1e-12)
    assert (after["o"] - before["o"]).norm() > 1e-3 * before["o"].norm()  # the gradient itself does depend on it


@pytest.mark.parametrize("family", FAMILIES)
def test_shift_moves_the_heads_own_slices_and_nothing_else(family):
    model = tiny(family)
    slices = {r: p for r, p in Anatomy(model).head_slices("L1.H2").items() if len(r) == 1}
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    subspace = head_subspace(model, "L1.H2")
    tokens, lengths = ragged_rows(2)
    directions = [torch.randn_like(p[0]) for p in block_gradients(model, subspace, tokens, lengths).values()]
    queries, keys = directions[0].split([len(slices["q"].index), len(slices["k"].index)])
    expected = {"q": queries, "k": keys, "v": directions[1], "o": directions[2]}
    with subspace.shifted(directions, -0.5):
        inside = {name: value.detach().clone() for name, value in model.named_parameters()}
    after = dict(model.named_parameters())
    moved = {name: inside[name] - before[name] for name in before}
    for role, piece in slices.items():
        torch.testing.assert_close(piece.matrix(moved[piece.name]), -0.5 * expected[role])
        rest = torch.ones(moved[piece.name].shape[piece.dim], dtype=torch.bool)
        for other in slices.values():
            if other.name == piece.name:
                rest[other.index] = False
        assert bool((moved[piece.name].index_select(piece.dim, rest.nonzero()[:, 0]) == 0).all())
    touched = {piece.name for piece in slices.values()}
    assert all(bool((moved[name] == 0).all()) for name in before if name not in touched)
    assert all(torch.equal(after[name], before[name]) for name in before)


def fail_inside(model, subspace, directions, changed):
    with subspace.shifted(directions, 1.0):
        assert not torch.equal(model.transformer.h[0].attn.c_attn.weight, changed)
        raise ZeroDivisionError


@pytest.mark.parametrize(("last", "error"), [((16, 4), ZeroDivisionError), ((7, 2), RuntimeError)])
def test_shift_restores_bit_for_bit_after_an_exception(last, error):
    """Whether the block fails or, half-way through the shift, a direction of the wrong shape."""
    model = tiny()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    directions = [torch.full(shape, 0.1) for shape in ((8, 16), (4, 16), last)]
    with pytest.raises(error):
        fail_inside(model, head_subspace(model, "L0.H1"), directions, before["transformer.h.0.attn.c_attn.weight"])
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
    assert all(value.requires_grad for value in model.parameters())


@pytest.mark.parametrize(("parts", "blocks"), [("qkvo", ["qk", "v", "o"]), ("qk", ["qk"]), ("vo", ["v", "o"])])
def test_parts_choose_blocks(parts, blocks):
    model = tiny("llama")
    subspace = head_subspace(model, "L1.H1", parts)
    assert [block.name for block in subspace.blocks] == blocks
    assert subspace.name == f"L1.H1/{parts}"
    tokens, lengths = ragged_rows(2)
    whole = block_gradients(model, head_subspace(model, "L1.H1"), tokens, lengths)
    for name, piece in block_gradients(model, subspace, tokens, lengths).items():
        torch.testing.assert_close(piece, whole[name])


def test_grouped_heads_share_keys_and_values_but_not_queries():
    model = tiny("llama")
    tokens, lengths = ragged_rows(3)
    one, same_group, other_group = (
        block_gradients(model, head_subspace(model, head), tokens, lengths) for head in ("L1.H0", "L1.H1", "L1.H2")
    )
    torch.testing.assert_close(one["v"], same_group["v"])
    torch.testing.assert_close(one["qk"][:, 4:], same_group["qk"][:, 4:])
    assert (one["qk"][:, :4] - same_group["qk"][:, :4]).norm() > 1e-3
    assert (one["v"] - other_group["v"]).norm() > 1e-3


def test_a_subspace_moves_to_another_model_of_the_architecture():
    one, two = tiny(seed=0), tiny(seed=5)
    moved = head_subspace(one, "L1.H1").on(two)
    assert moved.modules["transformer.h.1.attn.c_attn"] is two.transformer.h[1].attn.c_attn
    tokens, lengths = ragged_rows(2)
    ours = block_gradients(two, moved, tokens, lengths)
    direct = block_gradients(two, head_subspace(two, "L1.H1"), tokens, lengths)
    assert all(torch.equal(ours[name], direct[name]) for name in ours)


def test_weight_matrix_is_a_view_with_outputs_first():
    conv, linear = tiny().transformer.h[0].attn.c_attn, tiny("llama").model.layers[0].self_attn.q_proj
    assert weight_matrix(conv).shape == (48, 16)
    assert weight_matrix(linear).shape == (16, 16)
    assert weight_matrix(conv).data_ptr() == conv.weight.data_ptr()
    x = torch.randn(5, 16, dtype=torch.float64)
    torch.testing.assert_close(x @ weight_matrix(conv).T + conv.bias, conv(x))


@pytest.mark.parametrize("address", ["L2.H0", "L0.H4", "L0.mlp", "nonsense"])
def test_what_is_not_a_head_is_refused(address):
    with pytest.raises(ComponentNotFound):
        head_subspace(tiny(), address)


def test_capturing_leaves_the_model_as_it_was():
    model = tiny()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    tokens, lengths = ragged_rows(2)
    block_gradients(model, head_subspace(model, "L0.H0"), tokens, lengths)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert token_losses(model(tokens[:, :-1]).logits, tokens[:, 1:]).requires_grad
