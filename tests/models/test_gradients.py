import numpy as np
import pytest
import torch
from scipy import stats
from tiny_families import tiny
from torch.nn.functional import cross_entropy

from imprint.errors import SelfCheckFailed
from imprint.models import Anatomy
from imprint.models.gradients import captured, loss_gradients
from imprint.models.unembedding import sampled_labels

FAMILIES = ["gpt2", "gpt_neox", "llama"]
LENGTHS = torch.tensor([7, 4, 2])


def rows(count=3, length=8, seed=3):
    return torch.randint(1, 31, (count, length), generator=torch.Generator().manual_seed(seed))


def modules_of(model, layers=(0, 1)):
    """The projections of some layers by parameter name; fused ones come once."""
    anatomy = Anatomy(model)
    found = {}
    for layer in layers:
        parts = [anatomy.projection(role, layer) for role in ("q", "k", "v")] + [anatomy.out_projection(layer)]
        found |= {name: module for name, module in model.named_modules() if any(module is part for part in parts)}
    return found


def plain_loss(model, tokens, lengths):
    """The summed loss of the real tokens, by nothing but PyTorch."""
    logits = model(tokens[:, :-1]).logits
    return sum(
        cross_entropy(logits[row, :length], tokens[row, 1 : length + 1], reduction="sum")
        for row, length in enumerate(lengths.tolist())
    )


