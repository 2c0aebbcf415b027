"""Prediction of emergence on public tables: imprint's predictor and the reference's prototypes, learned and asked alike.

Run with `python -m benchmarks.emergence --data FOLDER --json`. FOLDER holds the tables of PROVENANCE.md. Every cell holds
out scales, tasks, families or sizes; all models learn from the same known curves of the cell's own table and answer the same
questions. Intervals: 95 % of a bootstrap over tasks. `--cells bigg gadre` limits the run, `--out` keeps it. One thread.
Before a cell counts, the leak audit changes the future of its curves and checks that no feature of imprint moves.
"""

import argparse
import dataclasses
import json
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from benchmarks.emergence_baselines import LEAKING, baselines
from benchmarks.emergence_cells import Cell, Fold, cells
from imprint.emergence.predictor import AxisPredictor, audit
from imprint.emergence.predictor.curve_posterior import fit_prior
from imprint.emergence.predictor.examples import features
from imprint.emergence.trajectories import Curve, History, Question

OURS = "imprint"
ABSTAINING = "imprint: abstaining"
"""What is said of the same questions where the history has nothing of the curve (`model` is then "abstain")."""
PARENTS = ("imprint: curve posterior alone", "imprint: boosted features alone")
RESAMPLES = 400


def ours(fold: Fold, *, seed: int = 0) -> dict[str, np.ndarray]:
    """The shipped predictor and its two parents."""
    there = {curve.key for curve in fold.known}
    asked = tuple(curve for curve in fold.curves if curve.key not in there)
    place = {curve.key: index for index, curve in enumerate((*fold.known, *asked))}
    fitted = AxisPredictor.fit(fold.known, asked=asked, seed=seed)
    # Questions point into the cell's whole curves; along a held-out scale the predictor must read those, cut at the origin.
    whole = {curve.key: curve for curve in fold.curves}
    fitted = dataclasses.replace(fitted, curves=tuple(whole[curve.key] for curve in fitted.curves))
    questions = [dataclasses.replace(q, curve=place[fold.curves[q.curve].key]) for q in fold.asked]
    members = fitted.members(questions)
    return {
        OURS: fitted.probabilities(questions)[:, 0],
        PARENTS[0]: members["curve"],
        PARENTS[1]: members.get("boosted", members["curve"]),
        ABSTAINING: np.array([fitted.frequency(question) for question in questions]),
    }


def audited(fold: Fold, *, checks: int = 8) -> int:
    """Audit the features of the fold's own curves; returns how many questions were checked.

    Raises:
        LeakageError: a feature saw the future.
    """
    prior = fit_prior([curve for curve in fold.known if len(curve) > 1])

    def extract(curves: Sequence[Curve], index: int, count: int) -> np.ndarray:
        horizon = float(curves[index].x[count - 1]) + 0.5
        asked = [Question(curve=index, count=count, horizon=horizon, emerged=False, z=float("nan"))]
        return np.asarray(features(History.of(curves), curves, asked, lambda curve: prior)[0])

    audit(extract, fold.curves, checks=checks)
    return checks


def run(cell: Cell) -> dict[str, Any]:
    """Every model's scores on a cell, and imprint's lead over the best baseline."""
    start = time.perf_counter()
    checks = audited(cell.folds[0])
    answers: dict[str, list[np.ndarray]] = {}
    truth, tasks = [], []
    for fold in cell.folds:
        said = baselines(cell, fold) if fold.asked else {}
        if not said:
            continue
        for name, values in {**said, **ours(fold)}.items():
            answers.setdefault(name, []).append(values)
        truth += [question.emerged for question in fold.asked]
        tasks += [fold.curves[question.curve].task for question in fold.asked]
    y, groups = np.array(truth, dtype=int), np.array(tasks)
    joined = {name: np.concatenate(parts) for name, parts in answers.items()}
    rows = _scores(y, joined, groups)
    return {
        "cell": cell.name,
        "questions": len(y),
        "emerged": int(y.sum()),
        "tasks": len(set(tasks)),
        "leak_checks_passed": checks,
        "models": rows,
        "verdict": _verdict(rows),
        "lead": _lead(y, joined, groups, rows),
        "seconds": round(time.perf_counter() - start),
    }


def auc(y: np.ndarray, p: np.ndarray) -> float:
    """Area under the ROC curve; nan with one class."""
    positive = int(y.sum())
    if positive in (0, len(y)):
        return float("nan")
    return float((rankdata(p)[y == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(y) - positive)))


