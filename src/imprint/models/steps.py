"""Training as a content-addressed step: a whole run, or a branch of one that begins at its checkpoint."""

import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from pydantic import Field, model_validator
from transformers import PreTrainedModel

from imprint.corpus import TOKENIZER_FOLDER, Packed, Stream
from imprint.errors import ConfigError
from imprint.models.loading import load_model
from imprint.models.training import Architecture, Device, Optimisation, checkpoint_name, train, unedited
from imprint.runs import Context, Step


class Train(Step):
    """A training run from scratch, or from a checkpoint of another run of the same architecture and order.

    A branch shares everything before `first_step` with its trunk by construction: weights, moments and step count.
    """

    architecture: Architecture
    optimisation: Optimisation = Optimisation()
    packed: Step
    stream: Step
    seed: int
    checkpoint_every: int = Field(default=100, ge=1)
    device: Device = "cpu"
    keep_moments: bool = True
    """Keep the optimiser's moments in every checkpoint, so that any of them can be branched from."""
    trunk: "Train | None" = None
    first_step: int = Field(default=0, ge=0)
    last_step: int = Field(ge=1)
    """Updates of the whole run; the stream must be at least as long."""

    @model_validator(mode="after")
    def _branch_is_complete(self) -> "Train":
        if (self.trunk is None) != (self.first_step == 0):
            raise ValueError("a branch needs both a trunk and the step of the trunk's checkpoint to begin from")
        if self.trunk is not None and self.trunk.architecture != self.architecture:
            raise ValueError("a branch goes on with its trunk's weights, so it must have its trunk's architecture")
        if self.first_step >= self.last_step:
            raise ValueError(f"first_step {self.first_step} must come before last_step {self.last_step}")
        return self

    @property
    def updates(self) -> int:
        """How many updates this run makes itself."""
        return self.last_step - self.first_step

    @property
    def checkpoints(self) -> list[int]:
        """The steps of the checkpoints it leaves."""
        regular = range(self.first_step, self.last_step, self.checkpoint_every)
        return [*regular, self.last_step]

    def around(self, model: PreTrainedModel, update: int) -> AbstractContextManager[None]:
        """What holds during an update; nothing in a plain run."""
        return unedited(model, update)

    def as_trained(self, model: PreTrainedModel, step: int) -> AbstractContextManager[None]:
        """What holds while the checkpoint after `step` updates is measured: what held in its last update."""
        return self.around(model, max(step - 1, 0))

    def execute(self, folder: Path, context: Context) -> None:
        """Train and leave checkpoints `step_XXXXXXXX/` that `from_pretrained` opens, with the tokenizer if there is one."""
        torch.set_num_threads(1)
        stream = Stream.load(context.get(self.stream))
        model = self.architecture.initialise(self.seed)
        if stream.steps < self.last_step:
            raise ConfigError(f"the stream has {stream.steps} steps but the run asks for {self.last_step}")
        train(
            model,
            Packed.load(context.get(self.packed)),
            Stream(rows=stream.rows[: self.last_step], weights=stream.weights[: self.last_step]),
            self.optimisation,
            folder,
            seed=self.seed,
            device=self.device,
            first_step=self.first_step,
            start=self._start(context),
            checkpoints=self.checkpoints,
            keep_moments=self.checkpoints if self.keep_moments else (),
            around=self.around,
            advance=context.advance,
        )
        tokenizer = context.get(self.packed) / TOKENIZER_FOLDER
        if tokenizer.is_dir():
            for step in checkpoint_steps(folder):
                shutil.copytree(tokenizer, folder / checkpoint_name(step), dirs_exist_ok=True)

    def _start(self, context: Context) -> Path | None:
        if self.trunk is None:
            return None
        start = context.get(self.trunk) / checkpoint_name(self.first_step)
        if not (start / "optimiser.safetensors").exists():
            raise ConfigError(
                f"the trunk keeps no checkpoint with moments at step {self.first_step}; branch at one it keeps"
            )
        return start


def checkpoint_steps(folder: Path) -> list[int]:
    """The training steps of the checkpoints in a run's folder, in order."""
    return sorted(int(path.name.removeprefix("step_")) for path in folder.glob("step_*") if path.is_dir())


def open_checkpoint(folder: Path, step: int) -> PreTrainedModel:
    """A run's checkpoint as a plain model in evaluation mode."""
    path = folder / checkpoint_name(step)
    if not path.is_dir():
        raise ConfigError(f"no checkpoint at step {step}; the run has {_listed(checkpoint_steps(folder))}")
    return load_model(str(path))


def _listed(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps)) if len(steps) < 8 else f"{steps[0]}, {steps[1]}, ..., {steps[-1]}"
