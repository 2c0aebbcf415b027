"""Allocation over real training: tiny arms of several sizes and mixtures, trained one checkpoint at a time where it pays."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from imprint.corpus import AbilitiesWorld, Ability, AbilityRows, RowKind, ShuffledStream
from imprint.emergence.allocation import Arm, AuditLog, Caution, Outcome, Reading, allocate, freeze_thaw
from imprint.errors import ConfigError
from imprint.models import Architecture, Optimisation, Train
from imprint.runs import Reporter, Step, Store, silent, write_json
from imprint.studies.ability_training import AbilityAnswers, abilities_architecture, answers_of


class LiveArm(BaseModel):
    """A tiny GPT-2 on one mixture of the four-abilities world."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    width: int = Field(default=64, ge=8)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    shares: dict[RowKind, float] | None = None
    """The mixture, as the share of each kind of row; the world's own if it is not given."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "LiveArm":
        if self.width % self.heads:
            raise ValueError(f"the width {self.width} of arm '{self.name}' is not a multiple of its {self.heads} heads")
        if self.shares is not None:
            AbilitiesWorld(shares=self.shares)
        return self

    @property
    def architecture(self) -> Architecture:
        """The model's class and sizes, without dropout."""
        return abilities_architecture(width=self.width, layers=self.layers, heads=self.heads)


class LiveAllocation(BaseModel):
    """Reach a score in one ability with whichever arm gets there for the least compute."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    title: str = "live allocation"
    ability: Ability
    target: float = Field(gt=0, le=1)
    """The score to reach, corrected for chance (0 = chance, 1 = perfect)."""
    arms: tuple[LiveArm, ...] = Field(min_length=2)
    steps: int = Field(ge=1)
    """Updates of an arm that is trained to its end."""
    checkpoint_every: int = Field(ge=1)
    batch: int = Field(default=64, ge=1)
    items: int = Field(default=200, ge=20)
    """Questions at a checkpoint."""
    budget_share: float = Field(default=1.0, gt=0, le=1)
    """The budget, as a share of what training every arm to its end costs."""
    abstain_below: float = Field(default=0.005, ge=0, lt=1)
    learning_rate: float = Field(default=3e-3, gt=0)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> "LiveAllocation":
        if self.steps % self.checkpoint_every:
            raise ValueError(f"checkpoint_every {self.checkpoint_every} does not divide the {self.steps} steps")
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError("two arms have the same name")
        return self

    def run(self, arm: LiveArm, depth: int) -> Train:
        """An arm's training to its checkpoint `depth`, which goes on from the checkpoint before it."""
        world = AbilitiesWorld() if arm.shares is None else AbilitiesWorld(shares=arm.shares)
        rows = AbilityRows(world=world, rows=self.steps * self.batch, seed=1)
        return Train(
            architecture=arm.architecture,
            optimisation=Optimisation(learning_rate=self.learning_rate),
            packed=rows,
            stream=ShuffledStream(packed=rows, steps=self.steps, batch=self.batch, seed=self.seed),
            seed=self.seed,
            checkpoint_every=self.checkpoint_every,
            trunk=self.run(arm, depth - 1) if depth > 1 else None,
            first_step=(depth - 1) * self.checkpoint_every,
            last_step=depth * self.checkpoint_every,
        )

    def answers(self, arm: LiveArm, depth: int) -> AbilityAnswers:
        """The arm's answers at its checkpoint `depth`, to the questions of the world's own mixture."""
        return AbilityAnswers(run=self.run(arm, depth), world=AbilitiesWorld(), items=self.items, seed=self.seed)


@dataclass(frozen=True)
class LiveArms:
    """An `Environment` that trains: every action is a step of the store, so a killed allocation pays for none twice."""

    study: LiveAllocation
    store: Store
    reporter: Reporter = silent

    @cached_property
    def arms(self) -> tuple[Arm, ...]:
        """The arms; cost is 6 · parameters · tokens, as of a forward and a backward pass."""
        study = self.study
        steps = np.arange(study.checkpoint_every, study.steps + 1, study.checkpoint_every)
        tokens = (steps * study.batch * AbilitiesWorld().context).astype(np.float64)
        sizes = [float(arm.architecture.parameters) for arm in study.arms]
        return tuple(
            Arm(name=arm.name, exposure=tokens, cost=6 * size * tokens, size=size)
            for arm, size in zip(study.arms, sizes, strict=True)
        )

    def observe(self, arm: int, depth: int) -> Reading:
        """Train the arm by one checkpoint, unless the store has it, and ask it the ability's questions."""
        described = self.study.arms[arm]
        step: Step = self.study.answers(described, depth)
        with self.reporter.stage(f"train {described.name} to checkpoint {depth}", None):
            folder = self.store.get(step, progress=self.reporter)
        answers = answers_of(folder, self.study.ability)
        accuracy, chance = float(answers["correct"].to_numpy().mean()), float(answers["chance"].to_numpy().mean())
        variance = max(accuracy * (1 - accuracy), 0.01) / len(answers)
        return Reading(score=(accuracy - chance) / (1 - chance), stderr=float(np.sqrt(variance)) / (1 - chance))


def load_live_allocation(path: Path) -> LiveAllocation:
    """The study that a YAML file describes.

    Raises:
        ConfigError: the file is missing, is not YAML, or a key or a value is wrong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"allocation file '{path}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"allocation file '{path}' is not valid YAML: {' '.join(str(error).split())}") from error
    try:
        return LiveAllocation.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(f"{path}: {place}: {first['msg'].removeprefix('Value error, ')}") from error


def allocate_arms(study: LiveAllocation, folder: Path, *, reporter: Reporter = silent) -> Outcome:
    """Train until an arm reaches the target, the budget is gone, or no arm will cross; `audit.jsonl` and `outcome.json`.

    Run again, it goes on where it was stopped: decisions depend on scores alone, and scores are kept.
    """
    environment = LiveArms(study, Store(folder / "store"), reporter)
    total = sum(arm.cost_to(arm.depth) for arm in environment.arms)
    outcome = allocate(
        environment,
        freeze_thaw(caution=Caution(abstain_below=study.abstain_below)),
        target=study.target,
        budget=study.budget_share * total,
        seed=study.seed,
        on_row=AuditLog(folder / "audit.jsonl"),
    )
    write_json(folder / "outcome.json", told(study, outcome, total))
    return outcome


def told(study: LiveAllocation, outcome: Outcome, total: float) -> dict[str, object]:
    """An outcome as plain numbers and words."""
    return {
        "title": study.title,
        "ability": study.ability,
        "target": study.target,
        "reached": outcome.crossed,
        "arm": outcome.arm,
        "no arm will cross": outcome.abstained and not outcome.crossed,
        "compute": outcome.spent,
        "share of all training": outcome.spent / total,
        "decisions": len(outcome.audit),
        "checkpoints": {arm.name: depth for arm, depth in zip(study.arms, outcome.depths, strict=True)},
    }
