import pytest
import torch
from attribution_models import FAMILIES, likelihood_query, ragged_rows, tiny

from imprint.attribution.engine import (
    EkfacOptions,
    direction_subspace,
    fit_factors,
    head_subspace,
    head_subspaces,
    influence,
    neuron_subspace,
    precondition,
    query_gradient,
    row_gradients,
    weight_matrix,
    whole_model,
)
from imprint.errors import ComponentNotFound, ConfigError
from imprint.models import label_mask, loss_gradients, token_losses

DATA = EkfacOptions(labels="data")


def autograd_rows(model, tokens, lengths):
    """Gradient of each row's summed loss at every parameter, by name."""
    rows = []
    parameters = dict(model.named_parameters())
    for row in range(len(tokens)):
        losses = token_losses(model(tokens[row : row + 1, :-1]).logits, tokens[row : row + 1, 1:])
        total = (losses * label_mask(lengths[row : row + 1], losses.shape[1])).sum()
        rows.append(dict(zip(parameters, torch.autograd.grad(total, list(parameters.values())), strict=True)))
    return rows


@pytest.mark.parametrize("family", FAMILIES)
def test_whole_model_is_every_linear_map_of_the_blocks_with_its_bias(family):
    model = tiny(family)
    tokens, lengths = ragged_rows(4)
    subspace = whole_model(model)
    ours = row_gradients(model, subspace, tokens, lengths)
    exact = autograd_rows(model, tokens, lengths)
    assert len(subspace.blocks) == {"gpt2": 8, "gpt_neox": 8, "llama": 14}[family]
    for block, gradient in zip(subspace.blocks, ours, strict=True):
        module = model.get_submodule(block.name)
        for row in range(4):
            weight = weight_matrix(module, exact[row][f"{block.name}.weight"])
            torch.testing.assert_close(gradient[row, :, : weight.shape[1]], weight, rtol=1e-9, atol=1e-12)
            if block.bias:
                torch.testing.assert_close(
                    gradient[row, :, -1], exact[row][f"{block.name}.bias"], rtol=1e-9, atol=1e-12
                )
        assert block.bias == (module.bias is not None)
        assert gradient.shape[1:] == subspace.block_shape(block)


def test_chosen_layers_and_no_biases():
    model = tiny()
    names = [block.name for block in whole_model(model, layers=[1]).blocks]
    assert len(names) == 4
    assert all(".h.1." in name for name in names)
    assert not any(block.bias for block in whole_model(model, bias=False).blocks)
    with pytest.raises(ComponentNotFound, match="layers 0 to 1"):
        whole_model(model, layers=[2])


def test_a_tied_embedding_is_refused():
    with pytest.raises(ConfigError, match="tied to the unembedding"):
        whole_model(tiny("gpt2"), embedding=True)


@pytest.mark.parametrize("family", ["gpt_neox", "llama"])
def test_embedding_is_autograds_gradient_of_the_table(family):
    model = tiny(family)
    tokens, lengths = ragged_rows(4)
    subspace = whole_model(model, embedding=True)
    ours = row_gradients(model, subspace, tokens, lengths)[0]
    name = subspace.blocks[0].name
    for row, exact in enumerate(autograd_rows(model, tokens, lengths)):
        torch.testing.assert_close(ours[row], exact[f"{name}.weight"].T, rtol=1e-9, atol=1e-12)


def brute_influence(model, subspace, tokens, lengths, query, factors):
    """- grad L(z) . (dense damped curvature)^-1 grad f, one linear solve a block."""
    gradient, rows = query_gradient(model, subspace, query), row_gradients(model, subspace, tokens, lengths)
    total = torch.zeros(len(tokens), dtype=torch.float64)
    for block, piece, mine in zip(factors, gradient, rows, strict=True):
        inputs = torch.eye(piece.shape[1], dtype=torch.float64) if block.input_basis is None else block.input_basis
        basis = torch.kron(block.output_basis.contiguous(), inputs.contiguous())
        dense = basis @ torch.diag(block.damped().flatten()) @ basis.T
        total -= mine.flatten(1) @ torch.linalg.solve(dense, piece.flatten())
    return total


