"""The trajectory table: a row a score of a model at a checkpoint on a task, from Parquet or CSV, in known columns."""

from pathlib import Path

import polars as pl

from imprint.emergence.trajectories.checks import check_table
from imprint.emergence.trajectories.emerged import FEWEST_ITEMS, ITEMS_UNKNOWN
from imprint.errors import InputError

TEXTS = ("source", "family", "model", "variant", "task", "metric")
NUMBERS = ("params", "tokens", "flops", "step", "shots", "score", "stderr", "n", "chance", "higher_is_better")
REQUIRED = ("task", "score", "chance")
IDENTITY = ("source", "family", "model", "variant", "params", "tokens", "flops", "step", "task", "shots", "metric")
TOKENS_UNKNOWN = 3e11
ACCURACIES = ("acc", "accuracy", "exact_match", "em", "pass@1")
"""Metrics between 0 and 1 with a chance level, first choice first; others are kept out of the question."""


def read_table(path: Path) -> pl.DataFrame:
    """Rows of a Parquet or CSV file as they are.

    Raises:
        InputError: there is no such file, or it is neither.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    try:
        return pl.read_csv(path, infer_schema_length=None) if path.suffix == ".csv" else pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else "empty"
        raise InputError(f"{path}: neither a readable Parquet file nor a CSV file ({reason})") from error


def trajectories(rows: pl.DataFrame, *, name: str = "the table") -> pl.DataFrame:
    """The checked rows of one accuracy metric, every column of the vocabulary there, further columns kept.

    Columns that are missing are filled with "" (texts), 0 (shots) or null (numbers); a missing `n` becomes 500,
    missing `flops` six per parameter and token (300 billion tokens where those are missing, too).

    Raises:
        InputError: what makes the table unusable, in one sentence (see `check_table`).
    """
    missing = [column for column in REQUIRED if column not in rows.columns]
    if missing:
        raise InputError(f"{name} has no column '{missing[0]}'; it needs {', '.join(REQUIRED)} and a scale")
    table = _known_chance(_accuracy(_typed(rows, name)))
    check_table(table, name)
    spent = 6 * pl.col("params") * pl.col("tokens").fill_null(TOKENS_UNKNOWN)
    return table.with_columns(
        pl.col("n").fill_null(ITEMS_UNKNOWN).clip(lower_bound=FEWEST_ITEMS), pl.col("flops").fill_null(spent)
    )


def _typed(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    texts = [_text(rows, column).alias(column) for column in TEXTS]
    try:
        numbers = [_number(rows, column).alias(column) for column in NUMBERS]
        return rows.with_columns(*texts, *numbers).with_columns(pl.col("shots").fill_null(0.0))
    except pl.exceptions.InvalidOperationError as error:
        raise InputError(f"{name}: a numeric column holds something that is no number") from error


def _text(rows: pl.DataFrame, column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).fill_null("") if column in rows.columns else pl.lit("")


def _number(rows: pl.DataFrame, column: str) -> pl.Expr:
    if column not in rows.columns:
        return pl.lit(None, dtype=pl.Float64)
    return pl.col(column).cast(pl.Float64).fill_nan(None)


def _known_chance(table: pl.DataFrame) -> pl.DataFrame:
    """BLIMP asks for one of two sentences, 1000 times a task: its chance and items are known where a table has neither."""
    pairs = pl.col("task").str.starts_with("blimp")
    return table.with_columns(
        pl.when(pairs).then(pl.col("chance").fill_null(0.5)).otherwise(pl.col("chance")).alias("chance"),
        pl.when(pairs).then(pl.col("n").fill_null(1000.0)).otherwise(pl.col("n")).alias("n"),
    )


def _accuracy(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of the first accuracy metric that is there (all rows where no metric is named), with a score."""
    named = set(table["metric"].unique())
    chosen = next((metric for metric in ACCURACIES if metric in named), None)
    kept = table if chosen is None else table.filter(pl.col("metric") == chosen)
    return kept.filter(pl.col("score").is_not_null())
