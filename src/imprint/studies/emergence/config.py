"""The file of an emergence study: one pydantic model, checked as a whole before anything is trained."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from imprint.corpus import ABILITIES, AbilitiesWorld
from imprint.emergence.graph import CausalGraph, read_graph
from imprint.errors import ConfigError
from imprint.stats import Hypothesis
from imprint.studies.emergence.fitting import check_arms, check_scales
from imprint.studies.emergence.hypotheses import check_hypotheses, default_hypotheses
from imprint.studies.emergence.options import Allocating, Arm, Dynamic, HeldOut, Measuring, Scale, Training

DYNAMICS: tuple[str, ...] = get_args(Dynamic)


class EmergenceStudy(BaseModel):
    """What makes abilities emerge with scale: a causal graph, tested by interventions on training, then used to predict."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["emergence"] = "emergence"
    title: str = "What makes these abilities emerge?"
    world: AbilitiesWorld = AbilitiesWorld()
    """What is trained on: rows of several kinds, each the only cause of one ability, and prose."""
    graph: Path | Mapping[str, Any]
    """The hypotheses: a causal graph (title, tiers, nodes, edges), here or in a YAML file of its own."""
    scales: tuple[Scale, ...] = Field(min_length=2)
    """Smallest first; every arm is trained at every one, with every seed."""
    seeds: int = Field(default=3, ge=2)
    first_seed: int = Field(default=0, ge=0)
    training: Training = Training()
    interventions: tuple[Arm, ...] = Field(min_length=1)
    measuring: Measuring = Measuring()
    held_out: HeldOut | None = None
    allocating: Allocating | None = Allocating()
    seed: int = 0
    """Of bootstraps and permutations."""
    hypotheses: tuple[Hypothesis, ...] = Field(
        default_factory=lambda data: default_hypotheses(
            predicted=data["held_out"] is not None, allocated=data["allocating"] is not None
        )
    )
    """Beside the edges of the graph, which are hypotheses themselves."""
    deviations: tuple[str, ...] = ()
    """What was done otherwise than registered, in words; the report shows it beside the verdicts."""

    @cached_property
    def causal_graph(self) -> CausalGraph:
        """The hypothesised graph."""
        return read_graph(self.graph) if isinstance(self.graph, Path) else CausalGraph.from_dict(dict(self.graph))

    @property
    def run_seeds(self) -> range:
        """The seeds of the runs."""
        return range(self.first_seed, self.first_seed + self.seeds)

    @property
    def dynamics(self) -> tuple[str, ...]:
        """The dynamics that the graph speaks of."""
        return tuple(node.name for node in self.causal_graph.nodes if node.kind == "dynamics")

    @property
    def abilities(self) -> tuple[str, ...]:
        """The abilities that the graph speaks of."""
        return self.causal_graph.abilities

    @field_validator("world")
    @classmethod
    def _world_of_63_tokens(cls, world: AbilitiesWorld) -> AbilitiesWorld:
        if world.context > 128:
            raise ValueError(f"a context of {world.context} is beyond the 128 that these models have")
        return world

    @model_validator(mode="after")
    def _names_are_apart(self) -> "EmergenceStudy":
        held = [] if self.held_out is None else [self.held_out.scale.name]
        for what, names in (
            ("scales", [*(scale.name for scale in self.scales), *held]),
            ("interventions", [arm.name for arm in self.interventions]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"{what}: two have the same name in {', '.join(names)}; name them apart")
        if self.held_out is not None and self.held_out.seeds > self.seeds:
            raise ValueError(f"held_out.seeds {self.held_out.seeds} exceeds the {self.seeds} seeds")
        return self

    @model_validator(mode="after")
    def _graph_fits(self) -> "EmergenceStudy":
        graph = self.causal_graph
        if not graph.abilities:
            raise ConfigError("the graph has no ability; give a node of the kind 'ability'")
        for node in graph.nodes:
            known = {"ability": ABILITIES, "dynamics": DYNAMICS}.get(node.kind)
            if known is not None and node.name not in known:
                raise ConfigError(f"the graph's {node.kind} '{node.name}' is not measured; choose {', '.join(known)}")
        settable = [node.name for node in graph.nodes if node.kind not in ("ability", "dynamics")]
        for arm in self.interventions:
            strange = [name for name in arm.sets if name not in settable]
            if strange:
                raise ConfigError(
                    f"intervention '{arm.name}' sets '{strange[0]}', which is no component, data or optimiser node of the"
                    f" graph; choose {', '.join(settable)}"
                )
        self._check_joint()
        check_scales(self.scales, self.held_out, self.world.context)
        every = [*self.scales, *([] if self.held_out is None else [self.held_out.scale])]
        check_arms(self.interventions, graph, self.world, every, steps=self.training.steps)
        check_hypotheses(self.hypotheses, predicted=self.held_out is not None, allocated=self.allocating is not None)
        return self

    def _check_joint(self) -> None:
        alone = {arm.sets for arm in self.interventions}
        for arm in self.interventions:
            if len(arm.sets) > 1 and not any((name,) in alone for name in arm.sets):
                raise ConfigError(
                    f"the joint intervention '{arm.name}' needs one that sets {' or '.join(arm.sets)} alone beside it"
                )
