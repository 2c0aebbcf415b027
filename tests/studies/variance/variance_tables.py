"""Tables of outcomes as files and as rows."""

from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[3]
TABLE = ROOT / "examples" / "published_coupling/table.csv"
PUBLISHED = ROOT / "examples" / "published_coupling/printed.yaml"


def tidy_rows(conditions, pipelines, stages, sds, seed, samples=1):
    """Rows of a nested world: condition, pipeline, stage_seed, sample, score."""
    rng = np.random.default_rng(seed)
    shape = (conditions, pipelines, stages, samples)
    values = sum(sd * rng.standard_normal(shape[: depth + 1] + (1,) * (3 - depth)) for depth, sd in enumerate(sds))
    return [
        (f"c{place[0]}", *(str(level) for level in place[1:]), f"{value:.6f}")
        for place, value in np.ndenumerate(values)
    ]


def write_rows(path, header, rows, delimiter=","):
    path.write_text("\n".join(delimiter.join(row) for row in [header, *rows]) + "\n")
    return path


def nested_file(folder, *shape, seed=0, columns=("condition", "pipeline", "stage_seed", "sample", "score"), **options):
    """A table of a nested world, keeping these columns' places."""
    rows = tidy_rows(*shape, seed=seed, **options)
    return write_rows(folder / "nested.csv", columns, rows)
