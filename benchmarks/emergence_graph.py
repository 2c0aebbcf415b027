"""Does a graph over tasks help to predict emergence on public tables? The same network with kin, all, none, and shuffled.

Run with `python -m benchmarks.emergence_graph --data FOLDER --json`. FOLDER holds the tables of PROVENANCE.md. Cells and
questions are those of `benchmarks.emergence`. Every question carries the shipped predictor's features, without those that say
where it lies (as most of the predictor's members have it). The network also hears how other tasks of the same line stand at the
origin: up to eight kin (BIG-bench keywords; words of the task's name for Pythia), all tasks (no graph), none (own
features), or as many others (shuffled edges). Intervals: 95 % of a paired bootstrap over tasks. One thread, about 5 CPU-minutes.
"""

import argparse
import json
import re
import sys
import time
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.emergence_cells import Cell, Fold, cells
from imprint.emergence.graph_network import RunGraph, compare, curve_graph, four_answers, nearest_kin
from imprint.emergence.graph_network.kinship import Kinship
from imprint.emergence.predictor.curve_posterior import fit_prior
from imprint.emergence.predictor.examples import ABSOLUTE, USED, crossfit_priors, features
from imprint.emergence.trajectories import History, known_questions

WANTED = ("bigg/tasks", "bigg/scales", "bigg/tasks and scales", "pythia/sizes", "pythia/tasks and sizes")
META = "bigbench_task_meta.json"
MOST = 3000
RELATIVE = [place for place, name in enumerate(USED) if name not in ABSOLUTE]


def keywords(data: Path, tasks: Collection[str]) -> list[set[str]]:
    """The words by which tasks are kin: published keywords where a task has them, else the words of its name."""
    meta = json.loads((data / META).read_text(encoding="utf-8"))
    named = {task: set(re.split(r"[_\-:/ ]+", task.lower())) - {""} for task in tasks}
    return [set(meta[task]["keywords"]) if task in meta else named[task] for task in tasks]


def graphs(cell: Cell, fold: Fold, tasks: list[str], *, seed: int) -> tuple[RunGraph, RunGraph]:
    """What teaches and what is asked."""
    learned = known_questions(fold.known, fewest=cell.fewest, steps=cell.steps, most=MOST, seed=seed)
    own = features(History.of(fold.known), fold.known, learned, crossfit_priors(fold.known, seed=seed))[:, RELATIVE]
    known = curve_graph(fold.known, learned, own, tasks)
    there = {curve.key for curve in fold.known}
    history = History.of(fold.known, asked=[curve for curve in fold.curves if curve.key not in there])
    prior = fit_prior([curve for curve in fold.known if len(curve) > 1], seed=seed)
    new = features(history, fold.curves, fold.asked, lambda curve: prior)[:, RELATIVE]
    return known, curve_graph(fold.curves, fold.asked, new, tasks)


def run(cell: Cell, data: Path, *, seed: int = 0) -> dict[str, Any]:
    """The gain of the graph on one cell."""
    start = time.perf_counter()
    tasks = sorted({curve.task for fold in cell.folds for curve in fold.curves})
    kinship = nearest_kin(keywords(data, tasks))
    said: dict[str, list[np.ndarray]] = {}
    emerged, groups, edges = [], [], 0
    for fold in cell.folds:
        known, asked = graphs(cell, fold, tasks, seed=seed)
        for name, values in four_answers(known, asked, kinship, seed=seed).items():
            said.setdefault(name, []).append(values)
        emerged.append(asked.emerged)
        groups.append(asked.question_ability)
        edges += asked.edges(kinship).shape[1]
    joined = {name: np.concatenate(parts, axis=1) for name, parts in said.items()}
    found = compare(np.concatenate(emerged), np.concatenate(groups), joined, edges=edges, seed=seed)
    head = {"cell": cell.name, "tasks": len(np.unique(np.concatenate(groups))), "kin": _degree(kinship)}
    return {**head, **found.as_dict(), "seconds": round(time.perf_counter() - start)}


def _degree(kinship: Kinship) -> float:
    return round(float(kinship.sum(0).mean()), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--cells", nargs="*", default=list(WANTED), help="names of the cells to run")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    results = []
    for cell in cells(options.data, options.cells):
        if cell.name not in options.cells:
            continue
        results.append(run(cell, options.data))
        if not options.json:
            sys.stdout.write(f"{results[-1]['cell']}: {results[-1]['sentence']} ({results[-1]['seconds']} s)\n")
            sys.stdout.flush()
    if options.json:
        sys.stdout.write(json.dumps({"cells": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
