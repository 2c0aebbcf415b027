"""Items: one row an item, the same columns for every benchmark, so that every comparison is paired by (task, item).

suite, task, item         what was asked (item = its number in the task's file after reading)
correct                   1 right, 0 wrong; null where a task has no right answer (perplexity)
log_prob                  log-probability of the gold answer in nats (of the whole document for perplexity)
num_tokens                tokens of that answer
confidence                probability given to the chosen answer among the options; null without options
prediction, gold          texts
chance                    accuracy of guessing: one over the options, 0 for open answers
options                   log-probability of each option in nats; null without options
acc_norm, words, bytes    what the stock task also reports; null elsewhere
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from imprint.errors import ConfigError, InputError
from imprint.runs import atomic_file

KEY = ("suite", "task", "item")
SCHEMA: Mapping[str, Any] = {
    "suite": pl.String,
    "task": pl.String,
    "item": pl.Int64,
    "group": pl.Int64,
    "correct": pl.Float64,
    "log_prob": pl.Float64,
    "num_tokens": pl.Int64,
    "confidence": pl.Float64,
    "prediction": pl.String,
    "gold": pl.String,
    "gold_option": pl.Int64,
    "chance": pl.Float64,
    "options": pl.List(pl.Float64),
    "acc_norm": pl.Float64,
    "words": pl.Int64,
    "bytes": pl.Int64,
}


def items_frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """The frame of rows in the common columns; what a row lacks is null. `InputError` if there are none."""
    if not rows:
        raise InputError("No items were scored, so there is nothing to report; check --limit and the task's files.")
    return pl.DataFrame([{name: row.get(name) for name in SCHEMA} for row in rows], schema=dict(SCHEMA))


def write_items(frame: pl.DataFrame, path: Path) -> None:
    """The frame as Parquet, complete or not at all."""
    with atomic_file(path) as partial:
        frame.write_parquet(partial)


def read_items(path: Path) -> pl.DataFrame:
    """Items written by `write_items`; `ConfigError` if the file is missing, or not a table of items."""
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigError(
            f"{path}: not a table of items ({_first_line(error)}); imprint evaluate writes one."
        ) from error
    absent = [name for name in (*KEY, "correct", "log_prob") if name not in frame.columns]
    if absent:
        raise ConfigError(
            f"{path}: no column '{absent[0]}', so it is not a table of items; imprint evaluate writes one."
        )
    return frame


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def paired(base: pl.DataFrame, other: pl.DataFrame, *, suffix: str = "_other") -> pl.DataFrame:
    """Both arms side by side, one row an item in the order of `base`; columns of `other` get the suffix.

    Raises:
        InputError: an item occurs twice, or only in one arm; the message names the first.
    """
    keys = list(KEY)
    for name, frame in (("first", base), ("second", other)):
        double = frame.filter(frame.select(keys).is_duplicated())
        if len(double):
            raise InputError(f"Item {_named(double)} occurs more than once in the {name} arm; score each item once.")
    for name, left, right in (("first", base, other), ("second", other, base)):
        lonely = left.join(right, on=keys, how="anti")
        if len(lonely):
            raise InputError(
                f"{len(lonely)} items are only in the {name} arm (the first is {_named(lonely)}), so the arms cannot be "
                f"paired; score both with the same suites, limit and seed."
            )
    return base.join(other, on=keys, how="left", suffix=suffix, maintain_order="left")


def _named(frame: pl.DataFrame) -> str:
    suite, task, item = frame.select(KEY).row(0)
    return f"{suite}/{task}/{item}"
