"""A table of outcome values with the place of each (condition / pipeline / stage / sample), and the nest of a metric."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Shaped

from imprint.errors import InputError
from imprint.stats import Nest
from imprint.studies.variance.reading import Row, read_rows

CONDITION, PIPELINE, STAGE, SAMPLE, ITEM = "condition", "pipeline", "stage", "sample", "item"
ALIASES = {
    CONDITION: (CONDITION,),
    PIPELINE: (PIPELINE, "pipeline_seed", "seed"),
    STAGE: (STAGE, "stage_seed"),
    SAMPLE: (SAMPLE,),
    ITEM: (ITEM,),
}
"""The names under which a table may hold the place of its values."""
_REQUIRED = (CONDITION, PIPELINE)
_LONG = ("metric", "value")
WIDE_METRIC = "value"
"""The name of what a wide table measures, where it is given none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcomes:
    """Tidy outcome values: one row a value, with condition, pipeline, metric, value and, where given, stage and sample or item.

    A `sample` is one more evaluation of the same model, drawn anew for it; an `item` is a question that all models answer.
    """

    frame: pl.DataFrame
    source: str
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """In order of appearance."""
        return tuple(self.frame["metric"].unique(maintain_order=True))

    def nest(self, metric: str) -> Nest:
        """The values of one metric with their places; items are averaged within each model first.

        Raises:
            InputError: no such metric (with "did you mean"), fewer than 2 values, or models that answered different items.
        """
        if metric not in self.metrics:
            raise InputError(f"{self.source} has no metric '{metric}': {_hint(metric, self.metrics)}")
        rows = self.frame.filter(pl.col("metric") == metric)
        if ITEM in rows.columns:
            rows = _mean_over_items(rows, self.source)
        return Nest(
            values=rows["value"].to_numpy(),
            conditions=rows[CONDITION].to_numpy(),
            pipelines=_seeds(rows[PIPELINE]),
            stages=_seeds(rows[STAGE]) if STAGE in rows.columns else None,
            metric=metric,
        )


def read_outcomes(path: Path, *, metrics: Sequence[str] = (), wide: bool = False) -> Outcomes:
    """The outcome values in a CSV, TSV, JSON Lines or Parquet file.

    Tidy: columns condition and pipeline (or pipeline_seed, seed), where they apply stage (stage_seed) and sample or item, and
    either metric + value or one column a metric. Wide: one row a condition, one column a pipeline seed, an empty cell where a
    condition lacks the seed. `metrics` keeps those columns only (wide: names what the cells measure).

    Raises:
        InputError: a missing column (with "did you mean"), an empty cell, one that is not a finite number (with its line), or
            two values with one place.
        CorpusError: the file is missing, not UTF-8, or a line is not JSON.
    """
    columns, rows = read_rows(path)
    if wide:
        return _outcomes(_wide(path.name, columns, rows, metrics), [CONDITION, PIPELINE], path.name, ())
    places = _places(path.name, columns)
    notes = _place_notes(places)
    values, unused = _value_columns(path.name, columns, places, metrics)
    if unused:
        notes += (f"columns not used: {', '.join(unused)}",)
    read = (
        _long(path.name, rows, places, metrics)
        if tuple(values) == _LONG
        else _one_column_a_metric(rows, places, values)
    )
    return _outcomes(read, list(places), path.name, notes)


@dataclass(frozen=True, slots=True)
class _Value:
    place: str
    labels: tuple[str, ...]
    metric: str
    text: str


def _places(source: str, columns: Sequence[str]) -> dict[str, str]:
    """The column of every level that the table has."""
    found: dict[str, str] = {}
    for level, aliases in ALIASES.items():
        named = [column for column in columns if _plain(column) in aliases]
        if len(named) > 1:
            raise InputError(
                f"{source} has columns {' and '.join(map(repr, named))} for the {level}: keep that of the whole pipeline's "
                "seed, and name seeds of the last stage 'stage_seed'."
            )
        if named:
            found[level] = named[0]
    missing = next((level for level in _REQUIRED if level not in found), None)
    if missing is not None:
        free = [column for column in columns if column not in found.values()]
        raise InputError(f"{source} has no column '{missing}': {_missing(missing, free)}")
    if SAMPLE in found and ITEM in found:
        raise InputError(f"{source} has columns 'sample' and 'item': keep 'item' if all models answer the same ones.")
    return found


def _missing(level: str, free: Sequence[str]) -> str:
    near = [column for alias in ALIASES[level] for column in difflib.get_close_matches(alias, free, n=1)]
    if near:
        return f"did you mean '{near[0]}'? Rename it to '{level}'."
    if level == PIPELINE and len(free) >= 2 and all(_is_seed(column) for column in free):
        return f"if the columns {free[0]}, {free[1]}, ... are pipeline seeds, say so with --wide."
    also = f" (or {', '.join(ALIASES[level][1:])})" if ALIASES[level][1:] else ""
    return f"name it so{also}; the other columns are {', '.join(free) or 'none'}."


def _is_seed(column: str) -> bool:
    return column.lower().removeprefix("pipeline").removeprefix("seed").strip("_ -").isdigit()


def _place_notes(places: dict[str, str]) -> tuple[str, ...]:
    notes = []
    if _plain(places[PIPELINE]) == "seed":
        notes.append(
            f"column '{places[PIPELINE]}' was read as the seed of the whole pipeline; if it is that of the last stage alone, "
            "rename it to stage_seed, for such seeds are not independent"
        )
    if ITEM in places:
        notes.append("items were averaged within each model: all models answered the same ones")
    return tuple(notes)


