"""Many scalars against the outcomes of few conditions: the correction counts everything that was tried."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from imprint.errors import InputError
from imprint.stats.correlation_gates import EXACT_POINTS
from imprint.stats.few_points import (
    LEAST_POINTS,
    FewPoints,
    PointCorrelation,
    correlations,
    few_points,
    is_constant,
    orders,
    sided,
)
from imprint.stats.gates import Sides
from imprint.stats.multiplicity import benjamini_hochberg
from imprint.stats.samples import require_sample

_TIE = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class ScalarRow:
    """One scalar against one outcome."""

    scalar: str
    outcome: str
    correlation: FewPoints
    adjusted_p: float
    """The chance that the best of all scalars and outcomes tried correlates as strongly (family-wise error)."""
    q: float
    """Benjamini-Hochberg over the same family."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScalarScreen:
    """All scalars tried, strongest first."""

    rows: tuple[ScalarRow, ...]
    n: int
    """Conditions."""
    tried: int
    """Pairs of scalar and outcome, the family that is corrected for."""
    constant: tuple[str, ...]
    """Scalars that are the same in all conditions, which explain nothing and are not in the family."""
    smallest_adjusted_p: float
    """What no scalar of this family, however good, can beat."""
    exact: bool
    note: str

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return asdict(self)


def scalar_screen(
    scalars: Mapping[str, Float[np.ndarray, " _"]],
    outcomes: Mapping[str, Float[np.ndarray, " _"]],
    *,
    statistic: PointCorrelation = "spearman",
    alternative: Sides = "two-sided",
    alpha: float = 0.05,
    seed: int = 0,
    draws: int = 20_000,
) -> ScalarScreen:
    """The correlation of every scalar with every outcome over the conditions, corrected over all of them.

    `adjusted_p` is single-step: whole conditions are shuffled, all outcomes together, so that how scalars (and outcomes)
    hang together is kept; exact up to 8 conditions. Source: Westfall and Young 1993, max-T.

    Raises:
        InputError: no scalar that varies, no outcome, fewer than 4 conditions, lengths that differ, a constant outcome.
        SelfCheckFailed: a value is not finite.

    Trust: counts what is given to it: a scalar that was looked at and dropped must be given too. BH is not exact
    where scalars move against each other; `adjusted_p` is.
    """
    constant = _check(scalars, outcomes)
    names = [name for name in scalars if name not in constant]
    if not names:
        raise InputError(f"none of the {len(scalars)} scalars differs between conditions, so none explains an outcome.")
    x, y = (
        np.stack([np.asarray(v, dtype=np.float64) for v in m]) for m in ([scalars[s] for s in names], outcomes.values())
    )
    null = _strongest(x, y, statistic, alternative, seed, draws)
    cells = {
        (name, outcome): few_points(
            scalars[name], outcomes[outcome], statistic=statistic, alternative=alternative, seed=seed, draws=draws
        )
        for name in names
        for outcome in outcomes
    }
    q = benjamini_hochberg(np.array([cell.p for cell in cells.values()]))
    exact = x.shape[1] <= EXACT_POINTS
    rows = [
        ScalarRow(scalar=name, outcome=outcome, correlation=cell, adjusted_p=_tail(null, cell, exact), q=float(rate))
        for ((name, outcome), cell), rate in zip(cells.items(), q, strict=True)
    ]
    smallest = float((null >= null.max() - _TIE).mean()) if exact else 1 / (null.size + 1)
    return ScalarScreen(
        rows=tuple(sorted(rows, key=lambda row: (row.adjusted_p, row.correlation.p, row.scalar, row.outcome))),
        n=x.shape[1],
        tried=len(rows),
        constant=constant,
        smallest_adjusted_p=smallest,
        exact=exact,
        note=_note(smallest, alpha, len(rows), x.shape[1]),
    )


def _check(scalars: Mapping[str, np.ndarray], outcomes: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """The names of the constant scalars, once everything else fits."""
    if not scalars or not outcomes:
        raise InputError(f"{len(scalars)} scalars and {len(outcomes)} outcomes: give at least one of each.")
    sizes = {values.shape for values in (*scalars.values(), *outcomes.values())}
    if len(sizes) > 1:
        raise InputError(f"scalars and outcomes have {sorted(sizes)} values: give one a condition to all of them.")
    for name, values in (*scalars.items(), *outcomes.items()):
        require_sample(values, at_least=LEAST_POINTS, name=name)
    flat = [name for name, values in outcomes.items() if is_constant(values)]
    if flat:
        raise InputError(f"the outcome {flat[0]} is the same in all conditions, so there is nothing to explain.")
    return tuple(name for name, values in scalars.items() if is_constant(values))


def _strongest(
    x: Float64[np.ndarray, "scalar n"],
    y: Float64[np.ndarray, "outcome n"],
    statistic: PointCorrelation,
    alternative: Sides,
    seed: int,
    draws: int,
) -> Float64[np.ndarray, " order"]:
    """The largest correlation of the family under every shuffle of the conditions."""
    return np.concatenate(
        [
            np.max([sided(correlations(x, one[order], statistic), alternative).max(0) for one in y], axis=0)
            for order in orders(x.shape[1], seed=seed, draws=draws)
        ]
    )


def _tail(null: Float64[np.ndarray, " order"], cell: FewPoints, exact: bool) -> float:
    hits = int((null >= float(sided(np.array(cell.estimate), cell.alternative)) - _TIE).sum())
    return hits / null.size if exact else (hits + 1) / (null.size + 1)


def _note(smallest: float, alpha: float, tried: int, n: int) -> str:
    if smallest <= alpha:
        return ""
    return (
        f"{tried} correlations tried over {n} conditions: none can reach adjusted p <= {alpha:g} (the smallest is "
        f"{smallest:.3g}); register fewer scalars or a direction, or add conditions"
    )
