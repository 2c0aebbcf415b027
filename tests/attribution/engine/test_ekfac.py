import numpy as np
import pytest
import torch
from attribution_models import flat, ragged_rows, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from imprint.attribution import Block, BlockFactors, EkfacOptions, Subspace, fit_factors, head_subspace, precondition
from imprint.attribution.engine.ekfac import split_half
from imprint.errors import SelfCheckFailed
from imprint.models import label_mask, token_losses

DATA = EkfacOptions(labels="data")


class OneLayerConfig(PreTrainedConfig):
    model_type = "one_layer"


class OneLayer(PreTrainedModel):
    """logits = W e(token) with W = 0: every label is equally likely, so the Fisher is E[e e^T] x (I/V - 1/V^2) exactly."""

    config_class = OneLayerConfig

    def __init__(self, vocabulary, width, seed=0):
        super().__init__(OneLayerConfig())
        self.embedding = nn.Embedding(vocabulary, width)
        self.linear = nn.Linear(width, vocabulary, bias=False)
        with torch.no_grad():
            mixing = torch.randn(width, width, generator=torch.Generator().manual_seed(seed + 1))
            table = torch.randn(vocabulary, width, generator=torch.Generator().manual_seed(seed))
            self.embedding.weight.copy_(table @ mixing)
            self.linear.weight.zero_()

    def forward(self, tokens, use_cache=False):
        return CausalLMOutput(logits=self.linear(self.embedding(tokens)))


def one_layer(vocabulary=5, width=4):
    model = OneLayer(vocabulary, width).double().eval()
    block = Block(name="w", outputs=(("linear", None),))
    return model, Subspace(name="linear", blocks=(block,), modules={"linear": model.linear})


def closed_form(model, tokens):
    """The exact Fisher of `one_layer` over its input tokens, as a matrix over vec(W) with W [out, in]."""
    inputs = model.embedding(tokens).detach()
    vocabulary = len(model.embedding.weight)
    outputs = torch.eye(vocabulary, dtype=torch.float64) / vocabulary - 1 / vocabulary**2
    return torch.kron(outputs, inputs.T @ inputs / len(inputs))


def dense(factors):
    """The damped matrix that `precondition` inverts."""
    basis = torch.kron(factors.output_basis, factors.input_basis)
    return basis @ torch.diag(factors.damped().reshape(-1)) @ basis.T


def undamped(factors):
    basis = torch.kron(factors.output_basis, factors.input_basis)
    return basis @ torch.diag(factors.eigenvalues.reshape(-1)) @ basis.T


def autograd_rows(model, subspace, tokens, lengths):
    """Each row's gradient of the QK, V and O blocks of a GPT-2 head 1, from autograd through the parameters."""
    attention = model.transformer.h[1].attn
    rows = []
    for row in range(len(tokens)):
        losses = token_losses(model(tokens[row : row + 1, :-1]).logits, tokens[row : row + 1, 1:])
        total = (losses * label_mask(lengths[row : row + 1], losses.shape[1])).sum()
        packed, out = torch.autograd.grad(total, [attention.c_attn.weight, attention.c_proj.weight])
        q, k, v = packed.T[4:8], packed.T[20:24], packed.T[36:40]
        rows.append([torch.cat([q, k]), v, out.T[:, 4:8]])
    return [torch.stack([row[block] for row in rows]) for block in range(3)]


