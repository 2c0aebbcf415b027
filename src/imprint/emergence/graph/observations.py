"""What runs measured: one value a run and node, runs of an arm paired with untouched runs by seed and scale."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from imprint.errors import ConfigError, InputError

CONTROL = "control"
"""The arm of the untouched runs."""
COLUMNS = ("run", "seed", "scale", "arm", "node", "value")
Direction = Literal["raises", "lowers"]
Place = tuple[float, int]
"""Scale and seed: what pairs a run of an arm with its untouched run."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The values of one node in two arms, one pair a scale and seed, in that order."""

    treated: Float[np.ndarray, "pair"]
    reference: Float[np.ndarray, "pair"]
    scale: Float[np.ndarray, "pair"]
    seed: Float[np.ndarray, "pair"]

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.scale)

    def where(self, kept: Bool[np.ndarray, "pair"]) -> "Pairs":
        """Some of the pairs."""
        return Pairs(
            treated=self.treated[kept], reference=self.reference[kept], scale=self.scale[kept], seed=self.seed[kept]
        )

    @property
    def difference(self) -> Float[np.ndarray, "pair"]:
        """Treated minus reference."""
        return np.asarray(self.treated - self.reference)


@dataclass(frozen=True, kw_only=True)
class Observations:
    """A long table (run, seed, scale in parameters, arm, node, value), and which nodes each arm sets.

    An arm that sets two nodes is a joint arm. `directions` says whether an arm raises or lowers the nodes it sets; it is
    needed only where a node it sets is not measured itself, and lets signs be checked there.

    Raises:
        ConfigError: an arm sets nothing, or is not in the table; a joint arm without an arm for one of its nodes.
        InputError: a missing column, an unknown arm, a value twice or not finite, a run of an arm without its untouched run
            at the same seed and scale, or an arm with fewer than 2 pairs.

    Trust: runs are the unit. Checkpoints of one run are one run: give each node one value a run.
    """

    table: pl.DataFrame
    interventions: Mapping[str, tuple[str, ...]]
    directions: Mapping[str, Direction] = field(default_factory=dict)
    floors: Mapping[str, float] = field(default_factory=dict)
    """By node the value below which it cannot fall, such as 0 for a chance-corrected score."""

    def __post_init__(self) -> None:
        """Refuse what cannot be paired."""
        _check_columns(self.table)
        _check_values(self.table)
        _check_arms(self.table, self.interventions, self.directions)
        _check_runs(self.table)
        _check_pairs(self.table, self.interventions)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The measured nodes."""
        return tuple(sorted(self.table["node"].unique()))

    @property
    def scales(self) -> tuple[float, ...]:
        """The scales, smallest first."""
        return tuple(sorted(float(scale) for scale in self.table["scale"].unique()))

    def require_nodes(self, known: Collection[str]) -> None:
        """Refuse nodes that a graph does not have.

        Raises:
            InputError: a measured node is unknown.
            ConfigError: a node that an arm sets is unknown.
        """
        for node in self.nodes:
            if node not in known:
                raise InputError(
                    f"the table measures '{node}', which is no node of the causal graph: add it or leave it out"
                )
        for arm, targets in self.interventions.items():
            for target in targets:
                if target not in known:
                    raise ConfigError(
                        f"arm '{arm}' sets '{target}', which is no node of the causal graph: correct the name"
                    )

    def pairs(self, arm: str, node: str, *, reference: str = CONTROL) -> Pairs:
        """The node's values in the arm and in the reference arm at every scale and seed that both have, sorted."""
        treated, other = self._values.get((arm, node), {}), self._values.get((reference, node), {})
        places = sorted(set(treated) & set(other))
        return Pairs(
            treated=np.array([treated[place] for place in places], dtype=float),
            reference=np.array([other[place] for place in places], dtype=float),
            scale=np.array([scale for scale, _ in places], dtype=float),
            seed=np.array([seed for _, seed in places], dtype=float),
        )

    def at_floor(self, pairs: Pairs, node: str, *, margin: float) -> Bool[np.ndarray, "pair"]:
        """The pairs of scales at which the node stays within `margin` of its floor in both arms, so that no effect can show."""
        if node not in self.floors or not len(pairs):
            return np.zeros(len(pairs), dtype=bool)
        limit = self.floors[node] + margin
        low = {
            scale: max(float(part[pairs.scale == scale].mean()) for part in (pairs.treated, pairs.reference)) <= limit
            for scale in np.unique(pairs.scale)
        }
        return np.array([low[scale] for scale in pairs.scale], dtype=bool)

    def single_arms(self, node: str) -> tuple[str, ...]:
        """The arms that set this node and nothing else."""
        return tuple(arm for arm, targets in self.interventions.items() if targets == (node,))

    def wide(self, arms: Collection[str] | None = None) -> pl.DataFrame:
        """One row a run: run, seed, scale, arm and a column for every node (null where not measured)."""
        kept = self.table if arms is None else self.table.filter(pl.col("arm").is_in(sorted(arms)))
        wide = kept.pivot("node", index=["run", "seed", "scale", "arm"], values="value", sort_columns=True)
        return wide.sort("scale", "arm", "seed")

    @cached_property
    def _values(self) -> dict[tuple[str, str], dict[Place, float]]:
        found: dict[tuple[str, str], dict[Place, float]] = {}
        for arm, node, scale, seed, value in self.table.select("arm", "node", "scale", "seed", "value").iter_rows():
            found.setdefault((arm, node), {})[(float(scale), int(seed))] = float(value)
        return found


