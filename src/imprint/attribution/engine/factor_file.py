"""Factors on disk: orthonormal bases in float16, each distinct one once, and eigenvalues in float32."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from imprint.attribution.engine.ekfac import BlockFactors, EkfacOptions
from imprint.runs import atomic_file, read_json, write_json

FACTORS_FILE, CHECKS_FILE = "factors.safetensors", "checks.json"


def save_factors(factors: Sequence[BlockFactors], path: Path) -> None:
    """Write fitted factors; half the size of float32, at 11 bits a basis entry."""
    tensors: dict[str, Tensor] = {}
    first: dict[int, str] = {}
    for number, block in enumerate(factors):
        tensors[f"eigenvalues/{number}"] = block.eigenvalues.float().contiguous()
        for side, basis in (("in", block.input_basis), ("out", block.output_basis)):
            if basis is None:
                continue
            name = first.setdefault(id(basis), f"{side}/{number}")
            tensors[name] = basis.half().contiguous()
            if name != f"{side}/{number}":
                tensors[f"{side}/{number}/as"] = torch.tensor([name.startswith("out"), int(name.split("/")[1])])
    with atomic_file(path) as partial:
        save_file(tensors, partial)


def load_factors(path: Path, options: EkfacOptions, *, dtype: torch.dtype = torch.float32) -> list[BlockFactors]:
    """Read what `save_factors` wrote, with the damping of `options`."""
    tensors = load_file(path)
    wide = {name: tensor.to(dtype) for name, tensor in tensors.items() if not name.endswith("/as")}

    def basis(side: str, number: int) -> Tensor | None:
        other = tensors.get(f"{side}/{number}/as")
        if other is not None:
            return wide[f"{'out' if other[0] else 'in'}/{int(other[1])}"]
        return wide.get(f"{side}/{number}")

    factors = []
    for number in range(sum(name.startswith("eigenvalues/") for name in wide)):
        output = basis("out", number)
        assert output is not None
        factors.append(
            BlockFactors(
                output_basis=output,
                input_basis=basis("in", number),
                eigenvalues=wide[f"eigenvalues/{number}"],
                damping_relative=options.damping_relative,
                damping_absolute=options.damping_absolute,
                damping_floor=options.damping_floor,
            )
        )
    return factors


def kept_factors(
    folder: Path, options: EkfacOptions, fit: Callable[[], tuple[list[BlockFactors], dict[str, float]]]
) -> tuple[list[BlockFactors], dict[str, float]]:
    """Factors and self-checks of a run in a folder: fitted once, and read by whoever goes on with it."""
    folder.mkdir(parents=True, exist_ok=True)
    path, checks = folder / FACTORS_FILE, folder / CHECKS_FILE
    if not (path.exists() and checks.exists()):
        factors, found = fit()
        save_factors(factors, path)
        write_json(checks, found)
    return load_factors(path, options), {name: float(value) for name, value in read_json(checks).items()}
