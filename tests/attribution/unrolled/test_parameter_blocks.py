import pytest
import torch
from attribution_models import tiny
from unrolled_runs import rows_of

from imprint.attribution.engine import head_subspace, row_gradients, whole_model
from imprint.attribution.unrolled import NextToken, measured, parameters_of
from imprint.attribution.unrolled.blocks import matrices_of, vector_of
from imprint.attribution.unrolled.parameters import Layout


def subspaces(model):
    return [whole_model(model), head_subspace(model, "L1.H2")]


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama"])
def test_the_blocks_of_a_parameter_gradient_are_the_engines_gradients(family):
    model, (tokens, lengths) = tiny(family), rows_of()
    params = {name: value.requires_grad_(True) for name, value in parameters_of(model).items()}
    objective = NextToken(tokens=tokens, lengths=lengths)
    loss = measured(model, params, lambda held: objective.losses(held, torch.arange(8), torch.zeros(8, 0)).sum())
    found = torch.autograd.grad(loss, list(params.values()))
    for subspace in subspaces(model):
        ours = matrices_of(subspace, dict(zip(params, found, strict=True)))
        for mine, engine in zip(ours, row_gradients(model, subspace, tokens, lengths), strict=True):
            torch.testing.assert_close(mine, engine.sum(0), rtol=1e-8, atol=1e-10)


def test_vector_of_is_the_transpose_of_matrices_of_and_does_what_shifting_does():
    model = tiny()
    params = parameters_of(model)
    layout = Layout.of(params)
    for subspace in subspaces(model):
        directions = [torch.randn_like(piece) for piece in matrices_of(subspace, params)]
        moved = layout.unpack(layout.pack(params) + vector_of(subspace, layout, directions))
        with subspace.shifted(directions, 1.0):
            for name, value in model.named_parameters():
                torch.testing.assert_close(moved[name], value.detach())
