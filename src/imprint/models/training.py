"""Training from scratch (or from a checkpoint) on an ordered stream, deterministic to the byte on one machine."""

import difflib
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from imprint.corpus import Packed, Stream
from imprint.errors import ConfigError, ContextTooLong, SelfCheckFailed
from imprint.models.families import FAMILIES, family_of
from imprint.models.loading import load_model
from imprint.models.loss import label_mask, token_losses, weighted_mean_loss
from imprint.models.quiet import quiet
from imprint.runs import atomic_file, derive
from imprint.types import Advance, no_progress

AUTOSAVE_STEPS = 200
Device = Literal["cpu", "cuda"]
Around = Callable[[PreTrainedModel, int], AbstractContextManager[None]]
"""What holds while an update, counted from 0, is computed: a context around forward and backward pass."""


def unedited(model: PreTrainedModel, update: int) -> AbstractContextManager[None]:
    """An update of the plain model."""
    return nullcontext()


class Architecture(BaseModel):
    """A Hugging Face model class, by `model_type` and the keyword arguments of its config."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_type: str = "gpt2"
    """A causal model type of transformers: gpt2, gpt_neox, llama, ..."""
    config: dict[str, int | float | bool | str] = Field(default_factory=dict)
    """Arguments of the config class, such as `n_layer` or `hidden_size`."""

    @property
    def context(self) -> int:
        """The longest sequence that the model takes, in tokens."""
        return int(getattr(self.build_config(), "max_position_embeddings"))  # noqa: B009 - not declared on the base class

    @property
    def parameters(self) -> int:
        """How many numbers a model of this architecture has (tied ones counted once)."""
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(self.build_config())  # type: ignore[no-untyped-call]
        return sum(parameter.numel() for parameter in model.parameters())

    def build_config(self) -> PreTrainedConfig:
        """The transformers config that this architecture names.

        Raises:
            ModelError: the model_type is not known to imprint.
            ConfigError: it is not a causal one, or an argument has a wrong name or value.
        """
        if family_of(self.model_type).objective != "causal":
            causal = ", ".join(name for name, family in FAMILIES.items() if family.objective == "causal")
            raise ConfigError(f"model_type '{self.model_type}' does not predict the next token; choose one of {causal}")
        try:
            config: PreTrainedConfig = AutoConfig.for_model(self.model_type, **self.config)
        except (TypeError, ValueError, StrictDataclassError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"the config of a '{self.model_type}' model cannot be built: {reason}") from error
        self._refuse_unknown(config)
        return config

    def _refuse_unknown(self, config: PreTrainedConfig) -> None:
        """Refuse arguments that no config of the type has: transformers keeps them, and the model ignores them."""
        known = {*AutoConfig.for_model(self.model_type).to_dict(), *config.attribute_map}
        unknown = sorted({*self.config} & {*config.to_dict()} - known)
        if unknown:
            near = difflib.get_close_matches(unknown[0], known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"see the config class of '{self.model_type}'"
            raise ConfigError(f"architecture.config: a '{self.model_type}' model has no '{unknown[0]}'; {hint}")

    def initialise(self, seed: int) -> PreTrainedModel:
        """A fresh model with weights drawn from `seed`, in float32, without touching the global generator."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "initialisation"))
            model: PreTrainedModel = AutoModelForCausalLM.from_config(self.build_config())  # type: ignore[no-untyped-call]
        return model


