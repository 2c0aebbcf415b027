import pytest
import torch

from imprint.attribution.unrolled import AdamW, Sgd, constant, warm_up
from imprint.attribution.unrolled.optimisers import clipped

STEPS, SIZE = 6, 5


def gradients():
    return torch.randn(STEPS, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def ours(optimiser):
    parameters = torch.linspace(-1, 1, SIZE, dtype=torch.float64)
    moments = optimiser.initial(parameters)
    for step, gradient in enumerate(gradients()):
        parameters, moments = optimiser.update(parameters, moments, gradient, step)
    return parameters


def theirs(make, clip=None, schedule=constant):
    leaf = torch.linspace(-1, 1, SIZE, dtype=torch.float64).requires_grad_(True)
    optimiser = make([leaf])
    full = optimiser.param_groups[0]["lr"]
    for step, gradient in enumerate(gradients()):
        leaf.grad = gradient.clone()
        if clip:
            torch.nn.utils.clip_grad_norm_([leaf], clip)
        optimiser.param_groups[0]["lr"] = full * schedule(step)
        optimiser.step()
    return leaf.detach()


@pytest.mark.parametrize(("momentum", "decay", "clip"), [(0.0, 0.0, None), (0.9, 0.1, None), (0.5, 0.2, 0.7)])
def test_sgd_is_that_of_torch(momentum, decay, clip):
    schedule = warm_up(3)
    mine = Sgd(learning_rate=0.1, momentum=momentum, weight_decay=decay, clip_norm=clip, schedule=schedule)
    other = theirs(lambda p: torch.optim.SGD(p, lr=0.1, momentum=momentum, weight_decay=decay), clip, schedule)
    torch.testing.assert_close(ours(mine), other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("decay", "clip"), [(0.0, None), (0.1, 0.7)])
def test_adamw_is_that_of_torch(decay, clip):
    schedule = warm_up(3)
    mine = AdamW(learning_rate=0.1, beta2=0.99, weight_decay=decay, clip_norm=clip, schedule=schedule)
    other = theirs(lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.9, 0.99), weight_decay=decay), clip, schedule)
    torch.testing.assert_close(ours(mine), other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("eps_root", [0.0, 1e-6])
def test_the_derivative_at_a_second_moment_of_zero_is_finite_and_right(eps_root):
    optimiser = AdamW(learning_rate=1.0, weight_decay=0.0, clip_norm=None, eps=1e-3, eps_root=eps_root)
    start = torch.zeros(2, dtype=torch.float64)

    def change(gradient):
        return optimiser.update(start, optimiser.initial(start), gradient, 0)[0]

    derivative = torch.autograd.functional.jacobian(change, torch.tensor([0.0, 0.3], dtype=torch.float64))
    slope = -1 / (eps_root**0.5 + 1e-3)
    assert derivative[0].tolist() == pytest.approx([slope, 0.0])
    assert derivative.isfinite().all()


def test_clipping_is_differentiable_and_leaves_short_gradients_alone():
    short, long = torch.tensor([0.1, 0.2], dtype=torch.float64), torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert torch.equal(clipped(short, 1.0), short)
    assert clipped(long, None) is long
    assert torch.linalg.vector_norm(clipped(long, 1.0)).item() == pytest.approx(1.0, abs=1e-6)
    assert torch.autograd.gradcheck(lambda gradient: clipped(gradient, 1.0), long.requires_grad_(True))


def test_schedules():
    assert [warm_up(4)(step) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert [warm_up(1)(step) for step in range(3)] == [1, 1, 1] == [constant(step) for step in range(3)]
    fall = [warm_up(2, until=6)(step) for step in range(7)]
    assert fall == [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]


@pytest.mark.parametrize("clip", [None, 0.5])
def test_the_response_is_what_a_lasting_change_of_the_gradient_does(clip):
    gradient, change = gradients()[0], 1e-6 * gradients()[1]
    still = torch.zeros(SIZE, dtype=torch.float64)
    optimiser = Sgd(learning_rate=0.1, momentum=0.5, clip_norm=clip)

    def travelled(extra):
        parameters, moments = still, (torch.zeros_like(still),)
        for step in range(60):
            parameters, moments = optimiser.update(parameters, moments, gradient + extra, step)
        return parameters - optimiser.update(still, (torch.zeros_like(still),), gradient, 0)[0] * 0

    moved = (travelled(change) - travelled(-change)) / (2 * 59 * 0.1)
    response, decay = optimiser.response((still,), gradient, 1)
    assert decay == 0.0
    if clip is None:
        torch.testing.assert_close(moved, -response * change, rtol=0.03, atol=0)
    else:
        assert response.unique().item() == pytest.approx(2 * 0.5 / gradient.norm().item(), rel=1e-4)


def test_the_response_of_adamw_is_its_preconditioner_and_parameters_without_gradient_do_not_respond():
    optimiser = AdamW(learning_rate=0.1, beta2=0.75, weight_decay=0.2, clip_norm=None)
    moments = torch.zeros(2, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    response, decay = optimiser.response(moments, torch.ones(2, dtype=torch.float64), 1)
    assert response.tolist() == pytest.approx([0.0, 0.5])
    assert decay == 0.2
