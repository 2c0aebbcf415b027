"""What came out of every pipeline: trained, measured, and gathered as the tidy table of the nest."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from jaxtyping import Float64

from imprint.capabilities import ItemMargins
from imprint.models import Train
from imprint.models.finetuning import FineTuning, count_rows
from imprint.runs import Executor, Reporter, Step, Store
from imprint.stats import Nest
from imprint.studies.susceptibility.config import SusceptibilityStudy
from imprint.studies.susceptibility.options import Outcome
from imprint.studies.susceptibility.pipelines import Pipeline, evaluation_pairs, measured

_Step = TypeVar("_Step", bound=Step)


def run_pipelines(
    study: SusceptibilityStudy, todo: Sequence[Pipeline], store: Store, executor: Executor, reporter: Reporter
) -> None:
    """Train all stages of every pipeline, level by level; what is there is not trained again."""
    bases = once([one.base for one in todo])
    updates = sum(step.updates if isinstance(step, Train) else 1 for step in bases)
    executor.run(bases, store, progress=reporter, stage="base model", units=updates)
    levels: list[list[FineTuning]] = [[one.stages[place] for one in todo] for place in range(len(study.stages) - 1)]
    levels.append([final for one in todo for final in one.finals])
    inputs = once([one.rows for level in levels for one in level])
    executor.run(inputs, store, progress=reporter, stage="read and render chats", units=len(inputs))
    for stage, level in zip(study.stages, levels, strict=True):
        run_stage(once(level), store, executor, reporter, stage=f"stage: {stage.name}")


def run_stage(steps: Sequence[FineTuning], store: Store, executor: Executor, reporter: Reporter, *, stage: str) -> None:
    """Train one stage of many pipelines, whose rows are in the store; progress counts updates."""
    units = sum(step.tuning.updates(count_rows(store.path(step.rows))) for step in steps)
    executor.run(list(steps), store, progress=reporter, stage=stage, units=units)


def measure_outcomes(
    study: SusceptibilityStudy, todo: Sequence[Pipeline], store: Store, executor: Executor, reporter: Reporter
) -> pl.DataFrame:
    """Every evaluation item of every finished model: condition, pipeline, stage, sample, metric, value.

    Values as `item_values`.
    """
    places = [(outcome, one, number) for outcome in study.outcomes for one in todo for number in range(len(one.finals))]
    executor.run(
        [evaluation_pairs(study, outcome) for outcome in study.outcomes],
        store,
        progress=reporter,
        stage="read the evaluation",
        units=len(study.outcomes),
    )
    steps = [measured(study, outcome, one.finals[number]) for outcome, one, number in places]
    folders = executor.run(steps, store, progress=reporter, stage="measure the outcomes", units=len(steps))
    return pl.concat(
        [_items(outcome, one, number, folder) for (outcome, one, number), folder in zip(places, folders, strict=True)]
    )


def _items(outcome: Outcome, one: Pipeline, number: int, folder: Path) -> pl.DataFrame:
    found = ItemMargins.load(folder)
    place = {"condition": one.condition, "pipeline": one.seed, "stage": number, "metric": outcome.name}
    return pl.DataFrame({"sample": found.ids, "value": item_values(outcome, found)}).with_columns(
        *(pl.lit(value).alias(name) for name, value in place.items())
    )


def item_values(outcome: Outcome, found: ItemMargins) -> Float64[np.ndarray, "item"]:
    """The outcome of every item: its margin in nats, or 1 and 0 for preferred and not."""
    return found.margins if outcome.measure == "margin" else (found.margins > 0).astype(np.float64)


def runs_of(table: pl.DataFrame, metric: str, *, only: Collection[str] | None = None) -> pl.DataFrame:
    """One row a finished model: the mean of an outcome over its items (of `only`, if given), in the order of the runs."""
    mine = table.filter(pl.col("metric") == metric)
    mine = mine if only is None else mine.filter(pl.col("sample").is_in(list(only)))
    return mine.group_by("condition", "pipeline", "stage", maintain_order=True).agg(pl.col("value").mean())


def nest_of(table: pl.DataFrame, metric: str, *, only: Collection[str] | None = None) -> Nest:
    """An outcome of every finished model with its place in condition / pipeline seed / stage seed."""
    runs = runs_of(table, metric, only=only)
    return Nest(
        values=runs["value"].to_numpy(),
        conditions=runs["condition"].to_numpy(),
        pipelines=runs["pipeline"].to_numpy(),
        stages=runs["stage"].to_numpy() if runs["stage"].n_unique() > 1 else None,
        metric=metric,
    )


def condition_means(table: pl.DataFrame, metric: str) -> dict[str, float]:
    """The mean of an outcome over the pipelines of each condition, in the order of the study."""
    runs = runs_of(table, metric).group_by("condition", "pipeline", maintain_order=True).agg(pl.col("value").mean())
    means = runs.group_by("condition", maintain_order=True).agg(pl.col("value").mean())
    return dict(means.iter_rows())


def once(steps: Sequence[_Step]) -> list[_Step]:
    """Each step once, in the order of appearance; equal steps have equal keys."""
    return list({step.key: step for step in steps}.values())