class Optimisation(BaseModel):
    """AdamW with linear warm-up, a constant rate after it, and gradient clipping."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=3e-3, gt=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.98, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_steps: int = Field(default=30, ge=1)
    clip_norm: float = Field(default=1.0, gt=0)

    def rate(self, step: int) -> float:
        """The learning rate of the update that follows `step` finished updates."""
        return self.learning_rate * min(1.0, (step + 1) / self.warmup_steps)

    def build(self, model: PreTrainedModel) -> torch.optim.AdamW:
        """The optimiser, with no state yet."""
        return torch.optim.AdamW(
            model.parameters(),
            lr=self.learning_rate,
            betas=(self.beta1, self.beta2),
            weight_decay=self.weight_decay,
            fused=True,
        )


def checkpoint_name(step: int) -> str:
    """The folder name of the checkpoint after `step` updates."""
    return f"step_{step:08d}"


def save_checkpoint(model: PreTrainedModel, optimiser: torch.optim.AdamW | None, folder: Path, step: int) -> None:
    """Write a checkpoint that `from_pretrained` opens, with the optimiser's moments beside it (safetensors)."""
    target = folder / checkpoint_name(step)
    with quiet():
        model.save_pretrained(target)
    if optimiser is not None:
        save_file(_moments(model, optimiser), target / "optimiser.safetensors")


def _moments(model: PreTrainedModel, optimiser: torch.optim.AdamW) -> dict[str, Tensor]:
    moments = {}
    for name, parameter in model.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            moments[f"{key}/{name}"] = value.detach().contiguous().cpu()
    return moments


def _restore_moments(model: PreTrainedModel, optimiser: torch.optim.AdamW, moments: dict[str, Tensor]) -> None:
    parameters = dict(model.named_parameters())
    for key, value in moments.items():
        kind, name = key.split("/", 1)
        optimiser.state[parameters[name]][kind] = value.clone().to(parameters[name].device)


def resume(model: PreTrainedModel, optimiser: torch.optim.AdamW, checkpoint: Path) -> None:
    """Put a checkpoint's weights and moments into a model and its optimiser.

    Raises:
        ConfigError: the checkpoint is of another architecture, or was saved without moments.
    """
    moments = checkpoint / "optimiser.safetensors"
    if not moments.exists():
        raise ConfigError(f"checkpoint '{checkpoint.name}' keeps no moments, so training cannot go on from it")
    # Read as transformers reads it: some families (GPT-NeoX) have other names on disk than in memory.
    saved = load_model(checkpoint, dtype=str(model.dtype).removeprefix("torch."))
    different = sorted(name for name, _ in _shapes(saved) ^ _shapes(model))
    if different:
        raise ConfigError(
            f"checkpoint '{checkpoint.name}' is of another architecture than the model: they differ in '{different[0]}'"
        )
    model.load_state_dict(saved.state_dict())
    _restore_moments(model, optimiser, load_file(moments))


def _shapes(model: PreTrainedModel) -> set[tuple[str, torch.Size]]:
    return {(name, parameter.shape) for name, parameter in model.named_parameters()}


def train(
    model: PreTrainedModel,
    packed: Packed,
    stream: Stream,
    optimisation: Optimisation,
    folder: Path,
    *,
    seed: int,
    device: Device = "cpu",
    first_step: int = 0,
    start: Path | None = None,
    checkpoints: Collection[int] = (),
    keep_moments: Collection[int] = (),
    around: Around = unedited,
    advance: Advance = no_progress,
) -> None:
    """Train on `stream[first_step:]` and leave checkpoints in `folder`; a killed run resumes to the same bytes.

    `checkpoints` are counted in finished updates (0 = before the first); the last step is always kept. `start` is the
    checkpoint folder to begin from, with moments. `seed` feeds dropout only; order and weights come from `stream`.
    `around` holds during each update: interventions on components act there.
    The model ends on the CPU, wherever it was trained. Trust: on a GPU, sums come in another order, so runs are the same
    to the byte on the CPU only.

    Raises:
        ConfigError: the device is not there.
        ContextTooLong: the rows are longer than the model's context.
        ConfigError: the rows hold token ids that the model does not have, or `start` does not fit the model.
        SelfCheckFailed: a gradient is not finite: the run diverged.
    """
    _check_fit(model, packed)
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("training.device is 'cuda', but no CUDA device can be used here; set it to cpu")
    model.to(device)  # type: ignore[arg-type]
    optimiser = optimisation.build(model)
    if start is not None:
        resume(model, optimiser, start)
    step = _resume_autosave(model, optimiser, folder, first_step)
    advance(step - first_step)
    last = len(stream.rows)
    wanted = {*checkpoints, last}
    batches = _Batches(packed, stream)
    model.train()
    with torch.random.fork_rng(devices=[model.device] if device == "cuda" else []):
        while True:
            if step in wanted:
                save_checkpoint(model, optimiser if step in keep_moments else None, folder, step)
            if step >= last:
                break
            if step > first_step and step % AUTOSAVE_STEPS == 0:
                _autosave(model, optimiser, folder, step)
            torch.manual_seed(derive(seed, "dropout", step))
            with around(model, step):
                _update(model, optimiser, optimisation, batches, step)
            step += 1
            advance(1)
    model.to("cpu")  # type: ignore[arg-type]
    model.eval()  # type: ignore[no-untyped-call]


