"""The verdict of a registered gate: an estimate at or beyond a threshold, which chance alone rarely reaches."""

from imprint.errors import InputError
from imprint.stats.effects import Effect
from imprint.stats.hypotheses import Hypothesis, Verdict, VerdictWord, written


def judge_gate(hypothesis: Hypothesis, effect: Effect, p: float, *, power: float | None = None) -> Verdict:
    """The verdict of "metric >= threshold": supported if the estimate reaches it and p, of no effect at all, is <= alpha.

    Refuted if the whole interval lies below the threshold; otherwise inconclusive. `power` is the design's own, if known.

    Raises:
        InputError: p is not in [0, 1], the metric is another one, or the direction is not "greater".

    Trust: weaker than `judge`, whose interval must lie beyond the threshold: use it where a study registered a gate on
    the estimate (a correlation over 5 conditions has no interval that would), and read the gate's own false-positive rate.
    """
    if not 0 <= p <= 1:
        raise InputError(f"p={p} for {hypothesis.id} is not a p-value: it must lie in [0, 1].")
    if hypothesis.direction != "greater" or (effect.metric and effect.metric != hypothesis.metric):
        raise InputError(
            f"{hypothesis.id} is registered as '{hypothesis.direction}' for '{hypothesis.metric}', the effect is of"
            f" '{effect.metric}': a gate judges 'greater' on the metric that was registered."
        )
    word, reason = _word(hypothesis, effect, p)
    return written(hypothesis, effect, p, word, reason, power=power)


def _word(hypothesis: Hypothesis, effect: Effect, p: float) -> tuple[VerdictWord, str]:
    reached = effect.estimate >= hypothesis.threshold
    found = f"{effect.estimate:.3g} {'reaches' if reached else 'does not reach'} {hypothesis.threshold:g}"
    level = f"p={p:.3g} {'<=' if p <= hypothesis.alpha else '>'} {hypothesis.alpha:g}"
    if reached and p <= hypothesis.alpha:
        return "supported", f"{found} and {level}"
    if reached:
        return "inconclusive", f"{found}, but {level}: chance gives as much"
    if effect.high < hypothesis.threshold and effect.has_width:
        return "refuted", f"{found}, nor does the {effect.level:.0%} interval's upper end {effect.high:.3g}"
    return "inconclusive", f"{found}, but the interval does, up to {effect.high:.3g} ({level})"
