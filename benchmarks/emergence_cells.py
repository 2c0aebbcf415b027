"""Cells of the emergence benchmark: for each a division of a public table into what is known and what is asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from imprint.emergence.trajectories import (
    Curve,
    Question,
    curves,
    known_questions,
    read_table,
    trajectories,
    truncated,
)

STEPS = (1, 2, 4, 8)
ASSUMED_TOKENS = 3e11
EDGE_MOST = 1700


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Curves that teach, curves that are asked about (whole; only points up to the origin may be read), questions."""

    known: tuple[Curve, ...]
    curves: tuple[Curve, ...]
    asked: tuple[Question, ...]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One held-out split of one table; `fewest` is the fewest points before an origin."""

    name: str
    folds: tuple[Fold, ...]
    fewest: int
    steps: tuple[int, ...] | None = None


def cells(data: Path, wanted: Sequence[str]) -> list[Cell]:
    """The cells whose names start with one of `wanted` (all by default), in the order of the table."""
    makers: dict[str, Callable[[], list[Cell]]] = {
        "bigg": lambda: _bigg(data),
        "gadre": lambda: _gadre(data),
        "pythia": lambda: _pythia(data),
        "sloth": lambda: _sloth(data),
        "gemstones": lambda: _gemstones(data),
    }
    chosen = [maker for name, maker in makers.items() if not wanted or any(want.startswith(name) for want in wanted)]
    found = [cell for maker in chosen for cell in maker()]
    return [cell for cell in found if not wanted or any(cell.name.startswith(want) for want in wanted)]


def _bigg(data: Path) -> list[Cell]:
    table = trajectories(read_table(data / "bigbench_bigg_3shot.parquet").filter(pl.col("n") >= 30))
    whole = curves(table, "params")
    found = [_by(whole, "bigg/tasks", "task", 5, 3)]
    for label, limit in (("", 4.01e9), (" from 1B", 1.1e9)):
        found.append(_by_scale(whole, f"bigg/scales{label}", limit, 3))
        found.append(_by(whole, f"bigg/tasks and scales{label}", "task", 5, 3, limit=limit))
    return [*found, _every_edge(whole, "bigg/every edge", (1.5e8, 2.6e8, 4.5e8, 1.1e9, 2.1e9, 4.01e9), 3)]


def _gadre(data: Path) -> list[Cell]:
    table = trajectories(
        read_table(data / "gadre_openlm.parquet").filter(pl.col("chinchilla").is_in([0.25, 0.5, 1, 2, 4, 8, 16, 32]))
    )
    whole = curves(table, "params")
    return [
        _by_scale(whole, "gadre/scales", 1.6e8, 2),
        _by(whole, "gadre/tasks", "task", 5, 2),
        _by(whole, "gadre/families", "family", 2, 2),
        _by(whole, "gadre/tasks and scales", "task", 5, 2, limit=1.6e8),
    ]


def _pythia(data: Path) -> list[Cell]:
    table = _pythia_table(data)
    sizes = curves(table.filter(pl.col("tokens") > 2.9e11), "params")
    time = curves(table, "tokens")
    large = [curve.size > np.log10(2e9) for curve in time]
    small = tuple(curve for curve, big in zip(time, large, strict=True) if not big)
    drawn = known_questions(time, fewest=3, steps=STEPS, most=9000)
    asked = tuple(question for question in drawn if large[question.curve])
    fold = _folds(time, "task", 5)
    unseen = tuple(
        Fold(
            known=tuple(c for c, place, big in zip(time, fold, large, strict=True) if place != held and not big),
            curves=time,
            asked=tuple(question for question in asked if fold[question.curve] == held),
        )
        for held in range(5)
    )
    return [
        _by_scale(sizes, "pythia/sizes", 2e9, 3),
        _by(sizes, "pythia/tasks and sizes", "task", 5, 3, limit=2e9),
        _by(sizes, "pythia/tasks", "task", 5, 3),
        _every_edge(sizes, "pythia/every edge", (4.1e8, 1.02e9, 2e9), 2),
        Cell(
            name="pythia/time to larger sizes",
            folds=(Fold(known=small, curves=time, asked=asked),),
            fewest=3,
            steps=STEPS,
        ),
        Cell(name="pythia/time to larger sizes, tasks", folds=unseen, fewest=3, steps=STEPS),
    ]


def _pythia_table(data: Path) -> pl.DataFrame:
    """Accuracy of the two suites as the reference chooses it: no interventions, no other batch sizes, BLIMP chance .5."""
    rows = read_table(data / "pythia.parquet").filter(
        (pl.col("metric") == "acc")
        & pl.col("family").is_in(["pythia-v0", "pythia-v1"])
        & ~pl.col("variant").str.contains("interv|baseline")
        & ~pl.col("model").str.contains("MtokBS")
        & ~((pl.col("variant") == "five-shot") & (pl.col("family") == "pythia-v0"))
        & (pl.col("task") != "crows_pairs_english")
    )
    blimp = pl.col("task").str.starts_with("blimp")
    rows = rows.filter((pl.col("family") == "pythia-v1") | blimp).drop("src")
    rows = rows.with_columns(
        chance=pl.when(blimp).then(0.5).otherwise(pl.col("chance")),
        n=pl.when(blimp).then(1000.0).otherwise(pl.col("n")),
    )
    key = ["family", "model", "variant", "step", "tokens", "task", "shots"]
    rows = rows.unique(subset=key, keep="first", maintain_order=True)
    return trajectories(pl.concat([rows, read_table(data / "pythia_arith_termfreq.parquet")], how="diagonal_relaxed"))


def _sloth(data: Path) -> list[Cell]:
    rows = read_table(data / "sloth.parquet").filter(~pl.col("instruct") & pl.col("chance").is_not_null())
    rows = rows.unique(subset=["model", "task"], keep="first", maintain_order=True)
    flops = pl.col("flops").fill_null(6 * pl.col("params") * ASSUMED_TOKENS)
    whole = curves(trajectories(rows.with_columns(flops=flops, variant=pl.lit("base"))), "flops")
    return [
        _by(whole, "sloth/families", "family", 8, 2),
        _by(whole, "sloth/tasks", "task", 5, 2),
        _every_edge(whole, "sloth/every edge", (2e22, 8e22, 2e23), 2),
    ]


def _gemstones(data: Path) -> list[Cell]:
    """Eight tasks along tokens; 1000 items a task, as the reference has it."""
    rows = read_table(data / "gemstones.parquet").filter(pl.col("tokens").is_not_null())
    rows = rows.unique(subset=["model", "task", "tokens"], keep="first", maintain_order=True)
    time = curves(trajectories(rows.with_columns(n=pl.lit(1000.0), variant=pl.lit("main"))), "tokens")
    drawn = known_questions(time, fewest=3, steps=STEPS, most=2000)
    small = tuple(curve for curve in time if curve.size <= np.log10(3e8))
    larger = tuple(question for question in drawn if time[question.curve].size > np.log10(3e8))
    return [
        _by(time, "gemstones/tasks", "task", 4, 3, steps=STEPS, most=2000),
        Cell(
            name="gemstones/time to larger models",
            folds=(Fold(known=small, curves=time, asked=larger),),
            fewest=3,
            steps=STEPS,
        ),
        _every_edge(time, "gemstones/every edge", (5e10, 1e11, 2e11), 3, steps=STEPS),
    ]


def _folds(whole: Sequence[Curve], by: str, count: int) -> list[int]:
    names = np.unique([getattr(curve, by) for curve in whole])
    np.random.default_rng(0).shuffle(names)
    place = {name: index % count for index, name in enumerate(names)}
    return [place[getattr(curve, by)] for curve in whole]


def _by(
    whole: tuple[Curve, ...],
    name: str,
    by: str,
    count: int,
    fewest: int,
    *,
    limit: float | None = None,
    steps: tuple[int, ...] | None = None,
    most: int | None = None,
) -> Cell:
    """Hold out tasks or families in `count` folds; with `limit` also every scale beyond it."""
    fold, questions = _folds(whole, by, count), known_questions(whole, fewest=fewest, steps=steps, most=most)
    if limit is not None:
        questions = _beyond(questions, whole, limit)
    folds = []
    for held in range(count):
        known = tuple(curve for curve, place in zip(whole, fold, strict=True) if place != held)
        folds.append(
            Fold(
                known=known if limit is None else truncated(known, float(np.log10(limit))),
                curves=whole,
                asked=tuple(question for question in questions if fold[question.curve] == held),
            )
        )
    return Cell(name=name, folds=tuple(folds), fewest=fewest, steps=steps)


def _every_edge(
    whole: tuple[Curve, ...], name: str, limits: Sequence[float], fewest: int, steps: tuple[int, ...] | None = None
) -> Cell:
    """The history ends at every limit in turn, everything beyond is asked (at most so many questions an edge)."""
    return Cell(
        name=name, folds=tuple(_edge(whole, limit, fewest, EDGE_MOST) for limit in limits), fewest=fewest, steps=steps
    )


def _by_scale(whole: tuple[Curve, ...], name: str, limit: float, fewest: int) -> Cell:
    return Cell(name=name, folds=(_edge(whole, limit, fewest),), fewest=fewest)


def _edge(whole: tuple[Curve, ...], limit: float, fewest: int, most: int | None = None) -> Fold:
    asked = _beyond(known_questions(whole, fewest=fewest), whole, limit)
    if most is not None and len(asked) > most:
        drawn = np.sort(np.random.default_rng(0).choice(len(asked), most, replace=False))
        asked = [asked[place] for place in drawn]
    return Fold(known=truncated(whole, float(np.log10(limit))), curves=whole, asked=tuple(asked))


def _beyond(questions: Sequence[Question], whole: Sequence[Curve], limit: float) -> list[Question]:
    """Questions asked from within the limit about a scale beyond it."""
    edge = float(np.log10(limit)) + 1e-9
    return [q for q in questions if q.horizon > edge and whole[q.curve].x[q.count - 1] <= edge]
