import pytest
import torch
from tiny_families import EVERY, inputs, logits, tiny
from torch.nn.functional import cross_entropy

from imprint.errors import ConfigError
from imprint.interventions.activations import Intervention, Sign, gradient_signs, intervene, next_tokens
from imprint.models import Anatomy, hooked, place, record


def labels_of(name, kwargs):
    ids = kwargs.get("decoder_input_ids", kwargs["input_ids"])
    return ids if name in ("bert", "t5") else next_tokens(ids)


def loss(model, kwargs, labels):
    return float(cross_entropy(logits(model, kwargs).flatten(0, 1), labels.flatten(), reduction="sum"))


@pytest.mark.parametrize("name", EVERY)
def test_a_step_along_the_signs_raises_the_loss_and_one_against_them_lowers_it(name):
    model, kwargs = tiny(name), inputs(name)
    labels = labels_of(name, kwargs)
    plain = loss(model, kwargs, labels)
    for tail in ("L0.resid_post", "L1.H2", "L1.neurons"):
        site = f"decoder.{tail}" if name == "t5" else tail
        item = Intervention(site=site, edit=Sign(signs=gradient_signs(model, kwargs, labels, site), rms=1.0), dose=1e-3)
        with intervene(model, [item]):
            assert loss(model, kwargs, labels) > plain
        with intervene(model, [item.at(-1e-3)]):
            assert loss(model, kwargs, labels) < plain
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("site", ["embed", "L0.resid_pre", "L0.mlp", "L1.resid_post"])
def test_signs_are_those_of_finite_differences(site):
    model, kwargs = tiny("gpt2"), inputs("gpt2", batch=1, length=4)
    labels = next_tokens(kwargs["input_ids"])
    signs = gradient_signs(model, kwargs, labels, site)
    module, edge = place(Anatomy(model), Anatomy(model).find(site))
    for position, dim in ((0, 3), (1, 17), (2, 8), (2, 22)):
        step = torch.zeros(1, 4, 24, dtype=torch.float64)
        step[0, position, dim] = 1e-5
        losses = []
        for signed in (step, -step):
            with hooked(model, [(module, edge, lambda h, signed=signed: h + signed)]):
                losses.append(loss(model, kwargs, labels))
        assert (losses[0] > losses[1]) == (int(signs[0, position, dim]) > 0)


def test_rows_do_not_matter_to_each_other_and_padding_has_no_sign():
    model, kwargs = tiny("llama"), inputs("llama", length=6)
    alone = gradient_signs(
        model, {"input_ids": kwargs["input_ids"][:1]}, next_tokens(kwargs["input_ids"][:1]), "L0.mlp"
    )
    together = gradient_signs(model, kwargs, next_tokens(kwargs["input_ids"]), "L0.mlp")
    assert torch.equal(together[:1], alone)
    ids = torch.cat([torch.zeros(1, 2, dtype=torch.long), kwargs["input_ids"][:1]], 1)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1]])
    padded = gradient_signs(model, {"input_ids": ids, "attention_mask": mask}, next_tokens(ids, mask), "L0.mlp")
    assert (padded[:, :6] == alone).float().mean() > 0.99
    assert int(padded[:, 6:].abs().sum()) == 0
    assert next_tokens(ids, mask)[0].tolist() == [-100, -100, *kwargs["input_ids"][0, 1:].tolist(), -100]


def test_frozen_parameters_stay_frozen_and_no_grad_is_no_obstacle():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    labels = next_tokens(kwargs["input_ids"])
    free = gradient_signs(model, kwargs, labels, "L1.mlp")
    model.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(gradient_signs(model, kwargs, labels, "L1.mlp"), free)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    with record(model, ["L1.mlp"]):
        logits(model, kwargs)


def test_labels_are_needed():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    with pytest.raises(ConfigError, match="all that were given are -100"):
        gradient_signs(model, kwargs, torch.full((3, 7), -100), "L0.mlp")