def weight_gradient(module, inputs, deltas):
    """The sum over t of outer(delta, input), in the module's own storage order: GPT-2 stores (in, out)."""
    gradient = torch.einsum("rto,rti->oi", deltas, inputs)
    return gradient.T if type(module).__name__ == "Conv1D" else gradient


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", [(0, 1), (1,)])
def test_deltas_times_inputs_are_the_gradients_of_the_parameters(family, layers):
    model, tokens = tiny(family), rows()
    modules = modules_of(model, layers)
    assert len(modules) == len(layers) * (4 if family == "llama" else 2)
    pieces, losses = loss_gradients(model, modules, tokens, LENGTHS)
    loss = plain_loss(model, tokens, LENGTHS)
    loss.backward()
    torch.testing.assert_close(losses.sum(), loss.detach())
    for name, module in modules.items():
        ours = weight_gradient(module, pieces.inputs[name], pieces.deltas[name])
        torch.testing.assert_close(ours, module.weight.grad, rtol=1e-9, atol=1e-11)
        if module.bias is not None:
            torch.testing.assert_close(pieces.deltas[name].sum((0, 1)), module.bias.grad, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_row_has_its_own_gradient(family):
    model, tokens = tiny(family), rows()
    modules = modules_of(model)
    together, losses = loss_gradients(model, modules, tokens, LENGTHS)
    for row in range(3):
        alone, loss = loss_gradients(model, modules, tokens[row : row + 1], LENGTHS[row : row + 1])
        torch.testing.assert_close(loss[0], losses[row])
        for name in modules:
            torch.testing.assert_close(alone.deltas[name][0], together.deltas[name][row], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_contributes_nothing(family):
    model, tokens = tiny(family), rows()
    modules = modules_of(model)
    pieces, losses = loss_gradients(model, modules, tokens, LENGTHS)
    other = tokens.clone()
    for row, length in enumerate(LENGTHS.tolist()):
        other[row, length + 1 :] = 30 - other[row, length + 1 :]
        assert losses[row, length:].abs().sum() == 0
        assert all(pieces.deltas[name][row, length:].abs().sum() == 0 for name in modules)
    assert not torch.equal(other, tokens)
    again, other_losses = loss_gradients(model, modules, other, LENGTHS)
    torch.testing.assert_close(other_losses, losses)
    for name, module in modules.items():
        torch.testing.assert_close(
            weight_gradient(module, again.inputs[name], again.deltas[name]),
            weight_gradient(module, pieces.inputs[name], pieces.deltas[name]),
            rtol=1e-9,
            atol=1e-12,
        )


def test_parameters_are_left_as_they_are():
    model, tokens = tiny("gpt2"), rows()
    model.transformer.wte.requires_grad_(False)
    flags = [parameter.requires_grad for parameter in model.parameters()]
    some, _ = loss_gradients(model, modules_of(model), tokens, LENGTHS)
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert all(parameter.grad is None for parameter in model.parameters())
    model.requires_grad_(False)  # a frozen model has the same gradients at its activations
    frozen, _ = loss_gradients(model, modules_of(model), tokens, LENGTHS)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    for name, delta in some.deltas.items():
        torch.testing.assert_close(frozen.deltas[name], delta)


@pytest.mark.parametrize("family", FAMILIES)
def test_there_is_no_graph_below_the_lowest_captured_module(family):
    model, tokens = tiny(family), rows()
    graph = {}

    def keep(name):
        def look(_module, _args, output):
            graph[name] = output.requires_grad

        return look

    handles = [
        module.register_forward_hook(keep(name))
        for name, module in model.named_modules()
        if not list(module.children()) and "rotary" not in name
    ]
    lowest = modules_of(model, [1])
    loss_gradients(model, lowest, tokens, LENGTHS)
    for handle in handles:
        handle.remove()
    below = [name for name in graph if ".0." in name or "wte" in name or "embed_" in name]
    above = [name for name in graph if "ln_f" in name or "final_layer_norm" in name or name == "model.norm"]
    assert len(below) >= 4
    assert not any(graph[name] for name in below)
    assert above
    assert all(graph[name] for name in above)


def test_inputs_and_losses_are_off_the_graph():
    model, tokens = tiny("gpt2"), rows()
    pieces, losses = loss_gradients(model, modules_of(model), tokens, LENGTHS)
    assert not any(tensor.requires_grad for tensor in (*pieces.inputs.values(), *pieces.deltas.values(), losses))


def test_hooks_and_gradient_mode_go_also_after_an_exception():
    model, tokens = tiny("gpt2"), rows()
    modules = modules_of(model)

    def interrupted():
        with captured(modules):
            model(tokens)
            assert torch.is_grad_enabled()
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert torch.is_grad_enabled()
    assert not any(module._forward_hooks for module in model.modules())
    with torch.no_grad():
        loss_gradients(model, modules, tokens, LENGTHS)  # works in there too, and leaves it as it was
        assert not torch.is_grad_enabled()
    assert not any(module._forward_hooks for module in model.modules())


def test_other_peoples_hooks_stay():
    model, tokens = tiny("gpt2"), rows()
    seen = []
    model.transformer.h[1].attn.c_proj.register_forward_hook(lambda *_: seen.append(1))
    loss_gradients(model, modules_of(model), tokens, LENGTHS)
    model(tokens)
    assert len(seen) == 2


def test_a_module_that_runs_twice_is_refused():
    model, tokens = tiny("gpt2"), rows()
    with captured(modules_of(model)):
        model(tokens)
        with pytest.raises(SelfCheckFailed, match="ran twice"):
            model(tokens)


def test_the_gradient_is_zero_where_the_scalar_does_not_reach():
    model, tokens = tiny("gpt2"), rows()
    modules = {"first": model.transformer.h[0].attn.c_proj, "last": model.transformer.h[1].attn.c_proj}
    with captured(modules) as capture:
        model(tokens)
        gradients = capture.output_gradients(capture.outputs["first"].square().sum())
    torch.testing.assert_close(gradients["first"], 2 * capture.outputs["first"].detach())
    assert gradients["last"].abs().max() == 0


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_sampled_labels_have_the_models_distribution():
    logits = torch.tensor([2.0, -1.0, 0.5, -30.0, 1.0, 0.0])
    draws = sampled_labels(logits.softmax(0).expand(20_000, 6), uniform(20_000))
    counts = np.bincount(draws.flatten().numpy(), minlength=6)
    expected = 20_000 * logits.double().softmax(0).numpy()
    assert counts[3] == 0
    possible = [0, 1, 2, 4, 5]
    assert stats.chisquare(counts[possible], expected[possible] / expected[possible].sum() * 20_000).pvalue > 0.01
    wrong = np.roll(expected, 1)[possible]  # the test would notice a shift by one
    assert stats.chisquare(counts[possible], wrong / wrong.sum() * 20_000).pvalue < 1e-10


@pytest.mark.parametrize("label", [0, 4])
def test_a_certain_model_has_only_one_label(label):
    probabilities = torch.zeros(100, 5)
    probabilities[:, label] = 1.0
    assert (sampled_labels(probabilities, uniform(100)) == label).all()


@pytest.mark.parametrize("vocabulary", [64, 130, 1000])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_sampling_in_two_levels_is_the_inverse_of_the_cumulative_distribution(vocabulary, dtype):
    logits = torch.randn(300, vocabulary, generator=torch.Generator().manual_seed(1))
    probabilities, draws = logits.softmax(-1).to(dtype), uniform(300)
    cumulative = probabilities.double().cumsum(-1)
    exact = torch.searchsorted(cumulative, draws.double()[:, None] * cumulative[:, -1:], right=True)[:, 0]
    ours = sampled_labels(probabilities, draws)
    # A draw within rounding of a boundary may fall on either side of it.
    assert (ours == exact).float().mean() > 0.99
    assert (ours - exact).abs().max() <= 1


def test_the_mean_loss_of_sampled_labels_is_the_entropy():
    model = tiny("gpt2")
    tokens, lengths = rows(1).expand(3000, 8), torch.full((3000,), 7)
    _, losses = loss_gradients(model, modules_of(model, [1]), tokens, lengths, draws=uniform(3000, 7))
    with torch.no_grad():
        log_probs = model(tokens[:1, :-1]).logits.log_softmax(-1)[0]
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    errors = (losses.mean(0) - entropy) / (losses.std(0) / 3000**0.5)
    assert errors.abs().max() < 4
    _, data = loss_gradients(model, modules_of(model, [1]), tokens[:1], lengths[:1])
    assert ((data[0] - entropy) / (losses.std(0) / 3000**0.5)).abs().max() > 4


def test_the_mean_gradient_of_sampled_labels_is_zero():
    """The identity that makes their second moment the true Fisher information."""
    model = tiny("gpt2")
    modules = modules_of(model, [1])
    tokens, lengths = rows(1).expand(3000, 8), torch.full((3000,), 7)
    pieces, _ = loss_gradients(model, modules, tokens, lengths, draws=uniform(3000, 7))
    data, _ = loss_gradients(model, modules, tokens[:1], lengths[:1])
    for name in modules:
        deltas = pieces.deltas[name]
        spread = (deltas.std(0) / 3000**0.5).clamp(min=1e-12)
        assert (deltas.mean(0) / spread).abs().max() < 5
        assert (data.deltas[name][0] / spread).abs().max() > 20


def test_sampling_is_reproducible_and_leaves_the_global_generator_alone():
    model, tokens = tiny("gpt2"), rows()
    state = torch.get_rng_state()

    def losses(seed):
        return loss_gradients(model, modules_of(model), tokens, LENGTHS, draws=uniform(3, 7, seed=seed))[1]

    assert torch.equal(losses(1), losses(1))
    assert not torch.equal(losses(1), losses(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert losses(1)[1, 4:].abs().sum() == 0
