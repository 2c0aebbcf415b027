"""The measurement of one checkpoint, and its scalars, as content-addressed steps."""

from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from imprint.corpus.chat import Conversation, read_conversations, render_chat
from imprint.errors import ConfigError, CorpusError
from imprint.mechanisms.checkpoints.measurement import CheckpointMeasurement, Poles
from imprint.mechanisms.checkpoints.readings import Position, PromptReadings, read_prompts
from imprint.mechanisms.checkpoints.scalars import checkpoint_scalars
from imprint.models import Device, load_model, load_tokenizer
from imprint.models.finetuning import start_folder
from imprint.runs import Context, Step, write_json
from imprint.types import Advance

SCALARS_FILE = "scalars.json"


class Contrast(BaseModel):
    """Chat files whose n-th conversations differ in the persona only; each counts by name and content."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    positive: Path
    """The pole towards which the axis points."""
    negative: tuple[Path, ...] = Field(min_length=1)
    """The other pole; several files are roles, and their mean conversation by conversation is the pole: with the default
    assistant as the positive one this is the assistant axis."""


class MeasureCheckpoint(Step):
    """States, entropies and losses of a model on fixed conversations and contrasts: a `CheckpointMeasurement`."""

    model: Step
    """Any step that leaves a saved model: an import, a training run, a stage."""
    place: str | None = Field(default=None, min_length=1)
    """The model's folder within that step's result, for example step_00000100; "." for the result itself. None: the last
    checkpoint, or the import's weights."""
    tokenizer: Path | None = None
    """The folder of a tokenizer, where the model's own folder has none."""
    prompts: tuple[Path, ...] = Field(min_length=1)
    """Chat files (JSON Lines); the domain of a conversation names its set."""
    domain_key: str | None = None
    contrasts: tuple[Contrast, ...] = ()
    sites: tuple[str, ...] = Field(min_length=1)
    position: Position = "answer"
    dtype: str = "float32"
    device: Device = "cpu"
    batch: int = Field(default=8, ge=1)

    def execute(self, folder: Path, context: Context) -> None:
        """Load the model once, read all conversations, save; malformed lines are refused, since prompts are paired."""
        torch.set_num_threads(1)
        names = [contrast.name for contrast in self.contrasts]
        if len(set(names)) < len(names):
            raise ConfigError(f"the contrasts {names} must have different names")
        fixed = read_conversations(self.prompts, domain_key=self.domain_key, strict=True).conversations
        pairs = {contrast.name: _pairs(contrast) for contrast in self.contrasts}
        model, tokenizer = self._open(context)
        poles: dict[tuple[str, str], Poles] = {}
        prompts = self._read(model, tokenizer, fixed, context.advance)
        for name, chats in pairs.items():
            high, *low = (self._read(model, tokenizer, pole, context.advance).states for pole in chats)
            poles |= {(name, site): (high[site], np.mean([one[site] for one in low], axis=0)) for site in self.sites}
        CheckpointMeasurement(
            ids=tuple(one.id for one in fixed),
            sets=tuple(one.domain for one in fixed),
            prompts=prompts,
            poles=poles,
        ).save(folder)

    def _open(self, context: Context) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        result = context.get(self.model)
        weights = start_folder(result, None) if self.place is None else result / self.place
        if not weights.is_dir():
            raise ConfigError(f"the model's step has no folder {self.place}; name the one its weights were saved in")
        return load_model(weights, dtype=self.dtype, device=self.device), load_tokenizer(self.tokenizer or weights)

    def _read(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        conversations: tuple[Conversation, ...],
        advance: Advance,
    ) -> PromptReadings:
        chats = [render_chat(one, tokenizer) for one in conversations]
        return read_prompts(model, chats, self.sites, position=self.position, batch=self.batch, advance=advance)


class CheckpointScalars(Step):
    """The scalars of a measured checkpoint, in `scalars.json` (see `checkpoint_scalars`)."""

    measured: MeasureCheckpoint
    reference: MeasureCheckpoint | None = None
    """Whose axes and centres are used, the same for all checkpoints that are compared; None: the checkpoint's own."""
    whiten: bool = False
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Compute and save."""
        torch.set_num_threads(1)
        own = CheckpointMeasurement.load(context.get(self.measured))
        reference = CheckpointMeasurement.load(context.get(self.reference or self.measured))
        if reference.ids != own.ids or list(reference.poles) != list(own.poles):
            raise ConfigError("the reference was measured on other prompts, contrasts or sites; use the same settings")
        write_json(folder / SCALARS_FILE, checkpoint_scalars(own, reference, whiten=self.whiten, seed=self.seed))


def _pairs(contrast: Contrast) -> list[tuple[Conversation, ...]]:
    """The conversations of the positive file and of every negative one."""
    poles = [
        tuple(read_conversations(path, strict=True).conversations) for path in (contrast.positive, *contrast.negative)
    ]
    for path, pole in zip(contrast.negative, poles[1:], strict=True):
        if len(pole) != len(poles[0]):
            raise CorpusError(
                f"the contrast {contrast.name} has {len(poles[0])} positive conversations and {path.name} {len(pole)}; "
                "pair them line by line."
            )
    return poles
