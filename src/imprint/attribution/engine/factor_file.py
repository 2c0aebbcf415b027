"""Factors on disk: each distinct basis once, exactly as fitted or in half the space."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from imprint.attribution.engine.ekfac import BlockFactors, EkfacOptions
from imprint.runs import atomic_file, read_json, write_json

FACTORS_FILE, CHECKS_FILE = "factors.safetensors", "checks.json"


def save_factors(factors: Sequence[BlockFactors], path: Path, *, half: bool = False) -> None:
    """Write fitted factors; with `half`, bases in float16 (11 bits an entry) and eigenvalues in float32.

    Trust: rounded bases are not quite orthogonal, which matters where the damping is tiny: Spearman .998 at 1e-8.
    """
    tensors: dict[str, Tensor] = {}
    first: dict[int, str] = {}
    for number, block in enumerate(factors):
        tensors[f"eigenvalues/{number}"] = (block.eigenvalues.float() if half else block.eigenvalues).contiguous()
        for side, basis in (("in", block.input_basis), ("out", block.output_basis)):
            if basis is None:
                continue
            name = first.setdefault(id(basis), f"{side}/{number}")
            tensors[name] = (basis.half() if half else basis).contiguous()
            if name != f"{side}/{number}":
                tensors[f"{side}/{number}/as"] = torch.tensor([name.startswith("out"), int(name.split("/")[1])])
    with atomic_file(path) as partial:
        save_file(tensors, partial)


def load_factors(path: Path, options: EkfacOptions) -> list[BlockFactors]:
    """Read what `save_factors` wrote, with the damping of `options`; halves come back as float32."""
    tensors = load_file(path)
    wide = {
        name: tensor.float() if tensor.dtype == torch.float16 else tensor
        for name, tensor in tensors.items()
        if not name.endswith("/as")
    }

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
    """Factors and self-checks of a run in its own (claimed) folder: fitted once, and read exactly when it goes on."""
    path, checks = folder / FACTORS_FILE, folder / CHECKS_FILE
    if not (path.exists() and checks.exists()):
        factors, found = fit()
        save_factors(factors, path)
        write_json(checks, found)
    return load_factors(path, options), {name: float(value) for name, value in read_json(checks).items()}