class _Batches:
    """Tensors of one step of a stream."""

    def __init__(self, packed: Packed, stream: Stream) -> None:
        self.tokens = torch.from_numpy(packed.tokens)
        self.lengths = torch.from_numpy(packed.lengths.astype(np.int64))
        self.stream = stream

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        rows = torch.from_numpy(self.stream.rows[step].astype(np.int64))
        return self.tokens[rows], self.lengths[rows], torch.from_numpy(self.stream.weights[step])


def _update(
    model: PreTrainedModel, optimiser: torch.optim.AdamW, recipe: Optimisation, batches: _Batches, step: int
) -> None:
    tokens, lengths, weights = (part.to(model.device) for part in batches(step))
    for group in optimiser.param_groups:
        group["lr"] = recipe.rate(step)
    losses = token_losses(model(tokens[:, :-1], use_cache=False).logits, tokens[:, 1:])
    loss = weighted_mean_loss(losses, label_mask(lengths, losses.shape[1]), weights)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
    if not bool(norm.isfinite()):
        raise SelfCheckFailed(
            f"the gradient of update {step + 1} is not finite: lower the learning rate or the clip_norm"
        )
    optimiser.step()


def _check_fit(model: PreTrainedModel, packed: Packed) -> None:
    limit = int(model.config.max_position_embeddings)
    length = packed.tokens.shape[1] - 1
    if length > limit:
        raise ContextTooLong(
            f"training sequences have {length} tokens but the model's context is {limit}; pack the corpus with"
            f" context={limit} or build the model with a longer one"
        )
    vocabulary, largest = int(model.config.vocab_size), int(packed.tokens.max())
    if largest >= vocabulary:
        raise ConfigError(
            f"the corpus holds token id {largest} but the model has a vocabulary of {vocabulary}; build the model with"
            f" vocab_size={largest + 1} or more"
        )


def _autosave(model: PreTrainedModel, optimiser: torch.optim.AdamW, folder: Path, step: int) -> None:
    scratch = folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    state = {f"model/{name}": value.contiguous().cpu() for name, value in model.state_dict().items()}
    state |= {f"moments/{name}": value for name, value in _moments(model, optimiser).items()}
    state = {name: value.clone() for name, value in state.items()} | {"step": torch.tensor(step)}
    with atomic_file(scratch / "autosave.safetensors") as partial:
        save_file(state, partial)


def _resume_autosave(model: PreTrainedModel, optimiser: torch.optim.AdamW, folder: Path, first_step: int) -> int:
    saved = folder / "scratch" / "autosave.safetensors"
    if not saved.exists():
        return first_step
    state = load_file(saved)
    model.load_state_dict({name[6:]: value for name, value in state.items() if name.startswith("model/")})
    moments = {name[8:]: value for name, value in state.items() if name.startswith("moments/")}
    _restore_moments(model, optimiser, moments)
    return int(state["step"].item())
