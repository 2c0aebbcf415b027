"""One model on the CPU and its copy on the GPU, and what "the same" means between the two."""

import copy
import dataclasses

import numpy as np
import torch

DEVICE = "cuda"
CLOSE = 1e-9
"""Relative to the largest number of an array, in double precision: sums come in another order."""


def on_both(model):
    """(the model on the CPU, a copy of it on the GPU)."""
    return model.cpu(), copy.deepcopy(model).to(DEVICE)


def moved(batch):
    """The arguments of a forward pass on the GPU."""
    return {name: part.to(DEVICE) for name, part in batch.items()}


def same(cpu, gpu, tolerance=CLOSE):
    """Assert that two nested results say the same, number by number."""
    if isinstance(cpu, torch.Tensor):
        same(cpu.detach().cpu().numpy(), gpu.detach().cpu().numpy(), tolerance)
    elif isinstance(cpu, np.ndarray):
        assert cpu.shape == gpu.shape
        if cpu.dtype.kind in "fc":
            room = tolerance * max(float(np.abs(cpu[np.isfinite(cpu)]).max(initial=0.0)), 1e-3)
            np.testing.assert_allclose(gpu, cpu, rtol=0, atol=room)
        else:
            np.testing.assert_array_equal(gpu, cpu)
    elif dataclasses.is_dataclass(cpu):
        same(_fields(cpu), _fields(gpu), tolerance)
    elif isinstance(cpu, dict):
        assert list(cpu) == list(gpu)
        for name in cpu:
            same(cpu[name], gpu[name], tolerance)
    elif isinstance(cpu, list | tuple):
        assert len(cpu) == len(gpu)
        for one, other in zip(cpu, gpu, strict=True):
            same(one, other, tolerance)
    elif isinstance(cpu, float):
        same(np.array(cpu), np.array(gpu), tolerance)
    else:
        assert cpu == gpu


def _fields(value):
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
