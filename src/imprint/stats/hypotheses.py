"""Hypotheses that are registered before the run, and the verdicts that the numbers give them."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import stats

from imprint.errors import InputError
from imprint.runs.digests import digest
from imprint.stats.effects import Effect, Unit
from imprint.stats.power import equivalence_power, paired_power
from imprint.stats.resampling import equivalence_permutation, paired_difference, paired_permutation

Direction = Literal["greater", "less", "absolute-less"]
VerdictWord = Literal["supported", "refuted", "inconclusive"]


class Hypothesis(BaseModel):
    """A statement about one metric, fixed before the data are seen.

    "greater" and "less" claim that the effect lies above or below `threshold`; "absolute-less" claims that it lies
    between -threshold and threshold (no difference that matters).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    statement: str = Field(min_length=1)
    """One sentence in plain words."""
    metric: str = Field(min_length=1)
    threshold: float = Field(allow_inf_nan=False)
    """In the metric's units."""
    direction: Direction
    test: str = Field(min_length=1)
    """Name of the test that gives p, for example "paired sign-flip permutation"."""
    alpha: float = Field(default=0.05, gt=0, lt=1)

    @model_validator(mode="after")
    def _margin_is_positive(self) -> "Hypothesis":
        if self.direction == "absolute-less" and self.threshold <= 0:
            raise ValueError(f"threshold={self.threshold} of {self.id} must be positive for 'absolute-less'")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the numbers say about one registered hypothesis, with all that is needed to check it."""

    id: str
    statement: str
    metric: str
    threshold: float
    direction: Direction
    test: str
    alpha: float
    verdict: VerdictWord
    statistic: float
    """The estimated effect, in the metric's units."""
    p: float
    low: float
    high: float
    n: int
    unit: Unit
    power: float | None
    """Chance that this design shows a true effect of |threshold| (no difference, for "absolute-less") at alpha, by a
    t test; None when the threshold is 0 or the interval has no width."""
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, words and None, ready for JSON."""
        return asdict(self)


def judge(hypothesis: Hypothesis, effect: Effect, p: float) -> Verdict:
    """The verdict: supported, refuted or inconclusive.

    Supported if and only if the interval lies beyond the threshold in the registered direction and p <= alpha.
    Refuted if and only if the interval lies wholly on the other side. An interval without width (all units agreed
    exactly) never refutes: the metric may be saturated.

    Raises:
        InputError: p is not in [0, 1], the effect is of another metric than the registered one, or its interval is
            narrower than 1 - alpha.

    Trust: p must test the registered threshold in the registered direction; `judge_paired` makes sure of that.
    """
    _require_match(hypothesis, effect, p)
    verdict, reason = _word(hypothesis, effect, p)
    return written(hypothesis, effect, p, verdict, reason, power=_power(hypothesis, effect))


def written(
    hypothesis: Hypothesis, effect: Effect, p: float, word: VerdictWord, reason: str, *, power: float | None
) -> Verdict:
    """The verdict with all that is needed to check it; the effect's note stands after the reason."""
    return Verdict(
        **hypothesis.model_dump(),
        verdict=word,
        statistic=effect.estimate,
        p=p,
        low=effect.low,
        high=effect.high,
        n=effect.n,
        unit=effect.unit,
        power=power,
        reason=reason if not effect.note else f"{reason} ({effect.note})",
    )


def judge_paired(
    hypothesis: Hypothesis,
    treated: Float[np.ndarray, " treated"],
    control: Float[np.ndarray, " control"],
    *,
    seed: int,
    unit: Unit,
    control_name: str,
    draws: int = 10_000,
) -> Verdict:
    """The verdict from paired values: interval by `paired_difference`, p by sign-flip permutation at the threshold.

    One-sided in the registered direction; "absolute-less" uses two one-sided tests. The interval is at 1 - alpha,
    at least 95 %.

    Raises:
        InputError: fewer than 2 pairs or arms of different length.
        SelfCheckFailed: a value is not finite.
    """
    effect = paired_difference(
        treated,
        control,
        seed=seed,
        unit=unit,
        control_name=control_name,
        metric=hypothesis.metric,
        level=max(0.95, 1 - hypothesis.alpha),
        draws=draws,
    )
    if hypothesis.direction == "absolute-less":
        p = equivalence_permutation(treated, control, margin=hypothesis.threshold, seed=seed, draws=draws)
    else:
        p = paired_permutation(
            treated, control, seed=seed, alternative=hypothesis.direction, null=hypothesis.threshold, draws=draws
        )
    return judge(hypothesis, effect, p)


