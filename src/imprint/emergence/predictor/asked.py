"""Which curves of a history a question is about, and what stands in its way if there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from imprint.emergence.trajectories.curves import Axis, Curve
from imprint.emergence.trajectories.table import read_table
from imprint.errors import InputError

COLUMNS = ("question_id", "source", "family", "task", "shots", "variant", "axis", "origin", "horizon")
MOST_PARAMS = 1e14
"""A "number of parameters" above this is taken for FLOPs."""
CLOSE = 0.005
"""Scales (log10) this close are the same scale."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question as the user writes it; origin and horizon are raw scales. Texts left empty match anything."""

    question_id: str
    source: str
    family: str
    task: str
    shots: float | None
    variant: str
    axis: Axis
    origin: float
    horizon: float

    @property
    def start(self) -> float:
        """log10 of the origin."""
        return float(np.log10(self.origin))

    @property
    def end(self) -> float:
        """log10 of the horizon."""
        return float(np.log10(self.horizon))


def read_questions(path: Path) -> tuple[Asked, ...]:
    """The questions of a Parquet or CSV file.

    Raises:
        InputError: a column is missing, an axis is not `params`, `tokens` or `flops`, a scale is no positive number, the
            horizon does not lie beyond the origin, or an id appears twice.
    """
    return questions_of(read_table(path), name=str(path))


def questions_of(rows: pl.DataFrame, *, name: str = "the questions") -> tuple[Asked, ...]:
    """The questions of a table; see `read_questions`."""
    missing = [column for column in COLUMNS if column not in rows.columns]
    if missing:
        raise InputError(f"{name}: no column '{missing[0]}'; a question has {', '.join(COLUMNS)}")
    if rows.is_empty():
        raise InputError(f"{name}: no question")
    if rows["question_id"].is_duplicated().any():
        twice = rows.filter(pl.col("question_id").is_duplicated())["question_id"][0]
        raise InputError(f"{name}: question_id '{twice}' appears more than once")
    return tuple(_asked(row, name) for row in rows.select(COLUMNS).iter_rows(named=True))


def _asked(row: dict[str, object], name: str) -> Asked:
    where = f"{name}: question '{row['question_id']}'"
    if row["axis"] not in ("params", "tokens", "flops"):
        raise InputError(f"{where} has axis '{row['axis']}'; use params, tokens or flops")
    origin, horizon = (_positive(row[column], where, column) for column in ("origin", "horizon"))
    if not horizon > origin:
        raise InputError(f"{where}: the horizon {horizon:g} does not lie beyond the origin {origin:g}")
    shots = row["shots"]
    return Asked(
        question_id=str(row["question_id"]),
        source=_text(row["source"]),
        family=_text(row["family"]),
        task=_text(row["task"]),
        shots=None if shots is None or str(shots) in ("", "nan") else float(str(shots)),
        variant=_text(row["variant"]),
        axis="flops" if row["axis"] == "params" and origin > MOST_PARAMS else row["axis"],
        origin=origin,
        horizon=horizon,
    )


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _positive(value: object, where: str, column: str) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if not (np.isfinite(number) and number > 0):
        raise InputError(f"{where}: {column} '{value}' is not a positive number; give the raw scale, not its logarithm")
    return number


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """The curves that a question may be about, each with how many points it has up to the origin; or why there is none."""

    curves: tuple[tuple[int, int], ...]
    reason: str = ""


def match(question: Asked, curves: Sequence[Curve], by_task: dict[str, list[int]]) -> Match:
    """Find the question's curves: same task, shots, source, family (or model) and variant, with a point up to the origin.

    Of several, those are meant that have not emerged by the origin and that the history does not answer. A text that no
    curve of the task carries anywhere (a source or variant the history does not name) is not used to choose.
    """
    found = by_task.get(question.task, [])
    if not found:
        return Match(curves=(), reason=f"task '{question.task}' is not in the history")
    found = _named(found, curves, question.source, lambda curve: {curve.source})
    family = [index for index in found if not question.family or question.family in _family_names(curves[index])]
    if not family:
        return Match(curves=(), reason=f"family '{question.family}' has no scores on '{question.task}'")
    found = _named(family, curves, question.variant, lambda curve: {curve.variant, curve.model, *curve.line.split("|")})
    if question.shots is not None:
        shots = [index for index in found if curves[index].shots == question.shots]
        if not shots:
            return Match(curves=(), reason=f"'{question.task}' was never measured with {question.shots:g} shots")
        found = shots
    counted = [(index, _count(curves[index], question)) for index in found]
    seen = tuple(pair for pair in counted if pair[1])
    if not seen:
        return Match(curves=(), reason=f"no score of '{question.task}' up to the origin {question.origin:g}")
    return Match(curves=_meant(seen, curves, question))


def _family_names(curve: Curve) -> set[str]:
    short = curve.model.rsplit("/", 1)[-1]
    return {curve.family, curve.model, short, f"{curve.family}|{curve.model}", *curve.line.split("|")} - {""}


def _named(found: list[int], curves: Sequence[Curve], name: str, names: object) -> list[int]:
    assert callable(names)
    chosen = [index for index in found if name and name in names(curves[index])]
    return chosen or found


def _count(curve: Curve, question: Asked) -> int:
    return int(np.searchsorted(curve.x, question.start + CLOSE, side="right"))


def _meant(seen: tuple[tuple[int, int], ...], curves: Sequence[Curve], question: Asked) -> tuple[tuple[int, int], ...]:
    """Prefer curves not emerged, then curves that reach the origin itself, then curves the history does not answer."""
    conditions = (
        lambda index, count: not curves[index].emerged[:count].any(),
        lambda index, count: abs(curves[index].x[count - 1] - question.start) <= CLOSE,
        lambda index, count: not (np.abs(curves[index].x - question.end) <= CLOSE).any(),
    )
    for condition in conditions:
        seen = tuple(pair for pair in seen if condition(*pair)) or seen
    return seen