def linear_world(n=400, inputs=6, outputs=3):
    """The linear model of METHODS §3.4: squared loss, Hessian E[x x^T] x I, exact ridge curvature."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x = draw(n, inputs) @ draw(inputs, inputs)
    y = x @ draw(outputs, inputs).T + 0.3 * draw(n, outputs)
    moment = x.T @ x / n
    weight = torch.linalg.solve(moment + 1e-2 * torch.eye(inputs, dtype=torch.float64), x.T @ y / n).T
    gradients = (x @ weight.T - y)[:, :, None] * x[:, None, :]
    test = draw(5, inputs)
    queries = (0.4 * draw(5, outputs))[:, :, None] * test[:, None, :]
    return x, moment, gradients, queries, draw


def influences(factors, queries, gradients):
    return torch.stack([torch.einsum("oi,noi->n", factors.precondition(query), gradients) for query in queries])


def linear_factors(eigenvalues, moment, output_moment, damping):
    return BlockFactors(
        output_basis=torch.linalg.eigh(output_moment)[1],
        input_basis=torch.linalg.eigh(moment)[1],
        eigenvalues=eigenvalues,
        damping_relative=damping / float(eigenvalues.mean()),
        damping_floor=0.0,
    )


def exact_influences(moment, gradients, queries, damping, outputs=3):
    hessian = torch.kron(torch.eye(outputs, dtype=torch.float64), moment)
    hessian = hessian + damping * torch.eye(len(hessian), dtype=torch.float64)
    return queries.flatten(1) @ torch.linalg.solve(hessian, gradients.flatten(1).T)


def test_linear_model_with_exact_fisher_is_the_closed_form():
    """AT-IF-1, gate 1e-8."""
    _, moment, gradients, queries, _ = linear_world()
    outputs = torch.eye(3, dtype=torch.float64)
    eigenvalues = torch.ones(3, 1, dtype=torch.float64) * torch.linalg.eigvalsh(moment)[None, :]
    ours = influences(linear_factors(eigenvalues, moment, outputs, 1e-2), queries, gradients)
    exact = exact_influences(moment, gradients, queries, 1e-2)
    assert (ours - exact).abs().max() <= 1e-8 * exact.abs().max()


def test_linear_model_with_sampled_labels_correlates():
    """AT-IF-1: one draw a sample, correlation above .99; the empirical Fisher of the residuals is another matrix."""
    x, moment, gradients, queries, draw = linear_world()
    exact = exact_influences(moment, gradients, queries, 1e-2)
    found = {}
    for name, output_gradients in {"sampled": draw(400, 3), "empirical": gradients[:, :, 0] / x[:, :1]}.items():
        outputs = output_gradients.T @ output_gradients / 400
        basis, inputs = torch.linalg.eigh(outputs)[1], torch.linalg.eigh(moment)[1]
        rows = output_gradients[:, :, None] * x[:, None, :]
        eigenvalues = (basis.T @ rows @ inputs).square().mean(0)
        found[name] = influences(linear_factors(eigenvalues, moment, outputs, 1e-2), queries, gradients)
    correlation = {name: np.corrcoef(ours.reshape(-1), exact.reshape(-1))[0, 1] for name, ours in found.items()}
    assert correlation["sampled"] > 0.99
    assert (found["empirical"].norm() / exact.norm()) > 2


def test_fitted_factors_of_a_one_layer_model_are_its_closed_form():
    """Every input beside every label equally often is the exact Fisher, here truly a Kronecker product."""
    model, subspace = one_layer()
    inputs = torch.tensor([0, 1, 1, 2, 3, 4, 4])
    tokens = torch.cartesian_prod(inputs, torch.arange(5))
    (factors,) = fit_factors(model, subspace, tokens, torch.ones(len(tokens), dtype=torch.long), DATA, seed=0)
    exact = closed_form(model, inputs)
    assert (undamped(factors) - exact).abs().max() <= 1e-8 * exact.abs().max()
    gradient = torch.randn(5, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    damping = 0.1 * torch.diag(exact).mean() * torch.eye(20, dtype=torch.float64)
    solved = torch.linalg.solve(exact + damping, gradient.reshape(-1)).view(5, 4)
    assert (factors.precondition(gradient) - solved).abs().max() <= 1e-8 * solved.abs().max()


def test_labels_sampled_from_the_model_estimate_the_same_fisher():
    model, subspace = one_layer()
    inputs = torch.randint(5, (4000,), generator=torch.Generator().manual_seed(0))
    tokens = torch.stack([inputs, torch.zeros_like(inputs)], dim=1)  # one label only: useless as data
    lengths = torch.ones(len(tokens), dtype=torch.long)
    exact = closed_form(model, inputs)
    (sampled,) = fit_factors(model, subspace, tokens, lengths, EkfacOptions(), seed=0)
    (empirical,) = fit_factors(model, subspace, tokens, lengths, DATA, seed=0)
    correlation = {
        name: np.corrcoef(undamped(factors).reshape(-1), exact.reshape(-1))[0, 1]
        for name, factors in {"sampled": sampled, "empirical": empirical}.items()
    }
    assert correlation["sampled"] > 0.99
    assert correlation["empirical"] < 0.9


def test_labels_follow_the_models_probabilities():
    """With W far from 0 the Fisher is diag(p) - p p^T of the model's own p, not the uniform one."""
    model, subspace = one_layer()
    with torch.no_grad():
        model.linear.weight.copy_(torch.randn(5, 4, generator=torch.Generator().manual_seed(5)))
    tokens = torch.full((6000, 2), 3)
    (factors,) = fit_factors(model, subspace, tokens, torch.ones(6000, dtype=torch.long), EkfacOptions(), seed=1)
    p = model(torch.tensor([[3]])).logits.detach()[0, 0].softmax(-1)
    embedding = model.embedding.weight.detach()[3]
    exact = torch.kron(torch.diag(p) - torch.outer(p, p), torch.outer(embedding, embedding))
    assert (undamped(factors) - exact).norm() < 0.05 * exact.norm()


