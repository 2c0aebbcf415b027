"""What interventions cost each suite: the unperturbed and the perturbed arm paired by item."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from imprint.capabilities.items import paired
from imprint.stats.impact import Impact, impact


def costs(base: pl.DataFrame, perturbed: pl.DataFrame, *, seed: int = 0) -> dict[str, dict[str, Impact]]:
    """By suite the impact on accuracy (with AIS, raw and corrected for chance, and McNemar) and on `log_prob` in nats.

    Perplexity tasks have `log_prob` alone, there per token.

    Raises:
        InputError: the arms do not hold the same items, or a suite has fewer than 2.

    Trust: without a matched control (as many random dimensions, tokens or directions) a cost says only that the model is
    not indifferent to being disturbed.
    """
    both = paired(base, perturbed)
    suites = both["suite"].unique(maintain_order=True)
    return {suite: _suite(both.filter(pl.col("suite") == suite), seed) for suite in suites}


def _suite(items: pl.DataFrame, seed: int) -> dict[str, Impact]:
    found = {"log_prob": _of_log_prob(items, seed)}
    graded = items.drop_nulls(["correct", "correct_other"])
    if len(graded) < 2:
        return found
    before, after = (graded[name].to_numpy() for name in ("correct", "correct_other"))
    chance = float(np.mean(graded["chance"].to_numpy()))
    return {"accuracy": impact(before, after, seed=seed, chance=chance, metric="accuracy")} | found


def _of_log_prob(items: pl.DataFrame, seed: int) -> Impact:
    each = np.where(items["words"].is_null().to_numpy(), 1.0, items["num_tokens"].to_numpy())
    before, after = (items[name].to_numpy() / each for name in ("log_prob", "log_prob_other"))
    return impact(before, after, seed=seed, metric="log_prob", scale="interval")


def as_numbers(found: Mapping[str, Mapping[str, Impact]]) -> dict[str, dict[str, dict[str, object]]]:
    """The same, ready for JSON."""
    return {suite: {name: cost.as_dict() for name, cost in each.items()} for suite, each in found.items()}
