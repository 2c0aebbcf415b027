import pytest
import torch
from attribution_models import FAMILIES, likelihood_query, ragged_rows, tiny
from torch.func import functional_call

from imprint.attribution.engine import (
    EkfacOptions,
    fit_factors,
    head_subspace,
    precondition,
    query_gradient,
    whole_model,
)
from imprint.attribution.engine.refine import _Product, refine
from imprint.errors import ConfigError
from imprint.models import label_mask

OPTIONS = EkfacOptions()


def exact_matrix(model, name, tokens, lengths):
    """The Gauss-Newton matrix of one GPT-2 weight [in, out] (no bias) by explicit Jacobians, in [out, in] order."""
    weight = model.get_parameter(name)

    def logits_of(value):
        with torch.nn.attention.sdpa_kernel([torch.nn.attention.SDPBackend.MATH]):
            return functional_call(model, {name: value}, (tokens[:, :-1],), {"use_cache": False}).logits

    jacobian = torch.autograd.functional.jacobian(logits_of, weight.detach())  # row seq vocabulary in out
    jacobian = jacobian.transpose(-1, -2).flatten(3)
    p = logits_of(weight).detach().softmax(-1)
    curvature = torch.diag_embed(p) - p[..., :, None] * p[..., None, :]
    real = label_mask(lengths, p.shape[1]).to(p)
    return torch.einsum("bt,btvp,btvw,btwq->pq", real, jacobian, curvature, jacobian) / len(tokens)


def test_product_is_the_exact_gauss_newton_matrix():
    model = tiny()
    tokens, lengths = ragged_rows(3)
    subspace = whole_model(model, layers=[1], bias=False)
    number = [block.name for block in subspace.blocks].index("transformer.h.1.attn.c_proj")
    exact = exact_matrix(model, "transformer.h.1.attn.c_proj.weight", tokens, lengths)
    vector = torch.randn(16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = _Product(model, subspace, subspace.blocks[number], tokens, lengths, 2)(vector)
    torch.testing.assert_close(ours.flatten(), exact @ vector.flatten(), rtol=1e-8, atol=1e-12)


def residual(product, factors, solution, target):
    damping = factors.damping_relative * factors.eigenvalues.mean()
    return float((target - product(solution) - damping * solution).norm() / target.norm())


@pytest.mark.parametrize("family", FAMILIES)
def test_refinement_solves_the_damped_system_that_ekfac_only_approximates(family):
    model = tiny(family)
    tokens, lengths = ragged_rows(9)
    subspace = head_subspace(model, "L1.H1")
    factors = fit_factors(model, subspace, tokens, lengths, OPTIONS, seed=0)
    gradient = query_gradient(model, subspace, likelihood_query(ragged_rows(3, seed=8)[0]))
    rough = precondition(factors, gradient)
    fine = refine(model, subspace, factors, [piece[None] for piece in gradient], tokens, lengths, iterations=60)
    for number, block in enumerate(subspace.blocks):
        product = _Product(model, subspace, block, tokens, lengths, 64)
        before = residual(product, factors[number], rough[number], gradient[number])
        after = residual(product, factors[number], fine[number][0], gradient[number])
        assert after < 1e-3 < before, block.name


def test_no_iteration_is_ekfac_and_the_batch_changes_nothing():
    model = tiny()
    tokens, lengths = ragged_rows(9)
    subspace = head_subspace(model, "L1.H1")
    factors = fit_factors(model, subspace, tokens, lengths, OPTIONS, seed=0)
    gradient = query_gradient(model, subspace, likelihood_query(ragged_rows(3, seed=8)[0]))
    asked = [piece[None] for piece in gradient]
    none = refine(model, subspace, factors, asked, tokens, lengths, iterations=0)
    for rough, same in zip(precondition(factors, gradient), none, strict=True):
        torch.testing.assert_close(same[0], rough)
    one, other = (
        refine(model, subspace, factors, asked, tokens, lengths, iterations=5, batch=batch) for batch in (2, 64)
    )
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_embeddings_are_refused():
    model = tiny("llama")
    tokens, lengths = ragged_rows(9)
    subspace = whole_model(model, layers=[0], embedding=True)
    factors = fit_factors(model, subspace, tokens, lengths, OPTIONS, seed=0)
    gradient = query_gradient(model, subspace, likelihood_query(ragged_rows(3, seed=8)[0]))
    with pytest.raises(ConfigError, match="is an embedding, which cannot be refined"):
        refine(model, subspace, factors, [piece[None] for piece in gradient], tokens, lengths)
