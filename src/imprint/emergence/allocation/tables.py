"""Recorded worlds from a tidy table of scores: a row an arm, task and checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float

from imprint.emergence.allocation.arms import Arm
from imprint.emergence.allocation.replay import Recorded
from imprint.errors import ConfigError

ASSUMED_ITEMS = 1000
"""Items of a task whose table gives neither their number nor a standard error."""
LEAST_RANGE = 0.08
"""A task whose best chance-corrected score is below this holds no emergence to look for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskWorld:
    """The recorded arms of one task, and what of its table could not be used."""

    task: str
    world: Recorded
    dropped: int
    """Rows left out: without a score, a checkpoint or a cost."""

    @property
    def top(self) -> float:
        """The best chance-corrected score of any arm at any checkpoint."""
        return max(float(scores.max()) for scores in self.world.scores)


def read_history(path: Path, where: Mapping[str, str] | None = None) -> pl.DataFrame:
    """A table of scores from Parquet or CSV, with only the rows whose columns have the values of `where`.

    Raises:
        ConfigError: the file or a column is missing, or nothing is left.
    """
    if not path.is_file():
        raise ConfigError(f"there is no table '{path}': give a Parquet or CSV file")
    table = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    for column, value in (where or {}).items():
        if column not in table.columns:
            raise ConfigError(f"--where {column}={value}: the table has no column '{column}'; it has {_names(table)}")
        table = table.filter(pl.col(column).cast(pl.String) == value)
    if table.is_empty():
        chosen = ", ".join(f"{column}={value}" for column, value in (where or {}).items())
        raise ConfigError(f"no row of '{path.name}' is left{f' by {chosen}' if chosen else ''}")
    return table


def task_worlds(
    table: pl.DataFrame, *, arm: Sequence[str] = ("model",), tasks: Sequence[str] = (), least_range: float = LEAST_RANGE
) -> list[TaskWorld]:
    """One world a task, in order of name; tasks that never rise `least_range` above chance are left out.

    An arm is a combination of the columns `arm`. The checkpoint is `tokens`, else `step`; the cost is `flops`, else
    6 · params · tokens, else the checkpoint itself. Scores are corrected for `chance` (0 = chance, 1 = perfect).

    Raises:
        ConfigError: a column is missing, a score has no chance level or is doubled, or no score varies.
    """
    needed = {"task", "score", "chance", *arm}
    missing = sorted(needed - set(table.columns))
    if missing:
        raise ConfigError(f"the table has no column '{missing[0]}'; it has {_names(table)}")
    unknown = sorted(set(tasks) - set(table["task"]))
    if unknown:
        raise ConfigError(f"the table has no task '{unknown[0]}'; it has {', '.join(sorted(set(table['task']))[:12])}")
    names = list(tasks) or sorted(set(table["task"].drop_nulls()))
    found = [_task_world(_costed(table.filter(pl.col("task") == name)), name, arm) for name in names]
    worlds = [world for world in found if world is not None and world.top >= least_range]
    if not worlds:
        raise ConfigError(
            f"no task has two arms and a score that rises {least_range} above chance: nothing is there to allocate for"
        )
    return worlds


def _costed(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with `exposure` and `price` columns."""
    exposure = next((name for name in ("tokens", "step") if name in rows.columns), None)
    if exposure is None:
        raise ConfigError("the table has neither 'tokens' nor 'step', so its scores have no order")
    size = pl.col("params") if "params" in rows.columns else pl.lit(None, dtype=pl.Float64)
    price = 6.0 * size * pl.col(exposure) if exposure == "tokens" else pl.lit(None, dtype=pl.Float64)
    flops = pl.col("flops") if "flops" in rows.columns else pl.lit(None, dtype=pl.Float64)
    return rows.with_columns(
        exposure=pl.col(exposure).cast(pl.Float64),
        size=size.cast(pl.Float64),
        price=pl.coalesce(flops, price, pl.col(exposure)).cast(pl.Float64),
    )


def _task_world(rows: pl.DataFrame, task: str, arm: Sequence[str]) -> TaskWorld | None:
    kept = rows.filter(
        pl.col("score").is_not_null()
        & pl.col("exposure").is_not_null()
        & (pl.col("exposure") > 0)
        & (pl.col("price") > 0)
    )
    if kept["chance"].null_count():
        raise ConfigError(f"task '{task}' has scores without a chance level: add 'chance' (0 for a metric without one)")
    kept = kept.with_columns(
        arm=pl.concat_str([pl.col(name).cast(pl.String).fill_null("-") for name in arm], separator=" ")
    )
    _refuse_doubles(kept, task)
    arms, scores, stderrs = [], [], []
    for (name,), curve in kept.sort("arm", "exposure").group_by("arm", maintain_order=True):
        size = curve["size"][0]
        arms.append(
            Arm(
                name=str(name),
                exposure=curve["exposure"].to_numpy(),
                cost=curve["price"].to_numpy(),
                size=None if size is None else float(size),
            )
        )
        scores.append(_corrected(curve))
        stderrs.append(_standard_errors(curve))
    if len(arms) < 2 or max(float(one.max()) for one in scores) == min(float(one.min()) for one in scores):
        return None
    world = Recorded(arms=tuple(arms), scores=tuple(scores), stderrs=tuple(stderrs))
    return TaskWorld(task=task, world=world, dropped=len(rows) - len(kept))


def _refuse_doubles(kept: pl.DataFrame, task: str) -> None:
    doubled = kept.filter(pl.struct("arm", "exposure").is_duplicated())
    if not doubled.is_empty():
        row = doubled.row(0, named=True)
        raise ConfigError(
            f"task '{task}' has more than one score of arm '{row['arm']}' at {row['exposure']:g}: keep one with --where"
            " column=value, or tell the arms apart with --arm"
        )


def _corrected(curve: pl.DataFrame) -> Float[np.ndarray, " depth"]:
    score, chance = curve["score"].to_numpy(), curve["chance"].to_numpy()
    return np.asarray((score - chance) / (1.0 - chance))


def _standard_errors(curve: pl.DataFrame) -> Float[np.ndarray, " depth"]:
    """The binomial error of the score, from `n` where it is known, never below that of a score of 1 %."""
    score, chance = curve["score"].to_numpy(), curve["chance"].to_numpy()
    items = curve["n"].cast(pl.Float64).fill_null(ASSUMED_ITEMS).to_numpy() if "n" in curve.columns else ASSUMED_ITEMS
    variance = np.maximum(score * (1.0 - score), 0.01)
    return np.asarray(np.sqrt(variance / np.maximum(items, 5)) / (1.0 - chance))


def _names(table: pl.DataFrame) -> str:
    return ", ".join(table.columns[:20])