def test_eigenvalues_are_per_sequence_and_bases_diagonalise_the_moments():
    """Against brute force by autograd, row by row, on ragged rows of a GPT-2 head."""
    model, (tokens, lengths) = tiny(), ragged_rows(9)
    subspace = head_subspace(model, "L1.H1")
    gradients = autograd_rows(model, subspace, tokens, lengths)
    blocks = fit_factors(model, subspace, tokens, lengths, EkfacOptions(labels="data", batch=4), seed=0)
    for factors, rows in zip(blocks, gradients, strict=True):
        rotated = factors.output_basis.T @ rows @ factors.input_basis
        torch.testing.assert_close(factors.eigenvalues, rotated.square().mean(0), rtol=1e-8, atol=1e-12)
        batched = torch.stack([part.sum(0) for part in rotated.split(4)]).square().sum(0) / 9
        assert (batched - factors.eigenvalues).norm() > 0.1 * factors.eigenvalues.norm()  # the published defect


def test_input_moment_counts_real_positions_only():
    """The basis of V diagonalises the moment of the layer norm's output over real tokens; padding would spoil it."""
    model, (tokens, lengths) = tiny(), ragged_rows(9)
    seen = {}
    handle = model.transformer.h[1].attn.c_attn.register_forward_pre_hook(
        lambda _, args: seen.update(x=args[0].detach())
    )
    model(tokens[:, :-1])
    handle.remove()
    factors = fit_factors(model, head_subspace(model, "L1.H1"), tokens, lengths, DATA, seed=0)[1]

    def off_diagonal(inputs):
        rotated = factors.input_basis.T @ inputs.T @ inputs @ factors.input_basis
        return float((rotated - torch.diag(torch.diag(rotated))).norm() / rotated.norm())

    real = label_mask(lengths, tokens.shape[1] - 1).bool()
    assert off_diagonal(seen["x"][real]) < 1e-10
    assert off_diagonal(seen["x"].flatten(0, 1)) > 1e-3


def test_padding_changes_nothing():
    model, (tokens, lengths) = tiny(), ragged_rows(9)
    padded = tokens.clone()
    padded[:, 1:][torch.arange(tokens.shape[1] - 1)[None, :] >= lengths[:, None]] = 7
    assert not torch.equal(padded, tokens)
    subspace = head_subspace(model, "L1.H1")
    one, two = (fit_factors(model, subspace, rows, lengths, DATA, seed=0) for rows in (tokens, padded))
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(undamped(a), undamped(b))


