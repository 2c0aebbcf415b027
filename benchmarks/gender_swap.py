"""Null safety: Pythia's published gender-swap retraining must come out as what its scores show, with controls that can fail.

Run with `python -m benchmarks.gender_swap --data FOLDER --json`; FOLDER holds pythia.parquet. On a table of your own:
`--table FILE --baseline NAME --treatment NAME --task TASK --metric METRIC`. Beside the published table: the same table with a
known effect planted (must be found), and with the labels of the arms exchanged in every possible set of models (must not).
"""

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from imprint.studies.variant_effects import VariantEffect, variant_effects

TASK, METRIC = "crows_pairs_english_gender", "pct_stereotype"
PLANTED = (-0.1, -0.05, -0.03, -0.02, 0.02, 0.03, 0.05, 0.1)
DRAWS = 400


def published(folder: Path) -> pl.DataFrame:
    """Pythia's published retraining on text with swapped pronouns, and its baseline, on all of CrowS-Pairs in English."""
    table = pl.read_parquet(folder / "pythia.parquet").filter(pl.col("family") == "pythia-v1")
    return table.filter(pl.col("task").str.starts_with("crows_pairs_english"))


def planted(table: pl.DataFrame, treatment: str, task: str, metric: str, size: float) -> pl.DataFrame:
    """A copy of the table in which the treatment moved one task by `size`, in every model and checkpoint."""
    here = (pl.col("variant") == treatment) & (pl.col("task") == task) & (pl.col("metric") == metric)
    return table.with_columns(score=pl.when(here).then(pl.col("score") + size).otherwise("score"))


def exchanged(table: pl.DataFrame, baseline: str, treatment: str, models: list[str]) -> pl.DataFrame:
    """A copy of the table in which these models' arms have each other's name."""
    other = pl.col("variant").replace({baseline: treatment, treatment: baseline})
    return table.with_columns(variant=pl.when(pl.col("model").is_in(models)).then(other).otherwise("variant"))


def nothing(seed: int, *, tasks: int = 20, models: int = 3) -> pl.DataFrame:
    """A table in which arms differ by chance alone, with a spread that the yardstick of errors does not know."""
    rng = np.random.default_rng(seed)
    rows = [
        {"task": f"t{task:02d}", "metric": "share", "model": f"m{model}", "variant": arm, "step": 1.0, "stderr": 0.02}
        | {"score": 0.6 + 0.01 * rng.normal()}
        for task in range(tasks)
        for model in range(models)
        for arm in ("baseline", "treatment")
    ]
    return pl.DataFrame(rows)


def run(table: pl.DataFrame, baseline: str, treatment: str, task: str, metric: str) -> dict[str, Any]:
    """The published table, the planted effects, the exchanged labels, and tables of chance alone."""
    arms = {"baseline": baseline, "treatment": treatment}

    def tested(one: pl.DataFrame) -> list[VariantEffect]:
        return variant_effects(one, **arms)

    found = tested(table)
    models = [one.model for one in _of(found, task, metric).models]
    swaps = [[model for model, swap in zip(models, (0, *drawn), strict=True) if swap] for drawn in _swaps(len(models))]
    chance = [sum(one.q <= 0.05 for one in variant_effects(nothing(seed), **_PLAIN)) for seed in range(DRAWS)]
    return {
        "arms": arms,
        "models": models,
        "asked": _of(found, task, metric).as_dict(),
        "tested": len(found),
        "detected": [one.sentence for one in found if one.q <= 0.05],
        "effects": [one.as_dict() for one in found],
        "planted": {
            f"{size:+g}": _of(tested(planted(table, treatment, task, metric, size)), task, metric).as_dict()
            for size in PLANTED
        },
        "labels exchanged": {
            ", ".join(chosen): sum(one.q <= 0.05 for one in tested(exchanged(table, baseline, treatment, chosen)))
            for chosen in swaps
        },
        "chance alone": {"tables": DRAWS, "with any detection": float(np.mean([one > 0 for one in chance]))},
    }


_PLAIN = {"baseline": "baseline", "treatment": "treatment"}


def _swaps(models: int) -> list[tuple[int, ...]]:
    """Every way to exchange labels but none and all: the first model keeps its own, which loses nothing but a sign."""
    return [drawn for drawn in product((0, 1), repeat=models - 1) if any(drawn)]


def _of(found: list[VariantEffect], task: str, metric: str) -> VariantEffect:
    return next(one for one in found if (one.task, one.metric) == (task, metric))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--baseline", default="baseline")
    parser.add_argument("--treatment", default="intervention")
    parser.add_argument("--task", default=TASK)
    parser.add_argument("--metric", default=METRIC)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if (options.data is None) == (options.table is None):
        parser.error("give either --data FOLDER with pythia.parquet, or --table FILE")
    if options.data is not None:
        table = published(options.data)
    else:
        read = pl.read_csv if options.table.suffix == ".csv" else pl.read_parquet
        table = read(options.table)
    found = run(table, options.baseline, options.treatment, options.task, options.metric)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(found["asked"]["sentence"], f"{len(found['detected'])} of {found['tested']} tests detect anything.", sep="\n")
    for size, one in found["planted"].items():
        print(f"planted {size}: {one['word']}, {one['effect']['estimate']:+.4f}, q = {one['q']:.4f}")
    for models, count in found["labels exchanged"].items():
        print(f"labels exchanged in {models}: {count} of {found['tested']} tests detect anything")
    print(f"tables of chance alone with any detection: {found['chance alone']['with any detection']:.3f}")


if __name__ == "__main__":
    main()
