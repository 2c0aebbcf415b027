"""The loop of a fine-tuning stage: any objective, any trained parameters, deterministic to the byte on one machine."""

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from imprint.corpus import Stream
from imprint.errors import ConfigError, SelfCheckFailed
from imprint.models.finetuning.autosave import autosave, resume_autosave
from imprint.models.finetuning.objective import Objective, Tunable
from imprint.models.finetuning.recipes import Tuning
from imprint.models.training import checkpoint_name
from imprint.runs import derive
from imprint.types import Advance, no_progress

AUTOSAVE_STEPS = 100
LOSSES_FILE = "losses.npy"


def finetune(
    model: Tunable,
    objective: Objective,
    stream: Stream,
    recipe: Tuning,
    folder: Path,
    *,
    seed: int,
    save: Callable[[Path], None],
    checkpoints: Collection[int] = (),
    advance: Advance = no_progress,
) -> None:
    """Train what requires a gradient on `stream`; a killed run resumes to the same bytes.

    `save` writes a checkpoint into the folder it is given: after each number of updates in `checkpoints` (0 = before the
    first) and after the last. `losses.npy` holds each update's batch loss before it, in nats. `seed` feeds dropout only.

    Raises:
        ConfigError: the stream names examples that the objective does not have.
        SelfCheckFailed: a gradient is not finite: the run diverged.
    """
    _check_stream(objective, stream)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    optimiser = _optimiser(recipe, trained)
    folder.mkdir(parents=True, exist_ok=True)
    losses = resume_autosave(trained, optimiser, folder)
    advance(len(losses))
    wanted, last = {*checkpoints, stream.steps}, stream.steps
    model.train(recipe.dropout)
    with torch.random.fork_rng(devices=_cuda_devices(model)):
        while True:
            step = len(losses)
            if step in wanted:
                save(folder / checkpoint_name(step))
            if step >= last:
                break
            if step > 0 and step % AUTOSAVE_STEPS == 0:
                autosave(trained, optimiser, folder, losses)
            torch.manual_seed(derive(seed, "dropout", step))
            losses.append(_update(model, objective, stream, recipe, optimiser, step))
            advance(1)
    np.save(folder / LOSSES_FILE, np.array(losses), allow_pickle=False)
    model.eval()


def _cuda_devices(model: Tunable) -> list[torch.device]:
    """The devices besides the CPU whose generators dropout draws from."""
    return sorted({p.device for p in model.parameters() if p.device.type == "cuda"}, key=str)


def _optimiser(recipe: Tuning, trained: dict[str, nn.Parameter]) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        trained.values(),
        lr=recipe.learning_rate,
        betas=(recipe.beta1, recipe.beta2),
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def _update(
    model: Tunable, objective: Objective, stream: Stream, recipe: Tuning, optimiser: torch.optim.AdamW, step: int
) -> float:
    """One update; gives the batch's loss before it."""
    rows, weights = torch.from_numpy(stream.rows[step].astype(np.int64)), torch.from_numpy(stream.weights[step])
    for group in optimiser.param_groups:
        group["lr"] = recipe.rate(step)
    optimiser.zero_grad(set_to_none=True)
    loss = _backward(model, objective, rows, weights, recipe.microbatch or len(rows))
    norm = torch.nn.utils.clip_grad_norm_([*_parameters(optimiser)], recipe.clip_norm)
    if not bool(norm.isfinite()):
        raise SelfCheckFailed(
            f"the gradient of update {step + 1} is not finite: lower the learning rate or the clip_norm"
        )
    optimiser.step()
    return loss


def _parameters(optimiser: torch.optim.AdamW) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _backward(model: Tunable, objective: Objective, rows: Tensor, weights: Tensor, microbatch: int) -> float:
    """Add the gradient of the batch's loss to the parameters, some examples at a time."""
    size = objective.sizes[rows].sum().clamp(min=1).item()
    total = 0.0
    for part, weight in zip(torch.split(rows, microbatch), torch.split(weights, microbatch), strict=True):
        losses = objective.losses(model, part)
        loss = (losses * weight.to(losses)).sum() / size
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


def _check_stream(objective: Objective, stream: Stream) -> None:
    rows, most = len(objective.sizes), int(stream.rows.max())
    if most >= rows:
        raise ConfigError(f"the stream names example {most}, but there are {rows}, numbered from 0; draw it from them")
