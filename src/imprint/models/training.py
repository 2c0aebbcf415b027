"""Training from scratch (or from a checkpoint) on an ordered stream, deterministic to the byte on one machine."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from imprint.corpus import Packed, Stream
from imprint.errors import ConfigError, ContextTooLong
from imprint.models.loss import label_mask, token_losses, weighted_mean_loss
from imprint.models.quiet import quiet
from imprint.runs import derive
from imprint.types import Advance, no_progress

AUTOSAVE_STEPS = 200


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

    def build_config(self) -> PreTrainedConfig:
        """The transformers config that this architecture names."""
        try:
            config: PreTrainedConfig = AutoConfig.for_model(self.model_type, **self.config)
        except ValueError as error:
            raise ConfigError(f"unknown model_type '{self.model_type}': {str(error).splitlines()[0]}") from error
        return config

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
            moments[f"{key}/{name}"] = value.detach().contiguous()
    return moments


def _restore_moments(model: PreTrainedModel, optimiser: torch.optim.AdamW, moments: dict[str, Tensor]) -> None:
    parameters = dict(model.named_parameters())
    for key, value in moments.items():
        kind, name = key.split("/", 1)
        optimiser.state[parameters[name]][kind] = value.clone()


def resume(model: PreTrainedModel, optimiser: torch.optim.AdamW, checkpoint: Path) -> None:
    """Put a checkpoint's weights and moments into a model and its optimiser."""
    weights = load_file(checkpoint / "model.safetensors")
    missing, unexpected = model.load_state_dict(weights, strict=False)
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    if set(missing) - tied or unexpected:
        raise ConfigError(
            f"checkpoint '{checkpoint.name}' does not fit the model: missing {missing}, extra {unexpected}"
        )
    moments = checkpoint / "optimiser.safetensors"
    if moments.exists():
        _restore_moments(model, optimiser, load_file(moments))


def train(
    model: PreTrainedModel,
    packed: Packed,
    stream: Stream,
    optimisation: Optimisation,
    folder: Path,
    *,
    seed: int,
    first_step: int = 0,
    start: Path | None = None,
    checkpoints: Collection[int] = (),
    keep_moments: Collection[int] = (),
    advance: Advance = no_progress,
) -> None:
    """Train on `stream[first_step:]` and leave checkpoints in `folder`; a killed run resumes to the same bytes.

    `checkpoints` are counted in finished updates (0 = before the first); the last step is always kept. `start` is the
    checkpoint folder to begin from, with moments. `seed` feeds dropout only; order and weights come from `stream`.
    """
    _check_context(model, packed)
    optimiser = optimisation.build(model)
    if start is not None:
        resume(model, optimiser, start)
    step = _resume_autosave(model, optimiser, folder, first_step)
    advance(step - first_step)
    last = len(stream.rows)
    wanted = {*checkpoints, last}
    batches = _Batches(packed, stream)
    model.train()
    with torch.random.fork_rng(devices=[]):
        while True:
            if step in wanted:
                save_checkpoint(model, optimiser if step in keep_moments else None, folder, step)
            if step >= last:
                break
            if step > first_step and step % AUTOSAVE_STEPS == 0:
                _autosave(model, optimiser, folder, step)
            torch.manual_seed(derive(seed, "dropout", step))
            _update(model, optimiser, optimisation, batches, step)
            step += 1
            advance(1)
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
    tokens, lengths, weights = batches(step)
    for group in optimiser.param_groups:
        group["lr"] = recipe.rate(step)
    losses = token_losses(model(tokens[:, :-1], use_cache=False).logits, tokens[:, 1:])
    loss = weighted_mean_loss(losses, label_mask(lengths, losses.shape[1]), weights)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
    optimiser.step()


def _check_context(model: PreTrainedModel, packed: Packed) -> None:
    limit = int(model.config.max_position_embeddings)
    length = packed.tokens.shape[1] - 1
    if length > limit:
        raise ContextTooLong(
            f"training sequences have {length} tokens but the model's context is {limit}; pack the corpus with"
            f" context={limit} or build the model with a longer one"
        )


def _autosave(model: PreTrainedModel, optimiser: torch.optim.AdamW, folder: Path, step: int) -> None:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    state = {f"model/{name}": value.contiguous() for name, value in model.state_dict().items()}
    state |= {f"moments/{name}": value for name, value in _moments(model, optimiser).items()}
    state = {name: value.clone() for name, value in state.items()} | {"step": torch.tensor(step)}
    partial = scratch / "autosave.tmp"
    save_file(state, partial)
    partial.replace(scratch / "autosave.safetensors")


def _resume_autosave(model: PreTrainedModel, optimiser: torch.optim.AdamW, folder: Path, first_step: int) -> int:
    saved = folder / "scratch" / "autosave.safetensors"
    if not saved.exists():
        return first_step
    state = load_file(saved)
    model.load_state_dict({name[6:]: value for name, value in state.items() if name.startswith("model/")})
    moments = {name[8:]: value for name, value in state.items() if name.startswith("moments/")}
    _restore_moments(model, optimiser, moments)
    return int(state["step"].item())