@pytest.mark.parametrize("labels", ["data", "sampled"])
def test_batch_size_changes_nothing(labels):
    model, (tokens, lengths) = tiny(), ragged_rows(9)
    subspace = head_subspace(model, "L1.H1")
    small, large = (
        fit_factors(model, subspace, tokens, lengths, EkfacOptions(labels=labels, batch=batch), seed=4)
        for batch in (2, 64)
    )
    for one, two in zip(small, large, strict=True):
        torch.testing.assert_close(undamped(one), undamped(two), rtol=1e-7, atol=1e-12)


def test_order_of_rows_changes_nothing():
    model, (tokens, lengths) = tiny(), ragged_rows(9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    subspace = head_subspace(model, "L1.H1")
    straight = fit_factors(model, subspace, tokens, lengths, DATA, seed=0)
    mixed = fit_factors(model, subspace, tokens[order], lengths[order], DATA, seed=0)
    for one, two in zip(straight, mixed, strict=True):
        torch.testing.assert_close(undamped(one), undamped(two), rtol=1e-7, atol=1e-12)


def test_sampled_labels_depend_on_the_seed_and_differ_from_the_data():
    model, (tokens, lengths) = tiny(), ragged_rows(9)
    subspace = head_subspace(model, "L1.H1")
    first, again, other = (
        fit_factors(model, subspace, tokens, lengths, EkfacOptions(), seed=seed)[1] for seed in (0, 0, 1)
    )
    empirical = fit_factors(model, subspace, tokens, lengths, DATA, seed=0)[1]
    assert torch.equal(first.eigenvalues, again.eigenvalues)
    assert (undamped(first) - undamped(other)).norm() > 1e-3 * undamped(first).norm()
    assert (undamped(first) - undamped(empirical)).norm() > 1e-3 * undamped(first).norm()


def test_global_generator_is_untouched():
    model, (tokens, lengths) = tiny(), ragged_rows(4)
    state = torch.get_rng_state()
    fit_factors(model, head_subspace(model, "L1.H1"), tokens, lengths, EkfacOptions(), seed=0)
    assert torch.equal(torch.get_rng_state(), state)


def test_progress_counts_rows():
    model, (tokens, lengths) = tiny(), ragged_rows(9)
    done = []
    options = EkfacOptions(batch=4)
    fit_factors(model, head_subspace(model, "L1.H1"), tokens, lengths, options, seed=0, advance=done.append)
    assert done == [4, 4, 1]


def test_split_halves_are_fits_of_the_even_and_of_the_odd_rows():
    model, (tokens, lengths) = tiny(), ragged_rows(9)
    subspace = head_subspace(model, "L1.H1")
    halves = list(split_half(model, subspace, tokens, lengths, DATA, seed=0))
    for number, half in enumerate(halves):
        direct = fit_factors(model, subspace, tokens[number::2], lengths[number::2], DATA, seed=0)
        assert all(torch.equal(a.eigenvalues, b.eigenvalues) for a, b in zip(half, direct, strict=True))
    assert (undamped(halves[0][0]) - undamped(halves[1][0])).norm() > 1e-2 * undamped(halves[0][0]).norm()


def identity_factors(eigenvalues, relative=0.1, floor=1e-5):
    return BlockFactors(
        output_basis=torch.eye(len(eigenvalues), dtype=torch.float64),
        input_basis=torch.eye(eigenvalues.shape[1], dtype=torch.float64),
        eigenvalues=eigenvalues,
        damping_relative=relative,
        damping_floor=floor,
    )


def test_damping_is_a_tenth_of_the_mean_eigenvalue_with_a_floor():
    eigenvalues = torch.tensor([[0.0, 2.0], [4.0, 6.0]], dtype=torch.float64)
    torch.testing.assert_close(identity_factors(eigenvalues).damped(), eigenvalues + 0.3)
    tiny_ones = eigenvalues * 1e-6
    assert identity_factors(tiny_ones).damped().tolist() == [[1e-5, 1e-5], [1e-5, 1e-5]]
    mixed = identity_factors(eigenvalues * 1e-5).damped()  # 3e-6, 2.3e-5, ...: only the smallest is lifted
    assert mixed.reshape(-1).tolist() == pytest.approx([1e-5, 2.3e-5, 4.3e-5, 6.3e-5])


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 10), st.floats(1e-3, 1e3))
def test_relative_damping_makes_the_direction_free_of_scale(relative, scale):
    """Eigenvalues in other units change the length of the preconditioned gradient, never its direction."""
    eigenvalues = torch.tensor([[1.0, 2.0], [4.0, 8.0]], dtype=torch.float64)
    gradient = torch.tensor([[1.0, -2.0], [3.0, 0.5]], dtype=torch.float64)
    one = identity_factors(eigenvalues, relative, 0.0).precondition(gradient)
    other = identity_factors(scale * eigenvalues, relative, 0.0).precondition(gradient)
    torch.testing.assert_close(other * scale, one)


