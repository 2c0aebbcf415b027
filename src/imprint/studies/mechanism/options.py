"""What the rooms of a mechanism study's file may say: text, training, edits, synthetic text, other sizes."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imprint.interventions.data import Budget, ControlKind
from imprint.models import Architecture, Device, Optimisation
from imprint.studies.mechanism.metrics import dose_label

NOVEL_REPEATS = "novel repeats"
BOILERPLATE = "boilerplate"
PLANTED = (NOVEL_REPEATS, BOILERPLATE)
"""The domains that are no natural text."""


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
    tokenizer: Path | None = None
    """Folder of the tokenizer; None: one token a byte."""
    novel_repeats: float = Field(default=0.3, ge=0, lt=1)
    boilerplate: float = Field(default=0.1, ge=0, lt=1)
    seed: int = 0

    @property
    def natural(self) -> float:
        """The share of documents that are not planted."""
        return 1.0 - self.novel_repeats - self.boilerplate

    @model_validator(mode="after")
    def _shares_leave_room(self) -> "CorpusOptions":
        if self.natural <= 0:
            raise ValueError(
                f"novel_repeats {self.novel_repeats} and boilerplate {self.boilerplate} leave no room for natural text;"
                " they must add to less than 1"
            )
        return self


class TrainingOptions(BaseModel):
    """How every seed is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=2000, ge=10)
    batch: int = Field(default=32, ge=1)
    checkpoint_every: int = Field(default=100, ge=1)
    device: Device = "cpu"
    """Where models are trained; all else runs on the CPU."""
    optimisation: Optimisation = Optimisation(learning_rate=5e-3)
    first_seed: int = 0
    seeds: int = Field(default=5, ge=2)

    @model_validator(mode="after")
    def _has_checkpoints(self) -> "TrainingOptions":
        if self.checkpoint_every >= self.steps:
            raise ValueError(
                f"checkpoint_every {self.checkpoint_every} leaves no checkpoint to branch from before the last of"
                f" {self.steps} steps"
            )
        return self


class InterventionOptions(BaseModel):
    """Which rows are edited, when, and against which controls."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fraction: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of all training rows in the treated set."""
    fractions: tuple[Annotated[float, Field(gt=0, lt=0.5)], ...] = ()
    """Further shares at which every kind of edit is repeated: deletion against as many random rows, the others (which put
    random rows in random rows' places otherwise) against the untouched runs."""
    window: tuple[int, int] | None = None
    """Steps of the edit; by default from the last checkpoint before .6 x the reference's emergence to the end."""
    controls: tuple[ControlKind, ...] = ("random",)
    natural: bool = True
    """Also delete the highest-ranked natural documents: do they move the head?"""
    budget: Budget = "constant"
    """Duplicates take the place of other documents ("constant"), or come on top and make the run longer ("additive")."""
    duplicate: bool = True
    """Also duplicate the treated set (augmentation), against duplicated random rows."""
    replace: bool = False
    """Also put other rows in the place of the treated set (deletion at a constant budget), against replaced random rows."""

    @model_validator(mode="after")
    def _fractions_differ(self) -> "InterventionOptions":
        whole = (self.fraction, *self.fractions)
        if len({dose_label(each) for each in whole}) < len(whole):
            raise ValueError(f"fraction and fractions name a share twice: {', '.join(map(str, whole))}; give each once")
        return self


class AugmentationOptions(BaseModel):
    """Synthetic text: motifs of the highest-ranked documents, documents written from them, and what they are compared with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    motifs: Literal["offline", "endpoint"] = "offline"
    """Read off the documents, or asked of the language model that IMPRINT_LLM_URL and IMPRINT_LLM_KEY name."""
    model: str = ""
    """Which model to ask; needed for `endpoint` only."""
    samples: int = Field(default=200, ge=4)
    """How many of the highest-ranked documents the motifs are taken from."""
    documents: int = Field(default=1_200, ge=16)
    """How many synthetic documents are written."""
    share: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of the window's places in the training stream that they take, in random documents' stead."""
    natural: bool = True
    """Also with motifs of the highest-ranked natural documents alone."""
    transplanted: bool = True
    """Also the same copies around natural text: the repetition without the wording. Other scales leave it out."""

    @model_validator(mode="after")
    def _model_is_named(self) -> "AugmentationOptions":
        if (self.motifs == "endpoint") != bool(self.model):
            raise ValueError("motifs: endpoint and model: NAME go together; give both or neither")
        return self


class DownstreamOptions(BaseModel):
    """What an edit of the training text must not harm: text of another source, and what the training text states."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Path | None = None
    """A text file such as WikiText's test set, for the perplexity a token."""
    facts: Path | None = None
    """JSONL with `prompt`, `answer` and `wrong` (a list); None: continuations of training passages among others of the domain."""
    documents: int = Field(default=2_000, ge=50)
    """Most passages of `text` that are scored."""
    questions: int = Field(default=600, ge=50)


class Scale(BaseModel):
    """Another model on which the main arms are repeated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    architecture: Architecture
    steps: int | None = Field(default=None, ge=10)
    """Training steps; by default the study's own."""
    batch: int | None = Field(default=None, ge=1)
    optimisation: Optimisation | None = None


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
