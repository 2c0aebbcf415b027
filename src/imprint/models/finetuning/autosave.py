"""The state of a running fine-tuning stage: what is trained, its moments, the losses so far and the finished updates."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from imprint.runs import atomic_file

_FILE = Path("scratch") / "autosave.safetensors"


def autosave(trained: dict[str, nn.Parameter], optimiser: torch.optim.AdamW, folder: Path, losses: list[float]) -> None:
    """Write the state after `len(losses)` updates into the folder's scratch, atomically."""
    state = {f"weight/{name}": parameter.detach() for name, parameter in trained.items()}
    for name, parameter in trained.items():
        state |= {f"{kind}/{name}": value for kind, value in optimiser.state[parameter].items()}
    state = {name: value.cpu().clone().contiguous() for name, value in state.items()}
    (folder / _FILE).parent.mkdir(exist_ok=True)
    with atomic_file(folder / _FILE) as partial:
        save_file(state | {"losses": torch.tensor(losses, dtype=torch.float64)}, partial)


def resume_autosave(trained: dict[str, nn.Parameter], optimiser: torch.optim.AdamW, folder: Path) -> list[float]:
    """Put a killed attempt's state back, in place; gives its losses, one a finished update (none: a first attempt)."""
    if not (folder / _FILE).exists():
        return []
    state = load_file(folder / _FILE)
    losses: list[float] = state.pop("losses").tolist()
    for key, value in state.items():
        kind, name = key.split("/", 1)
        _restore(trained[name], optimiser, kind, value)
    return losses


@torch.no_grad()
def _restore(parameter: nn.Parameter, optimiser: torch.optim.AdamW, kind: str, value: Tensor) -> None:
    if kind == "weight":
        parameter.copy_(value)
    else:
        optimiser.state[parameter][kind] = value.clone().to(parameter.device)
