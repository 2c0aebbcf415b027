"""Influence over a window of training: do probes agree at a checkpoint, do checkpoints agree, and what is their sum?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Shaped
from scipy.stats import rankdata

from imprint.attribution.agreement import Agreement, agree, all_pairs
from imprint.attribution.engine.scores import Scores
from imprint.attribution.rankings import CONSENSUS, PROBES, consensus
from imprint.errors import ConfigError, InputError

MEAN_RANK, RATE_WEIGHTED = "mean rank", "learning-rate weighted sum"
"""The two ways to add up a window."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowAgreement:
    """How far the rankings of a window's checkpoints agree, and how each agrees with the window's own ranking."""

    fraction: float
    probes: Mapping[int, tuple[Agreement, ...]]
    """By checkpoint: every pair of probes."""
    checkpoints: Mapping[str, tuple[Agreement, ...]]
    """By ranking (each probe, and the consensus): every pair of checkpoints, named by their steps; none of one alone."""
    summed: tuple[Agreement, ...]
    """The window's mean rank with every checkpoint's consensus, and with the learning-rate weighted sum if there is one."""


def window_agreement(
    scores: Mapping[int, Scores],
    *,
    fraction: float,
    rates: Mapping[int, float] | None = None,
    groups: Shaped[np.ndarray, " row"] | None = None,
) -> WindowAgreement:
    """Agreement between the probes at each checkpoint and between the checkpoints of a window, by training step.

    `groups` (the rows' domains) make chance the agreement of tops that share their groups only. With `rates` (learning rates
    by step) the sum that they weight is compared with the mean rank as well. Trust: see `agree`; checkpoints of one run share
    their past, so their agreement says nothing about other seeds.

    Raises:
        InputError: no checkpoint, or checkpoints with other probes or rows.
    """
    steps = _steps(scores, least=1)
    names = [name for name in PROBES if name in scores[steps[0]].queries]
    rankings = {CONSENSUS: {str(step): consensus(scores[step]) for step in steps}}
    rankings |= {name: {str(step): scores[step].of(name) for step in steps} for name in names}
    return WindowAgreement(
        fraction=fraction,
        probes={
            step: all_pairs({name: scores[step].of(name) for name in names}, fraction=fraction, groups=groups)
            for step in steps
        },
        checkpoints={name: all_pairs(values, fraction=fraction, groups=groups) for name, values in rankings.items()},
        summed=_with_sum(scores, rankings[CONSENSUS], fraction, rates, groups) if len(steps) > 1 else (),
    )


def _with_sum(
    scores: Mapping[int, Scores],
    ranked: Mapping[str, Float64[np.ndarray, " row"]],
    fraction: float,
    rates: Mapping[int, float] | None,
    groups: Shaped[np.ndarray, " row"] | None,
) -> tuple[Agreement, ...]:
    """The mean rank with each checkpoint's consensus, and with the weighted sum."""
    mean = window_sum(scores)
    others = {f"{CONSENSUS} at step {step}": values for step, values in ranked.items()}
    if rates is not None:
        others[RATE_WEIGHTED] = window_sum(scores, rates=rates)
    return tuple(
        agree(mean, values, fraction=fraction, names=(MEAN_RANK, name), groups=groups)
        for name, values in others.items()
    )


def window_sum(
    scores: Mapping[int, Scores], *, rates: Mapping[int, float] | None = None, query: str = "contrastive"
) -> Float64[np.ndarray, " row"]:
    """One score a row for the whole window, higher = more influence: a TracIn-like sum over its checkpoints, a heuristic.

    Without `rates`: the mean over checkpoints of the consensus' rank (0 to 1), which no checkpoint's scale can dominate.
    With `rates`: the sum over checkpoints of learning rate x influence on `query`, as TracIn-CP (Pruthi et al. 2020) sums
    gradient products. Trust: TracIn's argument does not hold here: influence is preconditioned at every checkpoint, the
    optimiser is no gradient descent, and what later steps do to an early effect is left out. Use it as a ranking.

    Raises:
        InputError: fewer than two checkpoints, other rows at some checkpoint, or a checkpoint without a rate.
    """
    steps = _steps(scores, least=2)
    if rates is None:
        ranks = [rankdata(consensus(scores[step])) for step in steps]
        return np.asarray(np.mean(ranks, axis=0) / len(ranks[0]), dtype=np.float64)
    missing = [step for step in steps if step not in rates]
    if missing:
        raise InputError(f"the checkpoint at step {missing[0]} has no learning rate: give one for every checkpoint.")
    return np.asarray(sum(rates[step] * scores[step].of(query) for step in steps), dtype=np.float64)


def _steps(scores: Mapping[int, Scores], *, least: int) -> list[int]:
    steps = sorted(scores)
    if len(steps) < least:
        raise InputError(f"{len(steps)} checkpoint(s) make no window: give the scores of at least {least}.")
    first = scores[steps[0]]
    for step in steps[1:]:
        found = scores[step]
        if found.queries != first.queries or found.rows.shape != first.rows.shape:
            raise InputError(
                f"the scores at steps {steps[0]} and {step} are of other probes or rows: score them alike."
            )
    if not set(PROBES) & set(first.queries):
        raise ConfigError(
            f"scores of {first.queries} hold none of the induction probes, so a window cannot be added up"
        )
    return steps
