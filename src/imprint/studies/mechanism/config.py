"""What the file of a mechanism study may say: one pydantic model per room."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imprint.attribution import RANKINGS, EkfacOptions
from imprint.capabilities import icl
from imprint.interventions.data import Budget, ControlKind
from imprint.mechanisms import ProbeOptions
from imprint.models import Architecture, Optimisation
from imprint.stats import Hypothesis
from imprint.studies.mechanism.hypotheses import applicable_hypotheses, check_hypotheses
from imprint.studies.mechanism.metrics import KEEP

NOVEL_REPEATS = "novel repeats"
BOILERPLATE = "boilerplate"


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
    window: tuple[int, int] | None = None
    """Steps of the edit; by default from the last checkpoint before .6 x the reference's emergence to the end."""
    controls: tuple[ControlKind, ...] = ("random",)
    natural: bool = True
    """Also delete the highest-ranked natural documents: do they move the head?"""
    budget: Budget = "constant"
    """Duplicates take the place of other documents ("constant"), or come on top and make the run longer ("additive")."""
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
    hypotheses: tuple[Hypothesis, ...] = Field(
        default_factory=lambda data: applicable_hypotheses(
            arm_names(data["corpus"], data["interventions"]), planted=data["corpus"].novel_repeats > 0
        )
    )
    """By default those of the demo's six whose arms are run."""

    @property
    def arms(self) -> tuple[str, ...]:
        """The names of all arms, the untouched one first."""
        return arm_names(self.corpus, self.interventions)

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

    @model_validator(mode="after")
    def _natural_text_is_enough(self) -> "MechanismStudy":
        fraction, natural = self.interventions.fraction, self.corpus.natural
        if "delete_natural" in self.arms and natural < fraction:
            raise ValueError(
                f"interventions.natural deletes {fraction:.0%} of all documents but only {natural:.0%} are natural; plant"
                " less, or set interventions.natural to false"
            )
        return self

    @model_validator(mode="after")
    def _can_be_measured(self) -> "MechanismStudy":
        """Refuse before any training what the measurements after it would stumble over."""
        config, context = self.architecture.build_config(), self.architecture.context
        if config.num_hidden_layers < 2:
            raise ValueError(
                "architecture.config: a model of one layer forms no induction head, which reads what a head of a layer"
                " below it wrote; give it at least two"
            )
        largest = max(*self.probe.tokens, self.probe.bos or 0)
        if largest >= config.vocab_size:
            raise ValueError(f"probe.alphabet: token {largest} is not in the model's vocabulary of {config.vocab_size}")
        self.probe.build(context)
        late = icl.IclWindows.for_context(context).late[1]
        if self.corpus.passage_bytes < late:
            raise ValueError(
                f"corpus.passage_bytes {self.corpus.passage_bytes} is too short for the in-context-learning scores, which"
                f" read position {late} of the context of {context}; make it {late} or more"
            )
        return self

    @model_validator(mode="after")
    def _can_be_judged(self) -> "MechanismStudy":
        if self.ranking not in RANKINGS:
            raise ValueError(f"ranking '{self.ranking}' is not known; choose one of {', '.join(RANKINGS)}")
        check_hypotheses(self.hypotheses, self.arms, planted=self.corpus.novel_repeats > 0)
        return self


def arm_names(corpus: CorpusOptions, interventions: InterventionOptions) -> tuple[str, ...]:
    """The names of a study's arms, the untouched one first; the natural one only where something is planted beside it."""
    names = [KEEP, "delete_top", *(f"delete_{kind}" for kind in dict.fromkeys(("random", *interventions.controls)))]
    if interventions.natural and corpus.natural < 1:
        names.append("delete_natural")
    if interventions.duplicate:
        names += ["duplicate_top", "duplicate_random"]
    return tuple(names)
