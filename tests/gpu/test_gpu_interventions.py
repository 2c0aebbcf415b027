import pytest
import torch
from bench_files import TOKENIZER, tiny_llama
from tiny_families import inputs, logits, tiny
from two_devices import DEVICE, moved, on_both, same

from imprint.capabilities import Decoding, continuations
from imprint.interventions.activations import (
    Affine,
    Combined,
    Intervention,
    Mean,
    Noise,
    Patch,
    RandomSign,
    Resample,
    Shift,
    Sign,
    Subspace,
    Swap,
    Zero,
    attention_change,
    change_rms,
    gradient_signs,
    intervene,
    loss_change,
    next_tokens,
    random_directions,
    reference_states,
    sweep,
)

SITE, WIDTH = "L0.resid_post", 24
ROOM = 1e-5
"""Noise is drawn in single precision."""


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


DIMS = Subspace.of_dims(torch.tensor([1, 4, 7]), WIDTH)
PLANE = Subspace.spanned_by(drawn(WIDTH, 2))
EDITS = {
    "zero": Zero(),
    "zero in dimensions": Zero(within=DIMS),
    "mean": Mean(value=drawn(WIDTH), within=PLANE),
    "resample": Resample(states=drawn(11, WIDTH), seed=3, within=PLANE),
    "patch": Patch(states=drawn(3, 9, WIDTH)),
    "affine": Affine(matrix=drawn(WIDTH, WIDTH), mean=drawn(WIDTH)),
    "noise": Noise(seed=5, rms=0.7, within=DIMS),
    "shift": Shift.along(drawn(WIDTH), rms=0.8),
    "sign": Sign(signs=drawn(3, 9, WIDTH).sign().to(torch.int8), rms=0.4),
    "random sign": RandomSign(seed=2, rms=0.3),
    "swap": Swap(source=drawn(WIDTH), target=drawn(WIDTH, seed=1), within=PLANE),
    "combined": Combined(parts=(Noise(seed=1, rms=0.2), Mean(value=drawn(WIDTH))), weights=(0.5, 0.3)),
}


def padded(name="gpt2"):
    """A left-padded batch."""
    batch = inputs(name, length=9)
    mask = torch.ones_like(batch["input_ids"])
    mask[0, :4] = 0
    return batch | {"attention_mask": mask}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kind", EDITS)
def test_every_edit_does_the_same_on_both(kind, dtype):
    cpu, gpu = on_both(tiny("gpt2").to(dtype))
    tokens = torch.rand(3, 9, generator=torch.Generator().manual_seed(1)) < 0.6
    for options in ({}, {"dose": (0.5, 0.0, 1.5)}, {"tokens": tokens}):
        item, found = Intervention(site=SITE, edit=EDITS[kind], **options), []
        for model, batch in ((cpu, padded()), (gpu, moved(padded()))):
            with intervene(model, [item]) as fired:
                found.append(logits(model, batch))
            assert fired[0].changed > 0
        same(found[0].double(), found[1].double(), ROOM if dtype == torch.float64 else 0.06)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_sweep_takes_a_batch_from_anywhere(name):
    cpu, gpu = on_both(tiny(name))
    variants = {
        "none": [],
        "head": [Intervention(site="L1.H2", edit=Zero())],
        **{kind: [Intervention(site=SITE, edit=edit)] for kind, edit in EDITS.items()},
    }
    expected = sweep(cpu, padded(name), variants)
    same(expected, sweep(gpu, padded(name), variants), ROOM)
    same(expected, sweep(gpu, moved(padded(name)), variants), ROOM)


def test_references_signs_losses_and_patterns_are_those_of_the_cpu():
    cpu, gpu = on_both(tiny("llama"))
    batch, item = padded("llama"), Intervention(site=SITE, edit=EDITS["shift"])
    same(reference_states(cpu, [SITE], [batch]), reference_states(gpu, [SITE], [batch]), ROOM)
    labels = next_tokens(batch["input_ids"], batch["attention_mask"])
    signs = [gradient_signs(model, batch, labels, SITE).cpu() for model in (cpu, gpu)]
    assert float((signs[0] == signs[1]).double().mean()) > 0.999
    losses = [loss_change(model, [item], [batch, batch], name="some") for model in (cpu, gpu)]
    same(*losses, ROOM)
    changes = [attention_change(model, [item], batch) for model in (cpu, gpu)]
    same(*changes, ROOM)


def test_controls_are_made_from_states_on_the_gpu():
    states = drawn(200, WIDTH) * torch.linspace(0.5, 2, WIDTH, dtype=torch.float64)
    item = Intervention(site=SITE, edit=Mean(value=states.mean(0), within=PLANE))
    assert change_rms(item, states.to(DEVICE)) == pytest.approx(change_rms(item, states))
    controls = [random_directions(item, here, seed=0) for here in (states, states.to(DEVICE))]
    same(*(control.explained for control in controls), 1e-6)


def test_steered_generation_says_the_same():
    cpu, gpu = on_both(tiny_llama().double())
    prompts = ["hello", "a much longer prompt than that", "x"]
    steer = Intervention(site="L1.resid_post", edit=Shift.along(drawn(16), rms=2.0), phase="decode")
    for interventions in ([], [steer]):
        found = [
            continuations(model, TOKENIZER, prompts, Decoding(max_new_tokens=12), interventions=interventions)
            for model in (cpu, gpu)
        ]
        assert found[0] == found[1]
    warm = Decoding(max_new_tokens=12, temperature=1.0)
    state = torch.cuda.get_rng_state()
    drawn_twice = [continuations(gpu, TOKENIZER, prompts, warm, seed=4) for _ in range(2)]
    assert drawn_twice[0] == drawn_twice[1]
    assert torch.equal(torch.cuda.get_rng_state(), state)