def registration_digest(hypotheses: Sequence[Hypothesis]) -> str:
    """The sha256 (64 hex digits) of the registered hypotheses, whatever their order; any changed word changes it.

    Raises:
        InputError: two hypotheses share an id.
    """
    repeated = [name for name, count in Counter(item.id for item in hypotheses).items() if count > 1]
    if repeated:
        raise InputError(f"Hypothesis id(s) {', '.join(repeated)} registered twice: give each its own id.")
    records = [item.model_dump(mode="json") for item in sorted(hypotheses, key=lambda item: item.id)]
    return digest(records)


def _require_match(hypothesis: Hypothesis, effect: Effect, p: float) -> None:
    if not 0 <= p <= 1:
        raise InputError(f"p={p} for {hypothesis.id} is not a p-value: it must lie in [0, 1].")
    if effect.metric and effect.metric != hypothesis.metric:
        raise InputError(
            f"{hypothesis.id} is registered for '{hypothesis.metric}', the effect is of '{effect.metric}': "
            "judge it by the metric that was registered."
        )
    if effect.level < 1 - hypothesis.alpha - 1e-9:
        raise InputError(
            f"A {effect.level:.0%} interval is too narrow for alpha={hypothesis.alpha} of {hypothesis.id}: "
            f"compute it at level {1 - hypothesis.alpha:g}."
        )


def _word(hypothesis: Hypothesis, effect: Effect, p: float) -> tuple[VerdictWord, str]:
    interval = f"the {effect.level:.0%} interval [{effect.low:.4g}, {effect.high:.4g}]"
    region = {"greater": "above ", "less": "below ", "absolute-less": "within ±"}[hypothesis.direction]
    wanted = f"{region}{hypothesis.threshold:g}"
    inside, outside = _sides(hypothesis, effect)
    if inside and p <= hypothesis.alpha:
        return "supported", f"{interval} lies {wanted} and p={p:.3g} <= {hypothesis.alpha:g}"
    if inside:
        return "inconclusive", f"{interval} lies {wanted}, but p={p:.3g} > {hypothesis.alpha:g}"
    if outside and effect.has_width:
        return "refuted", f"no part of {interval} lies {wanted}"
    if outside:
        return "inconclusive", f"{interval} does not lie {wanted} but has no width: check the metric for saturation"
    return "inconclusive", f"{interval} lies on both sides of the threshold {hypothesis.threshold:g}"


def _sides(hypothesis: Hypothesis, effect: Effect) -> tuple[bool, bool]:
    """Whether the interval lies wholly where the hypothesis says, and wholly where it does not."""
    limit, low, high = hypothesis.threshold, effect.low, effect.high
    if hypothesis.direction == "greater":
        return low > limit, high < limit
    if hypothesis.direction == "less":
        return high < limit, low > limit
    return -limit < low and high < limit, low > limit or high < -limit


def _power(hypothesis: Hypothesis, effect: Effect) -> float | None:
    """Power of the design, its spread read back from the interval."""
    if not effect.has_width or hypothesis.threshold == 0:
        return None
    standard_error = (effect.high - effect.low) / 2 / float(stats.t.ppf(0.5 + effect.level / 2, effect.n - 1))
    sd, limit = standard_error * math.sqrt(effect.n), hypothesis.threshold
    if hypothesis.direction == "absolute-less":
        return equivalence_power(limit, sd, effect.n, alpha=hypothesis.alpha)
    return paired_power(limit, sd, effect.n, alpha=hypothesis.alpha, alternative="greater")
