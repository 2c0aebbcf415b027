"""A fine-tuning stage that has run: its updates as unrolling repeats them, and its checkpoints."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from imprint.attribution.stages.names import row_names
from imprint.attribution.stages.objectives import objective_of
from imprint.attribution.stages.pipeline import chain, order_of, stage_back
from imprint.attribution.unrolled import AdamW, Full, LowRank, Params, Stage, Trained, parameters_of
from imprint.attribution.unrolled.replay import Course, bind
from imprint.corpus import Stream
from imprint.models import Device, checkpoint_name, checkpoint_steps, load_model
from imprint.models.finetuning import ADAPTER_FOLDER, FineTuning, LoraRecipe, adapted_modules, start_folder
from imprint.runs import Context

_ADAPTER = "adapter_model.safetensors"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A stage's updates up to the checkpoint that the next stage starts from, its rows, and where its checkpoints lie."""

    stage: Stage
    ids: tuple[str, ...]
    model: PreTrainedModel
    """The model that it started from."""
    folder: Path

    def course(self) -> Course:
        """Its updates from where it started."""
        return bind(self.model, self.stage, parameters_of(self.model), None)

    def after(self, updates: int) -> Params:
        """The model's parameters after so many updates, adapters merged."""
        return parameters_of(load_model(self.folder / checkpoint_name(updates), device=str(self.model.device)))

    def last(self) -> Params:
        """The parameters that it left to the next stage."""
        return self.after(self.stage.steps)

    def checkpoints(self) -> list[int]:
        """Updates after which its state was kept."""
        return [updates for updates in checkpoint_steps(self.folder) if updates <= self.stage.steps]

    def variables(self, updates: int) -> Params:
        """What it trains, after so many updates: the adapters alone, or every parameter."""
        if isinstance(self.stage.trained, Full):
            return self.after(updates)
        saved = load_file(
            self.folder / checkpoint_name(updates) / ADAPTER_FOLDER / _ADAPTER, device=str(self.model.device)
        )
        return {_variable(name): value for name, value in saved.items()}

    def mean_weights(self) -> Float[Tensor, "row"]:
        """The mean weight that each row is trained with; 0 for a row that is never drawn."""
        assert self.stage.multipliers is not None
        rows, weights = self.stage.batches.reshape(-1), self.stage.multipliers.reshape(-1).double()
        counts, sums = (
            torch.zeros(self.stage.rows, dtype=torch.float64).index_add_(0, rows, values)
            for values in (torch.ones_like(weights), weights)
        )
        return sums / counts.clamp(min=1)


def _variable(name: str) -> str:
    """What unrolling calls the adapter file's `base_model.model.NAME.lora_A.weight`: `NAME.weight.lora_A`."""
    module, matrix, _ = name.removeprefix("base_model.model.").rsplit(".", 2)
    return f"{module}.weight.{matrix}"


def recorded(final: FineTuning, back: int, context: Context, *, device: Device) -> Recorded:
    """The stage `back` stages before the last, as it ran.

    Raises:
        ConfigError: there is no such stage, or the next one starts from before its first update.
    """
    stage = stage_back(final, back)
    start = start_folder(stage.start if isinstance(stage.start, Path) else context.get(stage.start), stage.start_step)
    rows, folder = context.get(stage.rows), context.get(stage)
    stream = Stream.load(context.get(order_of(stage)))
    used = None if back == 0 else stage_back(final, back - 1).start_step
    model = load_model(start, device=device)
    unrolled = Stage(
        name=f"stage {len(chain(final)) - back}",
        objective=objective_of(stage, rows),
        batches=torch.from_numpy(stream.rows[:used].astype(np.int64)),
        optimiser=AdamW.of(stage.tuning),
        trained=Full() if stage.lora is None else _low_rank(model, stage.lora, stage.seed),
        multipliers=torch.from_numpy(stream.weights[:used]),
    )
    return Recorded(stage=unrolled, ids=row_names(rows), model=model, folder=folder)


def _low_rank(model: PreTrainedModel, lora: LoraRecipe, seed: int) -> Trained:
    names = adapted_modules(model, lora.targets)
    weights = tuple((f"{name}.weight", isinstance(model.get_submodule(name), Conv1D)) for name in names)
    return LowRank(weights=weights, rank=lora.rank, alpha=lora.alpha, seed=seed)
