import pytest
import torch
from unrolled_runs import DRAWN, likelihood, one_stage, two_stages

from imprint.attribution.unrolled import Training, leave_one_out, linear_world
from imprint.attribution.unrolled.planted import RIDGE
from imprint.errors import ConfigError


def ridge():
    """A ridge regression by gradient descent to its minimum (AT-IF-2), and its leverages."""
    world = linear_world(seed=0)
    run = world.training(1)
    inputs = world.first.inputs
    inverse = torch.linalg.inv(inputs.T @ inputs + len(inputs) * RIDGE * torch.eye(inputs.shape[1]).double())
    leverage = (inputs @ inverse * inputs).sum(1)
    return world, Training(model=run.model, initial=run.initial, stages=run.stages[:1]), inverse, leverage


def test_leave_one_out_is_the_closed_form_of_ridge_regression():
    world, training, inverse, leverage = ridge()
    rows = range(5)
    found = leave_one_out(training, world.queries(), 0, rows)
    residuals = world.first.inputs @ world.minimum().T - world.first.targets
    for row in rows:
        change = torch.outer(residuals[row], inverse @ world.first.inputs[row]) / (1 - leverage[row])
        expected = -torch.einsum("qo,oi,qi->q", world.readouts, change, world.probes)
        torch.testing.assert_close(found[:, row], expected, rtol=1e-9, atol=1e-12)


def test_the_metagradient_is_leave_one_out_shrunk_by_the_leverage():
    world, training, _, leverage = ridge()
    (found,) = training.metagradients(world.queries())
    exact = leave_one_out(training, world.queries(), 0, range(6))
    torch.testing.assert_close(found[:, :6] / (1 - leverage[:6]), exact, rtol=1e-9, atol=1e-12)


def test_in_the_first_of_two_stages_it_is_the_run_without_the_example():
    training, query = two_stages(), likelihood()
    weights = torch.ones(training.stages[0].rows)
    weights[2] = 0.0
    expected = training.values(training.run(), [query]) - training.values(training.run([weights, None]), [query])
    assert torch.equal(leave_one_out(training, [query], 0, [2])[:, 0], expected)


def test_an_example_that_is_never_drawn_changes_nothing():
    assert leave_one_out(two_stages(), [likelihood()], 1, [DRAWN]).tolist() == [[0.0]]


def test_it_says_what_cannot_be_left_out():
    with pytest.raises(ConfigError, match="no example 8"):
        leave_one_out(one_stage(), [likelihood()], 0, [1, 8])
    with pytest.raises(ConfigError, match="no query"):
        leave_one_out(one_stage(), [], 0, [1])
