"""Fine-tuning stages as content-addressed steps, each from the checkpoint of another step or from a saved model."""

import shutil
from abc import abstractmethod
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from pydantic import Field
from transformers import PreTrainedModel

from imprint.corpus import TOKENIZER_FOLDER, Stream
from imprint.corpus.chat import PreferenceRows
from imprint.errors import ConfigError
from imprint.models.finetuning.adapters import save_adapted, with_adapters
from imprint.models.finetuning.dpo import preferred
from imprint.models.finetuning.fit import check_rows, check_tokenizers
from imprint.models.finetuning.loop import finetune
from imprint.models.finetuning.objective import Objective, Tunable
from imprint.models.finetuning.recipes import LoraRecipe, PreferenceRecipe, SupervisedRecipe, Tuning
from imprint.models.finetuning.sft import Supervised
from imprint.models.imported import WEIGHTS_FOLDER
from imprint.models.loading import load_model
from imprint.models.quiet import quiet
from imprint.models.steps import checkpoint_steps
from imprint.models.training import Device, checkpoint_name
from imprint.runs import Context, Step


class TuningOrder(Step):
    """The order that a stage with this recipe and seed draws for itself, as a stream, to be edited (rows left out)."""

    rows: Step
    tuning: Tuning
    seed: int = Field(ge=0)

    def execute(self, folder: Path, context: Context) -> None:
        """Count the rows, draw and save."""
        self.tuning.order(count_rows(context.get(self.rows)), self.seed).save(folder)


class FineTuning(Step):
    """What the stages share: where they start, what they train on, in which order, and what they leave.

    Trust: the same to the byte on one machine's CPU; a GPU adds in another order. Full checkpoints, no moments: the next
    stage starts with a fresh optimiser.
    """

    start: Step | Path
    """A step that trains or imports a model, or the folder of a saved one (it counts by its content)."""
    start_step: int | None = Field(default=None, ge=0)
    """Updates of the starting step's checkpoint; None: its last."""
    rows: Step
    tuning: Tuning
    stream: Step | None = None
    """The order of the examples, such as an edited `TuningOrder`; None: drawn from tuning and seed."""
    lora: LoraRecipe | None = None
    """Train low-rank adapters on a frozen base; None: every parameter."""
    seed: int = Field(ge=0)
    """Order, adapters and dropout."""
    checkpoint_every: int = Field(default=100, ge=1)
    device: Device = "cpu"
    peft_version: str = Field(default_factory=partial(version, "peft"))

    @abstractmethod
    def objective(self, model: PreTrainedModel, rows: Path) -> Objective:
        """What the stage lowers, checked to fit the model that it starts from."""

    def execute(self, folder: Path, context: Context) -> None:
        """Train and leave checkpoints `step_XXXXXXXX/` that `load_model` opens, with the tokenizer of the rows.

        With `lora`, a checkpoint is the merged model and has the adapter alone in `adapter/`.
        """
        torch.set_num_threads(1)
        place = start_folder(self.start if isinstance(self.start, Path) else context.get(self.start), self.start_step)
        rows = context.get(self.rows)
        check_tokenizers(place, rows / TOKENIZER_FOLDER)
        model = _on(self.device, load_model(place))
        objective = self.objective(model, rows)
        stream = self._stream(context, rows)
        tuned: Tunable = model if self.lora is None else with_adapters(model, self.lora, seed=self.seed)
        finetune(
            tuned,
            objective,
            stream,
            self.tuning,
            folder,
            seed=self.seed,
            save=partial(_save, tuned, rows / TOKENIZER_FOLDER),
            checkpoints=range(0, stream.steps, self.checkpoint_every),
            advance=context.advance,
        )

    def _stream(self, context: Context, rows: Path) -> Stream:
        if self.stream is not None:
            return Stream.load(context.get(self.stream))
        return self.tuning.order(count_rows(rows), self.seed)


class SupervisedTuning(FineTuning):
    """Mid-training and SFT: `rows` are `RenderedChats` (prompts masked) or `PackedCorpus` (whole documents)."""

    tuning: SupervisedRecipe = SupervisedRecipe()

    def objective(self, model: PreTrainedModel, rows: Path) -> Objective:
        """Cross-entropy on what is learnt."""
        objective = Supervised.load(rows)
        check_rows(model, objective.tokens.numpy())
        return objective


class PreferenceTuning(FineTuning):
    """DPO on `RenderedPreferences`; the reference is the model that the stage starts from."""

    tuning: PreferenceRecipe = PreferenceRecipe()

    def objective(self, model: PreTrainedModel, rows: Path) -> Objective:
        """The preference loss, with the reference's margins taken now."""
        pairs = PreferenceRows.load(rows)
        for side in (pairs.chosen, pairs.rejected):
            check_rows(model, side.tokens)
        batch = self.tuning.microbatch or self.tuning.batch
        return preferred(model, pairs, beta=self.tuning.beta, batch=batch)


def start_folder(folder: Path, step: int | None) -> Path:
    """The folder of a saved model in the result of a training step or of `ImportedModel`, or the folder itself.

    Raises:
        ConfigError: there is no checkpoint after so many updates.
    """
    if (folder / WEIGHTS_FOLDER).is_dir() and step is None:
        return folder / WEIGHTS_FOLDER
    kept = checkpoint_steps(folder)
    if step is not None and step not in kept:
        has = f"checkpoints at {', '.join(map(str, kept))}" if kept else "no numbered checkpoints"
        raise ConfigError(f"start_step: there is no checkpoint at step {step}; the start has {has}")
    return folder / checkpoint_name(kept[-1] if step is None else step) if kept else folder


def _on(device: Device, model: PreTrainedModel) -> PreTrainedModel:
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is 'cuda', but no CUDA device can be used here; set it to cpu")
    moved: PreTrainedModel = model.to(device)  # type: ignore[arg-type]
    return moved


def count_rows(rows: Path) -> int:
    """How many examples rendered chats or preference pairs hold."""
    return len(PreferenceRows.load(rows)) if (rows / "chosen").is_dir() else len(Supervised.load(rows).tokens)


def _save(model: Tunable, tokenizer: Path, target: Path) -> None:
    if isinstance(model, PreTrainedModel):
        with quiet():
            model.save_pretrained(target)
    else:
        save_adapted(model, target)
    if tokenizer.is_dir():
        shutil.copytree(tokenizer, target, dirs_exist_ok=True)