def test_preconditioning_solves_the_dense_system():
    model, (tokens, lengths) = tiny(), ragged_rows(9)
    blocks = fit_factors(model, head_subspace(model, "L1.H1"), tokens, lengths, DATA, seed=0)
    generator = torch.Generator().manual_seed(0)
    gradient = [torch.randn(f.eigenvalues.shape, generator=generator, dtype=torch.float64) for f in blocks]
    for factors, piece, ours in zip(blocks, gradient, precondition(blocks, gradient), strict=True):
        solved = torch.linalg.solve(dense(factors), piece.reshape(-1)).view_as(piece)
        torch.testing.assert_close(ours, solved, rtol=1e-8, atol=1e-10)
    assert len(flat(gradient)) == 8 * 16 + 4 * 16 + 16 * 4


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda values, basis: (values, basis.T.contiguous()),  # dattri's defect: eigenvectors in rows
        lambda values, basis: (values, basis.flip(1)),
        lambda values, basis: (values.flip(0), basis),
        lambda values, basis: (values, 1.01 * basis),
        lambda values, basis: (values, basis * float("nan")),
    ],
    ids=["transposed", "columns swapped", "values swapped", "not of unit length", "NaN"],
)
def test_corrupted_eigenbasis_is_noticed(monkeypatch, corrupt):
    model, (tokens, lengths) = tiny(), ragged_rows(9)
    real = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: corrupt(*real(matrix)))
    with pytest.raises(SelfCheckFailed, match="eigenbasis of a Kronecker factor does not diagonalise it"):
        fit_factors(model, head_subspace(model, "L1.H1"), tokens, lengths, DATA, seed=0)


def test_diverged_model_is_refused():
    model, (tokens, lengths) = tiny(), ragged_rows(4)
    with torch.no_grad():
        model.transformer.h[0].mlp.c_fc.weight[0, 0] = float("nan")
    with pytest.raises(SelfCheckFailed, match="a Kronecker factor is not finite"):
        fit_factors(model, head_subspace(model, "L1.H1"), tokens, lengths, DATA, seed=0)


def test_silent_head_gives_the_floor_and_no_error():
    """A head whose output is never read has zero Fisher: every direction is divided by the floor."""
    model, (tokens, lengths) = tiny(), ragged_rows(4)
    with torch.no_grad():
        model.transformer.h[1].attn.c_proj.weight[4:8] = 0
    qk, v, o = fit_factors(model, head_subspace(model, "L1.H1"), tokens, lengths, DATA, seed=0)
    assert float(qk.eigenvalues.abs().max()) == float(v.eigenvalues.abs().max()) == 0.0
    assert set(v.damped().reshape(-1).tolist()) == {1e-5}
    assert float(o.eigenvalues.max()) > 0


@pytest.mark.parametrize(
    "wrong",
    [{"damping_relative": -1}, {"damping_floor": -1}, {"max_rows": 3}, {"batch": 0}, {"labels": "true"}, {"x": 1}],
)
def test_options_out_of_range(wrong):
    with pytest.raises(ValidationError):
        EkfacOptions(**wrong)
