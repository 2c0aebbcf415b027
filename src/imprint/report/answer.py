"""The answer of a mechanism study in five plain lines."""

import math

from imprint.stats import RUNGS, Effect
from imprint.studies import (
    CAPABILITY,
    FIFTEEN_PERCENT,
    KEEP,
    LOG_ONSET,
    NOVEL_REPEATS,
    ArmEffect,
    MechanismResult,
    basis,
)


def answer_lines(result: MechanismResult) -> tuple[str, ...]:
    """Which data, through what, how we know, what does not matter, and how far the claim stands."""
    return (_data(result), _mechanism(result), _causal(result), _natural(result), _standing(result))


def _data(result: MechanismResult) -> str:
    share = result.study.interventions.fraction
    first = max(result.domains, key=lambda domain: domain.top_share)
    return (
        f"Which data? {first.top_share:.0%} of the top {share:.0%} of documents by {basis(result.study.ranking)} are"
        f" '{first.domain}'"
        f" ({first.corpus_share:.0%} of the corpus){_beaten(result)}."
    )


def _beaten(result: MechanismResult) -> str:
    """How the ranking and the best cheap baseline separate the planted cause."""
    question = f"{NOVEL_REPEATS} against all other documents"
    rows = [row for row in result.methods if row.question == question]
    if not rows:
        return ""
    ours = next(row.value for row in rows if row.method == result.study.ranking)
    best = max((row for row in rows if row.baseline), key=lambda row: row.value)
    return f"; AUC of '{NOVEL_REPEATS}' {ours:.2f}, best cheap baseline {best.value:.2f} ({best.method})"


def _mechanism(result: MechanismResult) -> str:
    head = next(row for row in result.location["heads"] if row["head"] == result.head)
    restored = next(row["effect"] for row in result.location["denoising"] if row["head"] == result.head)
    return (
        f"Through what? {result.head}, {head['role'] or 'the strongest candidate'}: prefix matching"
        f" {head['prefix_matching']['estimate']:.2f} (null {result.location['null_prefix_95']:.2f}); ablating it costs"
        f" {head['ablation']['estimate']:.2f} nats a copied token, restoring it brings back {restored['estimate']:.0%}."
    )


def _causal(result: MechanismResult) -> str:
    treated, control = _find(result, "delete_top", "delete_random"), _find(result, "delete_random", KEEP)
    bound = f" ({treated.note})" if treated.note else ""
    return (
        f"Is it causal? Training without them delays emergence by {_percent(treated.effect)}{bound} against random"
        f" documents; random documents against none: {_percent(control.effect)} ({treated.effect.n} seeds)."
    )


def _natural(result: MechanismResult) -> str:
    found = [item for item in result.effects if (item.arm, item.metric) == ("delete_natural", LOG_ONSET)]
    if not found:
        return "Natural text? Not tested in this study."
    effect = found[0].effect
    if effect.low > 0 and not found[0].censored_control:
        moved = "natural text moves the head"
    elif found[0].note:
        moved = f"undecided ({found[0].note})"
    elif effect.low > -FIFTEEN_PERCENT and effect.high < FIFTEEN_PERCENT:
        moved = "natural text does not move the head by as much as 15 %"
    elif effect.excludes_zero:
        moved = "natural text moves the head"
    else:
        moved = "undecided with these seeds"
    return f"Natural text? Deleting its highest-ranked documents shifts emergence by {_percent(effect)}: {moved}."


def _standing(result: MechanismResult) -> str:
    claim = result.claims[0]
    rung = "no rung" if claim.rung is None else f"rung {claim.rung} of 5 ({RUNGS[claim.rung]})"
    words = [verdict.verdict for verdict in result.verdicts]
    counts = ", ".join(f"{words.count(word)} {word}" for word in ("supported", "refuted", "inconclusive"))
    return f"How far? The claim '{CAPABILITY}' stands on {rung}; registered hypotheses: {counts}."


def _find(result: MechanismResult, arm: str, control: str) -> ArmEffect:
    return next(item for item in result.effects if (item.arm, item.control, item.metric) == (arm, control, LOG_ONSET))


def _percent(effect: Effect) -> str:
    """A shift in log steps as a percentage with its interval."""
    low, middle, high = (math.expm1(value) for value in (effect.low, effect.estimate, effect.high))
    return f"{middle:+.0%} [{low:+.0%}, {high:+.0%}]"
