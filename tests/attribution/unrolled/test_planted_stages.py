import pytest
import torch

from imprint.attribution.unrolled import linear_world, transport_errors

STEPS = (1, 3, 9, 27)


@pytest.fixture(scope="module")
def errors():
    return transport_errors(seed=0, steps=STEPS)


def test_the_planted_effects_are_those_of_solving_both_stages_anew():
    world, steps = linear_world(seed=1), 5
    exact = world.effects(steps)[:, 3]

    def solved(weight):
        weights = torch.ones(len(world.first.inputs), dtype=torch.float64)
        weights[3] = weight
        moment = (weights[:, None] * world.first.inputs).T @ world.first.inputs / len(weights)
        cross = (weights[:, None] * world.first.targets).T @ world.first.inputs / len(weights)
        w = torch.linalg.solve(moment + 0.1 * torch.eye(len(moment)).double(), cross, left=False)
        for _ in range(steps):
            residuals = world.second.inputs @ w.T - world.second.targets
            w = w - 0.05 * residuals.T @ world.second.inputs / len(residuals)
        return torch.einsum("qo,oi,qi->q", world.readouts, w, world.probes)

    torch.testing.assert_close((solved(1 + 1e-5) - solved(1 - 1e-5)) / 2e-5, exact, rtol=1e-6, atol=1e-9)


def test_metagradients_answer_exactly_across_the_stages(errors):
    assert max(errors.metagradient) < 1e-9


def test_source_is_close(errors):
    assert max(errors.source) < 0.05


def test_the_error_of_identity_transport_grows_with_the_second_stage(errors):
    assert errors.identity[0] < 0.1
    assert errors.identity[-1] > 2.5
    for one, next_one in zip(errors.identity, errors.identity[1:], strict=False):
        assert next_one > 1.5 * one
    for one, next_one in zip(errors.tracin, errors.tracin[1:], strict=False):
        assert next_one > one


def test_in_another_world_the_same():
    found = transport_errors(seed=1, steps=(2, 16))
    assert found.metagradient[1] < 1e-9
    assert found.source[1] < 0.1 < found.identity[1]
    assert found.identity[1] > found.identity[0]