@pytest.mark.parametrize("family", FAMILIES)
def test_influence_with_biases_and_embedding_is_the_dense_solution(family):
    model = tiny(family)
    tokens, lengths = ragged_rows(9)
    subspace = whole_model(model, embedding=family != "gpt2")
    query = likelihood_query(ragged_rows(3, seed=8)[0])
    factors = fit_factors(model, subspace, tokens, lengths, DATA, seed=0)
    scores, _ = influence(model, subspace, [query], tokens, lengths, DATA, seed=0, by_token=False)
    exact = brute_influence(model, subspace, tokens, lengths, query, factors)
    torch.testing.assert_close(torch.from_numpy(scores.of("likelihood")), exact, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_split_by_group_add_up_and_equal_the_sum_over_tokens(family):
    model = tiny(family)
    tokens, lengths = ragged_rows(9)
    subspace = whole_model(model)
    query = likelihood_query(ragged_rows(3, seed=8)[0])
    by_row, _ = influence(model, subspace, [query], tokens, lengths, DATA, seed=0, by_token=False)
    by_token, _ = influence(model, subspace, [query], tokens, lengths, DATA, seed=0, by_token=True)
    assert by_row.by_group.shape == (2, len(subspace.blocks), 9)
    torch.testing.assert_close(torch.from_numpy(by_row.by_group.sum(1)), torch.from_numpy(by_row.rows))
    torch.testing.assert_close(torch.from_numpy(by_row.rows), torch.from_numpy(by_token.rows), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_heads_in_one_pass_are_each_head_alone(family):
    model = tiny(family)
    tokens, lengths = ragged_rows(9)
    query = likelihood_query(ragged_rows(3, seed=8)[0])
    together, _ = influence(
        model, head_subspaces(model), [query], tokens, lengths, DATA, seed=0, by_token=False, plain=False
    )
    assert together.groups == tuple(f"L{layer}.H{head}" for layer in range(2) for head in range(4))
    for name in ("L0.H0", "L1.H2"):
        alone, _ = influence(model, head_subspace(model, name), [query], tokens, lengths, DATA, seed=0)
        ours = together.by_group[0, together.groups.index(name)]
        torch.testing.assert_close(
            torch.from_numpy(ours), torch.from_numpy(alone.of("likelihood")), rtol=1e-7, atol=1e-9
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_neurons_are_their_rows_in_and_columns_out(family):
    model = tiny(family)
    tokens, lengths = ragged_rows(4)
    neurons = [1, 4, 5]
    subspace = neuron_subspace(model, 1, neurons)
    ours = dict(zip((b.name for b in subspace.blocks), row_gradients(model, subspace, tokens, lengths), strict=True))
    into = {"gpt2": ["c_fc"], "gpt_neox": ["dense_h_to_4h"], "llama": ["gate_proj", "up_proj"]}[family]
    assert list(ours) == [*(f"in/{name}" for name in into), "out"]
    whole = dict(
        zip(
            (
                b.name.rsplit(".", 1)[-1] + ("" if ".mlp." in b.name else "/attn")
                for b in whole_model(model, layers=[1]).blocks
            ),
            row_gradients(model, whole_model(model, layers=[1]), tokens, lengths),
            strict=True,
        )
    )
    for name in into:
        torch.testing.assert_close(ours[f"in/{name}"], whole[name][:, neurons])
    out = {"gpt2": "c_proj", "gpt_neox": "dense_4h_to_h", "llama": "down_proj"}[family]
    torch.testing.assert_close(ours["out"], whole[out][:, :, neurons])
    with pytest.raises(ComponentNotFound, match="has neurons 0 to"):
        neuron_subspace(model, 1, [999])


def test_a_direction_is_the_coordinate_of_what_the_layer_writes():
    model = tiny()
    tokens, lengths = ragged_rows(4)
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(16, 2, generator=generator, dtype=torch.float64)
    subspace = direction_subspace(model, 1, raw)
    basis = torch.linalg.qr(raw)[0]
    (ours,) = row_gradients(model, subspace, tokens, lengths)
    (whole,) = (
        gradient
        for block, gradient in zip(
            whole_model(model, layers=[1]).blocks,
            row_gradients(model, whole_model(model, layers=[1]), tokens, lengths),
            strict=True,
        )
        if block.name.endswith("mlp.c_proj")
    )
    torch.testing.assert_close(ours, basis.T @ whole)
    query = likelihood_query(ragged_rows(3, seed=8)[0])
    scores, _ = influence(model, subspace, [query], *ragged_rows(9), DATA, seed=0)
    assert scores.checks["finite_difference/likelihood"] < 1e-4  # moving along the direction is what it says
    with pytest.raises(ConfigError, match="linearly dependent"):
        direction_subspace(model, 1, torch.ones(16, 2))
    with pytest.raises(ConfigError, match="columns of length 16"):
        direction_subspace(model, 1, torch.ones(5, 2))


def test_blocks_that_read_the_same_input_share_one_factor():
    model = tiny("llama")
    tokens, lengths = ragged_rows(9)
    subspace = whole_model(model, layers=[0])
    names = [block.name.rsplit(".", 1)[-1] for block in subspace.blocks]
    fitted = fit_factors(model, subspace, tokens, lengths, DATA, seed=0)
    factors = dict(zip(names, fitted, strict=True))
    assert factors["q_proj"].input_basis is factors["k_proj"].input_basis is factors["v_proj"].input_basis
    assert factors["gate_proj"].input_basis is factors["up_proj"].input_basis
    assert factors["o_proj"].input_basis is not factors["q_proj"].input_basis


@pytest.mark.parametrize("family", FAMILIES)
def test_a_second_pass_for_want_of_memory_changes_nothing(family):
    model = tiny(family)
    tokens, lengths = ragged_rows(9)
    subspace = whole_model(model)
    kept, again = (
        fit_factors(model, subspace, tokens, lengths, EkfacOptions(batch=2, keep_bytes=size), seed=0)
        for size in (1 << 30, 0)
    )
    for one, other in zip(kept, again, strict=True):
        assert torch.equal(one.eigenvalues, other.eigenvalues)
        assert torch.equal(one.output_basis, other.output_basis)


def test_a_share_of_rows_for_the_bases_sees_all_rows_for_the_eigenvalues():
    model = tiny()
    tokens, lengths = ragged_rows(40)
    subspace = whole_model(model)
    (half, *_), (full, *_) = (
        fit_factors(model, subspace, tokens, lengths, EkfacOptions(labels="data", batch=4, basis_share=share), seed=0)
        for share in (0.5, 1.0)
    )
    assert not torch.allclose(half.input_basis.abs(), full.input_basis.abs(), atol=1e-3)
    # The sum over all coordinates of the squared gradients does not depend on the basis.
    assert float(half.eigenvalues.sum()) == pytest.approx(float(full.eigenvalues.sum()), rel=1e-9)


def test_per_token_eigenvalues_treat_positions_as_independent():
    model = tiny()
    tokens, lengths = ragged_rows(9)
    subspace = head_subspace(model, "L1.H1")
    factors = fit_factors(model, subspace, tokens, lengths, EkfacOptions(labels="data", eigenvalues="token"), seed=0)
    captured, _ = loss_gradients(model, subspace.modules, tokens, lengths)
    for number, (block, mine) in enumerate(zip(subspace.blocks, factors, strict=True)):
        u = block.inputs(captured) @ mine.input_basis
        v = block.deltas(captured) @ mine.output_basis
        exact = torch.einsum("bto,bti->oi", v.square(), u.square()) / 9
        torch.testing.assert_close(mine.eigenvalues, exact, msg=f"block {number}")


def test_preconditioning_a_stack_is_preconditioning_each():
    model = tiny()
    tokens, lengths = ragged_rows(9)
    subspace = whole_model(model)
    factors = fit_factors(model, subspace, tokens, lengths, DATA, seed=0)
    rows = row_gradients(model, subspace, tokens, lengths)
    stacked = precondition(factors, rows)
    for row in (0, 5):
        alone = precondition(factors, [piece[row] for piece in rows])
        for one, many in zip(alone, stacked, strict=True):
            torch.testing.assert_close(one, many[row])
