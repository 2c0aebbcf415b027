"""What a registered threshold is worth: how often chance passes it, which one chance passes at alpha, and its power."""

from bisect import bisect_left
from dataclasses import asdict, dataclass
from typing import Any

from scipy.optimize import brentq

from imprint.errors import InputError
from imprint.stats import (
    Gate,
    Undefined,
    accuracy_gate,
    correlation_gate,
    correlation_gate_power,
    correlation_threshold,
    shift_gate,
)
from imprint.stats.correlation_gates import Correlation
from imprint.stats.gates import Sides

TRUTHS = (0.5, 0.7, 0.9)
"""True correlations for which power is given."""
_LARGEST_SHIFT = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class GatePower:
    """The chance to pass the gate when the truth is this."""

    truth: float
    power: float


@dataclass(frozen=True, kw_only=True, slots=True)
class GateAnswer:
    """A gate with the threshold that it would need for a false-positive rate of `alpha`."""

    gate: Gate
    alpha: float
    honest_threshold: float | Undefined
    """The smallest one that chance passes at most at rate `alpha` (for all `scalars` together: alpha over their number)."""
    power: tuple[GatePower, ...] = ()

    @property
    def answer(self) -> str:
        """The gate in one sentence."""
        gate, scalars = self.gate, self.gate.scalars
        together = " for all together" if scalars > 1 else ""
        many = f", {_percent(gate.family_rate)} with {scalars} independent scalars" if scalars > 1 else ""
        needed = (
            self.honest_threshold.reason
            if isinstance(self.honest_threshold, Undefined)
            else f"a false-positive rate of {100 * self.alpha:g} %{together} takes {self.honest_threshold:.3g}"
        )
        return f"'{gate.rule}' is passed by chance in {_percent(gate.false_positive_rate)} of studies{many}; {needed}"

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        needed = self.honest_threshold
        return {
            "answer": self.answer,
            "gate": self.gate.as_dict(),
            "alpha": self.alpha,
            "honest_threshold": needed.as_dict() if isinstance(needed, Undefined) else needed,
            "power": [asdict(one) for one in self.power],
        }


def judge_correlation(
    threshold: float,
    points: int,
    *,
    statistic: Correlation = "spearman",
    sides: Sides = "greater",
    scalars: int = 1,
    alpha: float = 0.05,
    seed: int = 0,
) -> GateAnswer:
    """The gate "correlation >= threshold" over so many points, and its power at true correlations of .5, .7 and .9.

    Raises:
        InputError: fewer than 3 points, a threshold outside (0, 1], or alpha outside (0, .5).

    Trust: points untied and independent; power is Monte Carlo for bivariate normal points, to two digits.
    """
    _require_alpha(alpha)
    power = (
        correlation_gate_power(statistic, threshold, points, truth, alternative=sides, seed=seed) for truth in TRUTHS
    )
    return GateAnswer(
        gate=correlation_gate(statistic, threshold, points, alternative=sides, scalars=scalars, seed=seed),
        alpha=alpha,
        honest_threshold=correlation_threshold(statistic, points, alpha=alpha / scalars, alternative=sides, seed=seed),
        power=tuple(GatePower(truth=truth, power=chance) for truth, chance in zip(TRUTHS, power, strict=True)),
    )


def judge_accuracy(
    threshold: float, documents: int, *, chance: float, scalars: int = 1, alpha: float = 0.05
) -> GateAnswer:
    """The gate "accuracy >= threshold" on held-out documents, where guessing hits `chance`.

    Raises:
        InputError: a share outside (0, 1), no document, or alpha outside (0, .5).

    Trust: documents independent; near-duplicates make the true rate larger.
    """
    _require_alpha(alpha)
    gate = accuracy_gate(threshold, documents, chance=chance, scalars=scalars)

    def silence(hits: int) -> float:
        return -accuracy_gate(hits / documents, documents, chance=chance).false_positive_rate

    hits = 1 + bisect_left(range(1, documents + 1), -alpha / scalars, key=silence)
    impossible = Undefined(
        reason=f"{documents} documents cannot show it at alpha={alpha:g}: even all right is likelier by chance"
    )
    return GateAnswer(gate=gate, alpha=alpha, honest_threshold=hits / documents if hits <= documents else impossible)


def judge_shift(
    sigmas: float, pipelines: int, *, sides: Sides = "two-sided", scalars: int = 1, alpha: float = 0.05
) -> GateAnswer:
    """The gate "the mean moved by >= sigmas sd" with so many pipelines in each arm, the sd taken from the control arm.

    Raises:
        InputError: fewer than 2 pipelines, a shift that is not positive, or alpha outside (0, .5).

    Trust: pipelines independent, normal, of equal sd in both arms.
    """

    def rate(shift: float) -> float:
        return shift_gate(shift, treated=pipelines, control=pipelines, alternative=sides).false_positive_rate

    _require_alpha(alpha)
    gate = shift_gate(sigmas, treated=pipelines, control=pipelines, alternative=sides, scalars=scalars)
    needed = float(brentq(lambda shift: rate(shift) - alpha / scalars, 1e-9, _LARGEST_SHIFT))
    return GateAnswer(gate=gate, alpha=alpha, honest_threshold=needed)


def _require_alpha(alpha: float) -> None:
    if not 0 < alpha < 0.5:
        raise InputError(f"alpha={alpha} must lie strictly between 0 and 0.5: 0.05 is usual.")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share >= 1e-4 or share == 0 else "less than 0.01 %"
