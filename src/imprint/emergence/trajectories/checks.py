"""What makes a trajectory table unusable, each in one sentence that says what to do."""

import polars as pl

from imprint.errors import InputError

EXTRAS = ("chinchilla", "src", "run")
"""Further columns that tell measurements apart which otherwise share a row's identity."""
RUN = ("source", "family", "model", "variant", "params", "task", "shots")
POINT = (*RUN, "tokens", "flops", "step", "metric")


def check_table(table: pl.DataFrame, name: str) -> None:
    """Refuse what cannot be used.

    Raises:
        InputError: no rows; no scale; a chance level or score outside its range, or missing everywhere; the same row twice;
            steps and tokens that run against each other; scores that never vary with scale.
    """
    if table.is_empty():
        raise InputError(f"{name} has no row with a score")
    _check_scale(table, name)
    _check_ranges(table, name)
    _check_duplicates(table, name)
    _check_steps(table, name)
    _check_variation(table, name)


def require_chance(table: pl.DataFrame, tasks: list[str], name: str) -> None:
    """Refuse tasks whose chance level is missing.

    Raises:
        InputError: a row of one of these tasks has no chance level.
    """
    without = table.filter(pl.col("chance").is_null() & pl.col("task").is_in(tasks))
    if not without.is_empty():
        raise InputError(
            f"{name}: task '{without['task'][0]}' has rows without a chance level; "
            "write what guessing scores (0.25 for four choices, 0 for free answers) in the column 'chance'"
        )


def _check_scale(table: pl.DataFrame, name: str) -> None:
    if table.filter(pl.any_horizontal(pl.col("params", "tokens", "flops").is_not_null())).is_empty():
        raise InputError(f"{name} has no scale: fill one of the columns params, tokens, flops")
    for column in ("params", "tokens", "flops"):
        if not table.filter(pl.col(column) < 0).is_empty():
            raise InputError(f"{name}: column '{column}' holds a negative number")


def _check_ranges(table: pl.DataFrame, name: str) -> None:
    if table["chance"].null_count() == table.height:
        raise InputError(f"{name}: no row has a chance level; write what guessing scores in the column 'chance'")
    for column, low, high in (("score", 0.0, 1.0), ("chance", 0.0, 0.999)):
        outside = table.filter((pl.col(column) < low) | (pl.col(column) > high))
        if not outside.is_empty():
            raise InputError(
                f"{name}: {column} {outside[column][0]:g} of task '{outside['task'][0]}' is not between {low:g} and "
                f"{high:g}; give accuracies as shares"
            )


def _check_duplicates(table: pl.DataFrame, name: str) -> None:
    key = [*POINT, *(column for column in EXTRAS if column in table.columns)]
    twice = table.filter(pl.struct(key).is_duplicated())
    if not twice.is_empty():
        row = twice.row(0, named=True)
        raise InputError(
            f"{name} has duplicate rows: {row['model'] or row['family']} on '{row['task']}' at {_scale(row)} appears "
            "more than once; keep one, or tell repeats apart by 'variant'"
        )


def _check_steps(table: pl.DataFrame, name: str) -> None:
    both = table.filter(pl.col("step").is_not_null() & pl.col("tokens").is_not_null())
    keys = [*RUN, *(column for column in EXTRAS if column in table.columns and column != "run")]
    ordered = both.sort([*RUN, "step", "tokens"])
    back = ordered.filter(pl.col("tokens").diff().over(keys) < 0) if not ordered.is_empty() else ordered
    if not back.is_empty():
        row = back.row(0, named=True)
        raise InputError(
            f"{name}: steps are not monotone: {row['model'] or row['family']} on '{row['task']}' has fewer tokens at step "
            f"{row['step']:g} than at an earlier step"
        )


def _check_variation(table: pl.DataFrame, name: str) -> None:
    """A source in which no task's score ever differs between two scales copied one model's scores to all."""
    curve = ["source", "family", "variant", "task", "shots"]
    scales = pl.struct("params", "tokens", "flops", "model").n_unique()
    grouped = table.group_by(curve).agg(scales.alias("scales"), pl.col("score").n_unique().alias("values"))
    several = grouped.filter(pl.col("scales") > 1)
    for (source,), part in several.group_by(["source"]):
        if part["values"].max() == 1:
            raise InputError(
                f"{name}: no score of source '{source}' varies with scale; the table repeats one model's scores, so "
                "nothing can be learned from it"
            )


def _scale(row: dict[str, object]) -> str:
    named = ((column, row[column]) for column in ("params", "tokens", "step") if row[column] is not None)
    return ", ".join(f"{column} {value:g}" for column, value in named)
