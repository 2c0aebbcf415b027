"""The file of a mechanism study: one pydantic model, checked as a whole before anything runs."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imprint.attribution import RANKINGS, EkfacOptions
from imprint.capabilities import PERPLEXITY, RECALL, icl
from imprint.mechanisms import ProbeOptions
from imprint.models import Architecture
from imprint.stats import Hypothesis
from imprint.studies.mechanism.arm_names import arm_names, smallest_arm_names
from imprint.studies.mechanism.hypotheses import applicable_hypotheses, check_hypotheses
from imprint.studies.mechanism.options import (
    AugmentationOptions,
    CorpusOptions,
    DownstreamOptions,
    InterventionOptions,
    Scale,
    TrainingOptions,
    default_architecture,
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
    checkpoints: int = Field(default=1, ge=1, le=20)
    """At how many checkpoints of the transition the influence is computed; the ranking is that of the middle one."""
    augmentation: AugmentationOptions | None = None
    scale: str = Field(default="", pattern=r"^[A-Za-z0-9_-]*$")
    """What the study's own model is called beside its other scales; by default its parameters."""
    scales: tuple[Scale, ...] = ()
    """Other models on which the main arms are repeated."""
    downstream: DownstreamOptions | None = None
    hypotheses: tuple[Hypothesis, ...] = Field(
        default_factory=lambda data: applicable_hypotheses(
            arm_names(data["corpus"], data["interventions"], data["augmentation"]),
            planted=data["corpus"].novel_repeats > 0,
        )
    )
    """By default those of the demo's six whose arms are run."""

    @property
    def arms(self) -> tuple[str, ...]:
        """The names of all arms, the untouched one first; those of another scale end in `@` and its name."""
        here = arm_names(self.corpus, self.interventions, self.augmentation)
        if self.scales and self.smallest != self.scale:
            here += smallest_arm_names(self.augmentation)
        there = [f"{arm}@{scale.name}" for scale in self.scales for arm in self._arms_at(scale)]
        return (*here, *there)

    def _arms_at(self, scale: Scale) -> tuple[str, ...]:
        alone = self.at(scale)
        names = arm_names(alone.corpus, alone.interventions, alone.augmentation)
        return names if scale.name == self.smallest else (*names, *smallest_arm_names(self.augmentation))

    @property
    def smallest(self) -> str:
        """The name of the smallest model of all scales, this study's own among them."""
        sizes = {self.scale: self.architecture.parameters}
        sizes |= {scale.name: scale.architecture.parameters for scale in self.scales}
        return min(sizes, key=lambda name: sizes[name])

    def at(self, scale: Scale) -> "MechanismStudy":
        """The study of the scale alone: the same text, probe and ranking, the main deletion and the augmentation."""
        training = {"steps": scale.steps, "batch": scale.batch, "optimisation": scale.optimisation}
        edits = {
            "controls": ("random", "domain"),
            "natural": False,
            "duplicate": False,
            "replace": False,
            "fractions": (),
        }
        changes = {
            "architecture": scale.architecture,
            "training": self.training.model_copy(
                update={name: new for name, new in training.items() if new is not None}
            ),
            "interventions": self.interventions.model_copy(update={**edits, "window": None}),
            "scale": scale.name,
            "scales": (),
            "checkpoints": 1,
            "augmentation": self.augmentation
            and self.augmentation.model_copy(update={"natural": False, "transplanted": False}),
            "hypotheses": (),
        }
        return self.model_copy(update=changes)

    @model_validator(mode="after")
    def _scales_fit(self) -> "MechanismStudy":
        names = [self.scale, *(scale.name for scale in self.scales)]
        if len(set(names)) < len(names):
            raise ValueError(
                f"two scales have the same name: {', '.join(map(repr, names))}; name scale and scales apart"
            )
        for scale in self.scales:
            if scale.architecture.context != self.architecture.context:
                raise ValueError(
                    f"scale '{scale.name}' has a context of {scale.architecture.context} tokens, the study's own model"
                    f" {self.architecture.context}; rows are shared, so give all scales the same"
                )
            checked = {**self.at(scale).model_dump(exclude={"hypotheses"}), "hypotheses": ()}
            MechanismStudy.model_validate(checked)
        return self

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
        for hypothesis in self.hypotheses:
            if hypothesis.metric.startswith(PERPLEXITY) and (self.downstream is None or self.downstream.text is None):
                raise ValueError(f"hypothesis {hypothesis.id} cannot be judged: {PERPLEXITY} needs downstream.text")
            if hypothesis.metric.startswith(RECALL) and self.downstream is None:
                raise ValueError(f"hypothesis {hypothesis.id} cannot be judged: {RECALL} needs downstream")
        return self
