"""Measured runs of a planted world by hand: strength and copying at chosen steps, and the heads of the last one."""

from pathlib import Path

import polars as pl

from imprint.mechanisms import HEADS_FILE, TRAJECTORY_FILE


def measured(folder: Path, strength, copying, heads=((1, 2, 0.9),)) -> Path:
    """A run's folder, measured at steps 0, 100, 200, ..."""
    folder.mkdir()
    steps = [100 * index for index in range(len(strength))]
    table = [
        {"step": step, "metric": name, "value": value}
        for name, values in (("induction.prefix_matching", strength), ("copy.accuracy", copying))
        for step, value in zip(steps, values, strict=True)
    ]
    pl.DataFrame(table).write_parquet(folder / TRAJECTORY_FILE)
    found = [
        {"step": steps[-1], "layer": layer, "head": head, "induction.prefix_matching": value}
        for layer, head, value in heads
    ]
    pl.DataFrame(found).write_parquet(folder / HEADS_FILE)
    return folder
