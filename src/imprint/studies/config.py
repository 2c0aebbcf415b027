"""What a study file may say: one pydantic model per room, unknown keys refused with "did you mean"."""

import difflib
import math
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from imprint.attribution import EkfacOptions
from imprint.errors import ConfigError
from imprint.interventions import ControlKind
from imprint.mechanisms import ProbeOptions
from imprint.models import Architecture, Optimisation
from imprint.stats import Hypothesis

NOVEL_REPEATS = "novel repeats"
BOILERPLATE = "boilerplate"
SIGN_FLIP = "paired sign-flip permutation over pipeline seeds, one-sided"
FIFTEEN_PERCENT = round(math.log(1.15), 4)
"""A shift of the emergence step by 15 %, in log steps."""


class CorpusOptions(BaseModel):
    """Where the text comes from and what is planted in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paths: tuple[Path, ...] = ()
    """Files or folders to read; empty: real text found on this machine."""
    text_key: str = "text"
    domain_key: str | None = None
    bytes_per_domain: int = Field(default=400_000, ge=10_000)
    documents: int = Field(default=12_000, ge=100)
    """Training documents, planted ones included; natural domains have equal shares of the rest."""
    heldout_documents: int = Field(default=1_000, ge=100)
    passage_bytes: int = Field(default=64, ge=16)
    novel_repeats: float = Field(default=0.3, ge=0, lt=1)
    boilerplate: float = Field(default=0.1, ge=0, lt=1)
    seed: int = 0


class TrainingOptions(BaseModel):
    """How every seed is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=2000, ge=10)
    batch: int = Field(default=32, ge=1)
    checkpoint_every: int = Field(default=100, ge=1)
    optimisation: Optimisation = Optimisation(learning_rate=5e-3)
    first_seed: int = 0
    seeds: int = Field(default=5, ge=2)


class InterventionOptions(BaseModel):
    """Which rows are edited, when, and against which controls."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fraction: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of all training rows in the treated set."""
    window: tuple[int, int] | None = None
    """Steps of the edit; by default from the last checkpoint before .6 x the reference's emergence to the end."""
    controls: tuple[ControlKind, ...] = ("random",)
    natural: bool = True
    """Also delete the highest-ranked natural documents: do they move the head?"""
    duplicate: bool = True
    """Also duplicate the treated set (augmentation), against duplicated random rows."""


def default_architecture() -> Architecture:
    """The demo's model: a plain GPT-2 of two layers on bytes, nearly attention-only, no dropout."""
    return Architecture(
        model_type="gpt2",
        config={
            "vocab_size": 256,
            "n_positions": 64,
            "n_embd": 64,
            "n_layer": 2,
            "n_head": 4,
            "n_inner": 16,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
            "initializer_range": 0.125,
            "tie_word_embeddings": False,
            "bos_token_id": 0,
            "eos_token_id": 0,
        },
    )


def default_hypotheses() -> tuple[Hypothesis, ...]:
    """What the demo claims before it has seen anything."""

    def paired(name: str, statement: str, metric: str, threshold: float, direction: str) -> Hypothesis:
        fields = {"id": name, "statement": statement, "metric": metric, "threshold": threshold}
        return Hypothesis.model_validate({**fields, "direction": direction, "test": SIGN_FLIP})

    return (
        Hypothesis(
            id="H1",
            statement="Influence on the head ranks the planted novel repeats above all other documents.",
            metric="auc.novel_repeats",
            threshold=0.9,
            direction="greater",
            test="normal test of the AUC with its bootstrap standard error over documents, one-sided",
        ),
        paired(
            "H2",
            "Deleting the top decile delays emergence by at least 15 % against deleting matched random documents.",
            "onset.delete_top_vs_delete_random",
            FIFTEEN_PERCENT,
            "greater",
        ),
        paired(
            "H3",
            "Deleting as many random documents shifts emergence by less than 15 %.",
            "onset.delete_random_vs_keep",
            FIFTEEN_PERCENT,
            "absolute-less",
        ),
        paired(
            "H4",
            "Duplicating the top decile brings emergence forward against duplicating random documents.",
            "onset.duplicate_top_vs_duplicate_random",
            0.0,
            "less",
        ),
        paired(
            "H5",
            "Deleting the top-ranked natural documents delays emergence by at least 15 % against random documents.",
            "onset.delete_natural_vs_delete_random",
            FIFTEEN_PERCENT,
            "greater",
        ),
        paired(
            "H6",
            "Deleting the top decile weakens in-context learning: icl.olsson rises against random deletion.",
            "icl.olsson.delete_top_vs_delete_random",
            0.0,
            "greater",
        ),
    )


class MechanismStudy(BaseModel):
    """A study of one mechanism: which data made it, and is that causal?"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mechanism"] = "mechanism"
    title: str = "Which training data made this model's induction head?"
    corpus: CorpusOptions = CorpusOptions()
    architecture: Architecture = Field(default_factory=default_architecture)
    training: TrainingOptions = TrainingOptions()
    probe: ProbeOptions = ProbeOptions()
    attribution: EkfacOptions = EkfacOptions()
    ranking: str = "consensus"
    """Which ranking chooses the treated rows: "consensus", a probe, `<probe>/dot` or a baseline."""
    interventions: InterventionOptions = InterventionOptions()
    hypotheses: tuple[Hypothesis, ...] = Field(default_factory=default_hypotheses)

    @model_validator(mode="after")
    def _window_fits(self) -> "MechanismStudy":
        window = self.interventions.window
        if window is None:
            return self
        first, last = window
        if not 0 < first < last <= self.training.steps:
            raise ValueError(f"interventions.window {first}..{last} must lie within 1..{self.training.steps}")
        if first % self.training.checkpoint_every:
            raise ValueError(
                f"interventions.window begins at step {first}, which is no multiple of checkpoint_every"
                f" ({self.training.checkpoint_every}), so there is no checkpoint to branch from"
            )
        return self


def load_study(path: Path) -> MechanismStudy:
    """The study that a YAML file describes.

    Raises:
        ConfigError: the file is missing, is not YAML, has an unknown key (with "did you mean"), or a bad value.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"study file '{path}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"study file '{path}' is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"study file '{path}' holds {type(content).__name__}, not a mapping of keys to values")
    return parse_study(content, where=str(path))


def parse_study(content: dict[str, Any], *, where: str) -> MechanismStudy:
    """The study that a mapping describes; `where` names it in error messages."""
    kind = content.get("kind", "mechanism")
    if kind != "mechanism":
        raise ConfigError(f"{where}: kind '{kind}' is not a study; the kinds are: mechanism")
    try:
        return MechanismStudy.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_explain(error, content)}") from error


def _explain(error: ValidationError, content: dict[str, Any]) -> str:
    """The first problem of a validation error as one sentence, with a suggestion for a misspelt key."""
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _known_keys(problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
        return f"unknown key '{place}'; {hint}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def _known_keys(parents: tuple[int | str, ...]) -> list[str]:
    model: Any = MechanismStudy
    for parent in parents:
        if isinstance(parent, str) and hasattr(model, "model_fields") and parent in model.model_fields:
            model = model.model_fields[parent].annotation
    return list(getattr(model, "model_fields", {}))