def _value_columns(
    source: str, columns: Sequence[str], places: dict[str, str], metrics: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The columns that hold values, and those that nobody reads."""
    free = [column for column in columns if column not in places.values()]
    if set(_LONG) <= set(free):
        return list(_LONG), [column for column in free if column not in _LONG]
    if not free:
        raise InputError(f"{source} has places and no values: add a column of numbers, named by its metric.")
    unknown = next((name for name in metrics if name not in free), None)
    if unknown is not None:
        raise InputError(f"{source} has no metric '{unknown}': {_hint(unknown, free)}")
    return (list(metrics), [column for column in free if column not in metrics]) if metrics else (free, [])


def _long(source: str, rows: Sequence[Row], places: dict[str, str], metrics: Sequence[str]) -> list[_Value]:
    named = [_label(row, "metric") for row in rows]
    unknown = next((name for name in metrics if name not in named), None)
    if unknown is not None:
        raise InputError(f"{source} has no metric '{unknown}': {_hint(unknown, sorted(set(named)))}")
    return [
        _Value(row.place, _labels(row, places), name, row.cells.get("value", ""))
        for row, name in zip(rows, named, strict=True)
        if name in metrics or not metrics
    ]


def _one_column_a_metric(rows: Sequence[Row], places: dict[str, str], values: Sequence[str]) -> list[_Value]:
    return [_Value(row.place, _labels(row, places), name, row.cells.get(name, "")) for name in values for row in rows]


def _wide(source: str, columns: Sequence[str], rows: Sequence[Row], metrics: Sequence[str]) -> list[_Value]:
    if len(metrics) > 1:
        raise InputError(f"{source}: a wide table holds one metric; give one --metric to name it.")
    first = next((column for column in columns if _plain(column) == CONDITION), None)
    if first is None:
        raise InputError(f"{source} has no column '{CONDITION}': {_missing(CONDITION, columns)}")
    seeds = [column for column in columns if column != first]
    labels = [_label(row, first) for row in rows]
    twice = next((name for name in labels if labels.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{source} has two rows of condition '{twice}': a wide table has one row a condition.")
    name = metrics[0] if metrics else WIDE_METRIC
    return [
        _Value(row.place, (label, seed), name, row.cells[seed])
        for row, label in zip(rows, labels, strict=True)
        for seed in seeds
        if row.cells.get(seed, "")
    ]


def _outcomes(read: Sequence[_Value], levels: Sequence[str], source: str, notes: tuple[str, ...]) -> Outcomes:
    """Numbers from texts, every place once."""
    if not read:
        raise InputError(f"{source} holds no value: all cells below the header are empty.")
    seen: dict[tuple[str, ...], str] = {}
    for one in read:
        first = seen.setdefault((one.metric, *one.labels), one.place)
        if first != one.place:
            place = ", ".join(f"{level} {label}" for level, label in zip(levels, one.labels, strict=True))
            raise InputError(
                f"{one.place} repeats the place of {first} ({place}): remove one, or tell them apart in a column 'stage_seed' "
                "(another run of the last stage) or 'sample' (another evaluation of the same model)."
            )
    columns: dict[str, list[str] | list[float]] = {
        level: [one.labels[depth] for one in read] for depth, level in enumerate(levels)
    }
    columns |= {"metric": [one.metric for one in read], "value": [_number(one) for one in read]}
    return Outcomes(frame=pl.DataFrame(columns), source=source, notes=notes)


def _number(one: _Value) -> float:
    """The number in a cell.

    Raises:
        InputError: it is empty, not a number, or not finite.
    """
    if not one.text:
        raise InputError(
            f"{one.place}: the cell of {one.metric} is empty; fill it or remove the row (a table with columns metric and value "
            "may lack what was not measured)."
        )
    try:
        value = float(one.text) if "_" not in one.text else math.nan
    except ValueError as error:
        hint = "write decimals with a point" if "," in one.text else "correct it, or choose other columns with --metric"
        raise InputError(f"{one.place}: {one.metric} is '{one.text[:40]}', not a number; {hint}.") from error
    if not math.isfinite(value):
        raise InputError(
            f"{one.place}: {one.metric} is '{one.text[:40]}', not a finite number; look for a diverged run."
        )
    return value


def _mean_over_items(rows: pl.DataFrame, source: str) -> pl.DataFrame:
    """One value a model: its mean over items, which must be the same for all."""
    place = [column for column in (CONDITION, PIPELINE, STAGE) if column in rows.columns]
    items = rows[ITEM].n_unique()
    means = rows.group_by(place, maintain_order=True).agg(pl.col("value").mean(), pl.len())
    short = means.filter(pl.col("len") < items)
    if short.height:
        where = ", ".join(f"{level} {label}" for level, label in zip(place, short.row(0), strict=False))
        raise InputError(
            f"{source}: {where} has {short['len'][0]} of {items} items, so means would compare different questions; give all "
            "models the same items (values that were drawn anew for each model belong in a column 'sample')."
        )
    return means


def _seeds(labels: pl.Series) -> Shaped[np.ndarray, " row"]:
    """Whole numbers in their own order; any other label as it is written."""
    numbers = labels.cast(pl.Int64, strict=False)
    same = numbers.cast(pl.String).eq_missing(labels.cast(pl.String)).all()
    return (numbers if same else labels).to_numpy()


def _labels(row: Row, places: dict[str, str]) -> tuple[str, ...]:
    return tuple(_label(row, column) for column in places.values())


def _label(row: Row, column: str) -> str:
    label = row.cells.get(column, "")
    if not label:
        raise InputError(f"{row.place} has no {column}; fill it or remove the row.")
    return label


def _plain(column: str) -> str:
    return column.lower().replace(" ", "_").replace("-", "_")


def _hint(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}."