def ece(y: np.ndarray, p: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over bins of equal count."""
    parts = np.array_split(np.argsort(p, kind="stable"), bins)
    return float(sum(abs(y[part].mean() - p[part].mean()) * len(part) for part in parts if len(part)) / len(y))


def _draws(groups: np.ndarray) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    names = np.unique(groups)
    rows = {name: np.flatnonzero(groups == name) for name in names}
    return [np.concatenate([rows[name] for name in generator.choice(names, len(names))]) for _ in range(RESAMPLES)]


def _scores(y: np.ndarray, said: dict[str, np.ndarray], groups: np.ndarray) -> list[dict[str, Any]]:
    draws = _draws(groups)
    found = []
    for name, p in said.items():
        areas = [auc(y[rows], p[rows]) for rows in draws]
        briers = [float(np.mean((p[rows] - y[rows]) ** 2)) for rows in draws]
        found.append(
            {
                "model": name,
                "leaks": name in LEAKING,
                "auc": round(auc(y, p), 3),
                "auc_95": np.nanpercentile(areas, [2.5, 97.5]).round(3).tolist(),
                "brier": round(float(np.mean((p - y) ** 2)), 4),
                "brier_95": np.percentile(briers, [2.5, 97.5]).round(4).tolist(),
                "ece": round(ece(y, p), 3),
            }
        )
    return found


def _rivals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if not row["leaks"] and not row["model"].startswith(OURS)]


def _verdict(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Plain comparisons of point estimates."""
    mine = next(row for row in rows if row["model"] == OURS)
    rivals = _rivals(rows)
    parents = [row for row in rows if row["model"] in PARENTS]
    base = next(row for row in rows if row["model"] == "base rate")
    return {
        "best_auc": max((row["auc"], row["model"]) for row in rivals),
        "best_brier": min((row["brier"], row["model"]) for row in rivals),
        "beats_auc": mine["auc"] > max(row["auc"] for row in rivals),
        "beats_brier": mine["brier"] < min(row["brier"] for row in rivals),
        "beats_both_parents": all(mine["auc"] > row["auc"] and mine["brier"] < row["brier"] for row in parents),
        "not_worse_than_base_rate": mine["brier"] <= base["brier"],
    }


def _lead(y: np.ndarray, said: dict[str, np.ndarray], groups: np.ndarray, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """imprint minus the best baseline in AUC, and the best in Brier, with paired intervals over tasks."""
    rivals, draws = _rivals(rows), _draws(groups)
    best_auc = max(rivals, key=lambda row: row["auc"])["model"]
    best_brier = min(rivals, key=lambda row: row["brier"])["model"]
    areas = [auc(y[part], said[OURS][part]) - auc(y[part], said[best_auc][part]) for part in draws]
    losses = (said[OURS] - y) ** 2 - (said[best_brier] - y) ** 2
    return {
        "auc_95": np.nanpercentile(areas, [2.5, 97.5]).round(3).tolist(),
        "brier_95": np.percentile([losses[part].mean() for part in draws], [2.5, 97.5]).round(4).tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--cells", nargs="*", default=[], help="first letters of the cells to run")
    parser.add_argument("--out", type=Path, help="write the JSON here as well, after every cell")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    results = []
    for cell in cells(options.data, options.cells):
        results.append(run(cell))
        if options.out:
            options.out.write_text(json.dumps({"cells": results}, indent=1) + "\n")
        if not options.json:
            _show(results[-1])
    if options.json:
        sys.stdout.write(json.dumps({"cells": results}, indent=1) + "\n")


def _show(result: dict[str, Any]) -> None:
    head = f"{result['cell']}: {result['questions']} questions, {result['emerged']} emerged, {result['tasks']} tasks"
    sys.stdout.write(f"{head}; leak audit passed ({result['leak_checks_passed']} questions); {result['seconds']} s\n")
    for row in result["models"]:
        low, high = row["auc_95"]
        least, most = row["brier_95"]
        sys.stdout.write(
            f"  {row['model']:34s} AUC {row['auc']:.3f} [{low:.3f}, {high:.3f}]  "
            f"Brier {row['brier']:.3f} [{least:.3f}, {most:.3f}]  ECE {row['ece']:.3f}\n"
        )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
