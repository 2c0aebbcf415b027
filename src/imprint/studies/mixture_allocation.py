"""A data mixture chosen from a table of small proxies: which columns are shares, which are losses, and what to train on."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import polars as pl

from imprint.emergence.allocation import MixtureChoice, Proxies, candidate_mixtures, choose_mixture, read_history
from imprint.errors import ConfigError
from imprint.runs import Reporter, silent


def allocate_mixture(
    table: Path,
    *,
    mixture: Sequence[str],
    loss: Sequence[str],
    candidates: Path | None = None,
    draws: int = 1000,
    where: dict[str, str] | None = None,
    seed: int = 0,
    reporter: Reporter = silent,
) -> MixtureChoice:
    """The mixture with the least mean predicted loss among `candidates`, or among `draws` between the proxies' own.

    `table` has a row a proxy; `mixture` and `loss` name its columns of shares and of losses, `*` standing for anything.

    Raises:
        ConfigError: a table or column is missing or not a number, shares do not sum to 1, or there are too few proxies.
    """
    rows = read_history(table, where)
    domains, losses = columns_of(rows, mixture, "--mixture"), columns_of(rows, loss, "--loss")
    both = sorted(set(domains) & set(losses))
    if both:
        raise ConfigError(f"column '{both[0]}' is named as a share and as a loss: a column is one or the other")
    proxies = Proxies(mixtures=numbers(rows, domains, table), losses=numbers(rows, losses, table))
    if candidates is None:
        among = candidate_mixtures(proxies, draws, seed=seed)
    else:
        given = read_history(candidates)
        missing = [name for name in domains if name not in given.columns]
        if missing:
            raise ConfigError(f"'{candidates.name}' has no column '{missing[0]}': candidates need the proxies' domains")
        among = numbers(given, domains, candidates)
        if among.min() < 0 or np.abs(among.sum(1) - 1).max() > 0.05:
            raise ConfigError(
                f"a candidate in '{candidates.name}' is not a mixture: shares sum to 1 and none is negative"
            )
    with reporter.stage("choose a mixture from proxies", None):
        return choose_mixture(proxies, among, domains=domains, losses=losses, seed=seed)


def columns_of(table: pl.DataFrame, patterns: Sequence[str], option: str) -> list[str]:
    """The columns that any pattern names, in the table's order.

    Raises:
        ConfigError: no pattern is given, or one names no column.
    """
    if not patterns:
        raise ConfigError(
            f"give {option} COLUMN (a name or a pattern such as 'share_*'), once or more, with --mixtures"
        )
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in table.columns):
            raise ConfigError(f"{option} {pattern} names no column; there are {', '.join(table.columns[:20])}")
    return [name for name in table.columns if any(fnmatchcase(name, pattern) for pattern in patterns)]


def numbers(table: pl.DataFrame, columns: Sequence[str], path: Path) -> np.ndarray:
    """These columns as numbers.

    Raises:
        ConfigError: a column holds something else, or a value is missing.
    """
    for name in columns:
        if not table.schema[name].is_numeric():
            raise ConfigError(f"column '{name}' of '{path.name}' does not hold numbers")
        if not table[name].cast(pl.Float64).is_finite().fill_null(False).all():
            raise ConfigError(
                f"column '{name}' of '{path.name}' has a row without a number: fill it or leave the row out"
            )
    return table.select(pl.col(columns).cast(pl.Float64)).to_numpy()
