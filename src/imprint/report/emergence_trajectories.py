"""The scores of an emergence study along training: means over seeds, and when an ability was there."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl

from imprint.emergence.graph import CONTROL
from imprint.emergence.trajectories import emerged, threshold
from imprint.report.emergence_records import CurveRecord
from imprint.studies import EmergenceResult
from imprint.studies.emergence import Abruptness

_BY = ("node", "params", "scale", "arm", "step", "seed")


def curve_records(result: EmergenceResult) -> tuple[CurveRecord, ...]:
    """A curve an ability, scale and arm: abilities and arms in the study's order, scales from small to large."""
    abilities = result.study.abilities
    arms = [CONTROL, *(arm.name for arm in result.study.interventions)]
    curves = [_curve(list(rows)) for rows in _groups(result.table)]
    sizes = list(dict.fromkeys(curve.scale for curve in curves))
    return tuple(
        sorted(curves, key=lambda one: (abilities.index(one.ability), sizes.index(one.scale), arms.index(one.arm)))
    )


def shapes(curves: Sequence[CurveRecord], abruptness: Iterable[Abruptness]) -> dict[tuple[str, str], str]:
    """By ability and scale how it came in the untouched runs; "not there" where it is in less than half of them at the end."""
    ends = {(one.ability, one.scale): 2 * one.last >= len(one.onsets) for one in curves if one.arm == CONTROL}
    words = {(one.ability, one.scale): str(one.word) for one in abruptness}
    return {place: words[place] if there else "not there" for place, there in ends.items() if place in words}


def _groups(table: pl.DataFrame) -> Iterator[Iterable[dict[str, Any]]]:
    """The rows of one ability, scale and arm; the scales from small to large."""
    rows = table.filter(pl.col("kind") == "ability").sort("params", *_BY).iter_rows(named=True)
    kept = sorted(rows, key=lambda row: (row["params"], row["node"], row["arm"]))
    for _, part in groupby(kept, key=lambda row: (row["params"], row["node"], row["arm"])):
        yield part


def _curve(rows: list[dict[str, Any]]) -> CurveRecord:
    """One curve from all its checkpoints in all its seeds."""
    steps = sorted({row["step"] for row in rows})
    values = [[row["value"] for row in rows if row["step"] == step] for step in steps]
    seeds = sorted({row["seed"] for row in rows})
    there = {seed: _there([row for row in rows if row["seed"] == seed]) for seed in seeds}
    chance, items = (np.array([float(rows[0][name])]) for name in ("chance", "n"))
    line = chance + threshold(chance, items) * (1 - chance)
    return CurveRecord(
        ability=rows[0]["node"],
        scale=rows[0]["scale"],
        arm=rows[0]["arm"],
        chance=float(chance[0]),
        there=float(line[0]),
        steps=tuple(steps),
        mean=tuple(float(np.mean(part)) for part in values),
        low=tuple(map(min, values)),
        high=tuple(map(max, values)),
        onsets=tuple(next((step for step, found in there[seed] if found), None) for seed in seeds),
        last=sum(there[seed][-1][1] for seed in seeds),
    )


def _there(rows: list[dict[str, Any]]) -> list[tuple[int, bool]]:
    """By checkpoint of one run, whether the ability is there; at the untrained model it never is."""
    rows = sorted(rows, key=lambda row: row["step"])
    score, chance, items = (np.array([float(row[name]) for row in rows]) for name in ("value", "chance", "n"))
    found = emerged(score, chance, items)
    return [(row["step"], bool(one) and row["step"] > 0) for row, one in zip(rows, found, strict=True)]
