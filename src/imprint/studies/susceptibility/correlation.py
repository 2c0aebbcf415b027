"""Registered scalars of the conditions against an outcome: the screen, and the verdict on its strongest correlation."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from imprint.errors import InputError
from imprint.stats import Effect, Hypothesis, ScalarScreen, Undefined, correlation_gate, judge_gate, scalar_screen
from imprint.studies.examined import Examined, NotExamined
from imprint.studies.susceptibility.hypotheses import metric_of


def screened(
    scalars: Mapping[str, Mapping[str, float]], outcomes: Mapping[str, Mapping[str, float]], *, seed: int
) -> ScalarScreen | Undefined:
    """All scalars (scalar -> condition -> value) against all outcomes, corrected over both; undefined where none can be."""
    names = list(next(iter(outcomes.values())))
    columns, targets = (
        {name: np.array([values[one] for one in names], dtype=np.float64) for name, values in table.items()}
        for table in (scalars, outcomes)
    )
    try:
        return scalar_screen(columns, targets, seed=seed)
    except InputError as error:
        return Undefined(reason=str(error))


def registered_outcomes(
    hypotheses: Sequence[Hypothesis], metric: str, means: Mapping[str, Mapping[str, float]]
) -> dict[str, Mapping[str, float]]:
    """The outcomes that some registered hypothesis sets this metric's scalars against; the first one where none does."""
    named = [outcome for one in hypotheses for own, outcome in [metric_of(one.metric)] if own == metric]
    return {name: means[name] for name in dict.fromkeys(named or list(means)[:1])}


def judge_correlation(hypothesis: Hypothesis, screen: ScalarScreen | Undefined) -> Examined:
    """The strongest correlation with the hypothesis's outcome against the gate, its p corrected for all registered ones."""
    if isinstance(screen, Undefined):
        return NotExamined.of(hypothesis, screen.reason)
    outcome = metric_of(hypothesis.metric)[1]
    best = next(row for row in screen.rows if row.outcome == outcome)
    size = abs(best.correlation.estimate)
    low, high = _interval(size, screen.n)
    effect = Effect(
        estimate=size,
        low=low,
        high=high,
        n=screen.n,
        unit="condition",
        control="conditions shuffled over outcomes",
        metric=hypothesis.metric,
        note=_note(hypothesis.threshold, screen, best.scalar, best.correlation.flagged),
    )
    return judge_gate(hypothesis, effect, best.adjusted_p)


def _interval(size: float, n: int) -> tuple[float, float]:
    """By Fisher's z with Bonett and Wright's (2000) error for ranks, not below 0; wide, as it should be for few conditions.

    A perfect order is taken for the next to perfect one, 1 - 12 / (n (n^2 - 1)): its own interval would have no width.
    """
    clipped = min(size, 1 - 12 / (n * (n**2 - 1)))
    reach = float(stats.norm.ppf(0.975)) * math.sqrt((1 + clipped**2 / 2) / max(n - 3, 1))
    return max(0.0, math.tanh(math.atanh(clipped) - reach)), max(size, math.tanh(math.atanh(clipped) + reach))


def _note(threshold: float, screen: ScalarScreen, scalar: str, flagged: Sequence[int]) -> str:
    words = [f"strongest of {screen.tried}: {scalar}"]
    if 0 < threshold <= 1:
        gate = correlation_gate("spearman", threshold, screen.n, alternative="two-sided", scalars=screen.tried)
        words.append(f"|rho| >= {threshold:g} alone passes by chance in {gate.family_rate:.1%}")
    if flagged:
        words.append(f"it rests on {len(flagged)} single condition(s)")
    return "; ".join([*words, *filter(None, [screen.note])])
