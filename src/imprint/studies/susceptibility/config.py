"""The file of a susceptibility study: one pydantic model, checked as a whole before anything runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from imprint.stats import Hypothesis
from imprint.studies.susceptibility.hypotheses import applicable_rules, check_registration, default_hypotheses
from imprint.studies.susceptibility.options import (
    CONDITION,
    DEFAULT_RULES,
    Base,
    Outcome,
    PipelineOptions,
    RemovalOptions,
    RepresentationOptions,
    StageOptions,
    StoppingRule,
    SupervisedStage,
    SurfaceOptions,
)


class SusceptibilityStudy(BaseModel):
    """Why do checkpoints differ that were trained on different corpora: surface, representation, few rows, or seeds?"""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["susceptibility"] = "susceptibility"
    title: str = "Why do these checkpoints differ?"
    conditions: Mapping[str, tuple[Path, ...]]
    """By name the chat files (JSON Lines) of each condition."""
    context: int = Field(default=64, ge=8)
    """Tokens a row."""
    base: Base
    stages: tuple[StageOptions, ...] = Field(min_length=2)
    """In order; exactly one takes the conditions' corpora, and it is not the last one."""
    pipelines: PipelineOptions = PipelineOptions()
    outcomes: tuple[Outcome, ...] = Field(min_length=1)
    """The first is the primary one."""
    surface: SurfaceOptions = SurfaceOptions()
    representation: RepresentationOptions | None = None
    removal: RemovalOptions | None = None
    seed: int = 0
    """Of permutations, bootstraps and random removals."""
    hypotheses: tuple[Hypothesis, ...] = Field(
        default_factory=lambda data: default_hypotheses(
            data["outcomes"][0].name,
            represented=data["representation"] is not None,
            removed=data["removal"] is not None,
        )
    )
    """In the order in which they are examined, the cheapest first."""
    stopping: tuple[StoppingRule, ...] = Field(
        default_factory=lambda data: applicable_rules(DEFAULT_RULES, [one.id for one in data["hypotheses"]])
    )
    deviations: tuple[str, ...] = ()
    """What was done otherwise than registered, in words; the report shows it beside the verdicts."""

    @property
    def condition_stage(self) -> int:
        """The index of the stage that takes the conditions' corpora."""
        return next(place for place, stage in enumerate(self.stages) if stage.data == CONDITION)

    @property
    def seeds(self) -> range:
        """The pipeline seeds."""
        return range(self.pipelines.first_seed, self.pipelines.first_seed + self.pipelines.seeds)

    @field_validator("conditions")
    @classmethod
    def _names_are_words(cls, conditions: Mapping[str, tuple[Path, ...]]) -> Mapping[str, tuple[Path, ...]]:
        if len(conditions) < 2:
            raise ValueError(f"{len(conditions)} condition(s): give at least 2, better 5 or more")
        bad = [name for name in conditions if not name.strip() or "/" in name or not conditions[name]]
        if bad:
            raise ValueError(f"condition '{bad[0]}' needs a name without '/' and at least one chat file")
        return conditions

    @model_validator(mode="after")
    def _stages_fit(self) -> "SusceptibilityStudy":
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stages: two have the same name in {', '.join(names)}; name them apart")
        own = [stage.name for stage in self.stages if isinstance(stage, SupervisedStage) and stage.data == CONDITION]
        if len(own) != 1:
            raise ValueError(
                f"stages: {len(own)} of them have 'data: condition'; exactly one must, so that conditions differ"
            )
        if self.stages[-1].name == own[0]:
            raise ValueError(
                f"stages: '{own[0]}' takes the conditions' corpora and is the last; a shared stage must follow"
            )
        empty = [stage.name for stage in self.stages if not stage.data]
        if empty:
            raise ValueError(f"stages: '{empty[0]}' has no data; name at least one file")
        contrasts = [] if self.representation is None else [one.name for one in self.representation.contrasts]
        if len(set(contrasts)) < len(contrasts):
            raise ValueError("representation.contrasts: two have the same name; name them apart")
        if len({outcome.name for outcome in self.outcomes}) < len(self.outcomes):
            raise ValueError("outcomes: two have the same name; name them apart")
        return self

    def _check_removal(self) -> None:
        if self.removal is None:
            return
        if self.removal.attribution_seeds > self.pipelines.seeds:
            raise ValueError(
                f"removal.attribution_seeds {self.removal.attribution_seeds} exceeds the {self.pipelines.seeds} pipeline seeds"
            )
        exact = "metagradient" in (self.removal.method, *self.removal.also)
        if exact and any(stage.tuning.dropout for stage in self.stages):
            raise ValueError(
                "removal: metagradients replay the stages, which dropout forbids; set tuning.dropout to false"
            )

    @model_validator(mode="after")
    def _can_be_judged(self) -> "SusceptibilityStudy":
        check_registration(
            self.hypotheses,
            self.stopping,
            outcomes=[outcome.name for outcome in self.outcomes],
            represented=self.representation is not None,
            removed=self.removal is not None,
        )
        self._check_removal()
        unknown = [] if self.removal is None else [one for one in self.removal.conditions if one not in self.conditions]
        if unknown:
            raise ValueError(f"removal.conditions: there is no condition '{unknown[0]}'")
        return self