def _check_columns(table: pl.DataFrame) -> None:
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise InputError(f"the observations have no column '{missing[0]}': they need {', '.join(COLUMNS)}")
    if table.is_empty():
        raise InputError("the observations are empty: give one row a run and node")


def _check_values(table: pl.DataFrame) -> None:
    for name in ("scale", "value"):
        bad = table.filter(~pl.col(name).cast(pl.Float64).is_finite().fill_null(False))
        if len(bad):
            row = bad.row(0, named=True)
            raise InputError(
                f"{name}={row[name]} of node '{row['node']}' in run '{row['run']}' is not a finite number: "
                "leave out what was not measured, and look for a diverged run"
            )
    repeated = table.group_by("run", "node", maintain_order=True).len().filter(pl.col("len") > 1)
    if len(repeated):
        run, node, count = repeated.row(0)
        raise InputError(f"run '{run}' has {count} values of node '{node}': give one value a run (a run is the unit)")


def _check_arms(
    table: pl.DataFrame, interventions: Mapping[str, tuple[str, ...]], directions: Mapping[str, Direction]
) -> None:
    there = set(table["arm"].unique())
    if CONTROL not in there:
        raise InputError(f"the observations have no arm '{CONTROL}': every arm is compared with untouched runs")
    if unknown := sorted(there - {CONTROL} - set(interventions)):
        raise InputError(f"arm '{unknown[0]}' is in the table but not in interventions: say which nodes it sets")
    for arm, targets in interventions.items():
        if arm not in there or arm == CONTROL:
            raise ConfigError(
                f"arm '{arm}' of the interventions has no runs of its own in the table: leave it out or correct it"
            )
        if not targets or len(set(targets)) < len(targets):
            raise ConfigError(f"arm '{arm}' sets {list(targets)}: name at least one node, each once")
        if len(targets) > 1 and not any((target,) in interventions.values() for target in targets):
            raise ConfigError(f"the joint arm '{arm}' needs an arm that sets one of {', '.join(targets)} alone")
    if strays := [arm for arm in directions if arm not in interventions]:
        raise ConfigError(f"directions name the unknown arm '{strays[0]}': use {', '.join(interventions)}")


def _check_runs(table: pl.DataFrame) -> None:
    runs = table.select("run", "seed", "scale", "arm").unique(maintain_order=True)
    for columns, what in ((["run"], "several seeds, scales or arms"), (["arm", "scale", "seed"], "two runs")):
        repeated = runs.group_by(columns, maintain_order=True).len().filter(pl.col("len") > 1)
        if len(repeated):
            where = ", ".join(f"{name} {value}" for name, value in zip(columns, repeated.row(0), strict=False))
            raise InputError(
                f"{where} has {what}: a run has one seed, scale and arm, and an arm one run a seed and scale"
            )


def _check_pairs(table: pl.DataFrame, interventions: Mapping[str, tuple[str, ...]]) -> None:
    places: dict[str, set[Place]] = {}
    for arm, scale, seed in table.select("arm", "scale", "seed").unique().iter_rows():
        places.setdefault(arm, set()).add((float(scale), int(seed)))
    for arm in interventions:
        alone = sorted(places[arm] - places[CONTROL])
        if alone:
            scale, seed = alone[0]
            size = f"{scale:g}" if not math.isclose(scale, round(scale)) else f"{round(scale)}"
            raise InputError(
                f"arm '{arm}' has a run with seed {seed} at scale {size} but '{CONTROL}' has none: pairs are by seed and scale"
            )
        if len(places[arm]) < 2:
            raise InputError(f"arm '{arm}' has {len(places[arm])} pair: train at least 2, better 5 seeds")
