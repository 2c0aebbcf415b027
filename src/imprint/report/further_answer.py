"""The further lines of the answer of a mechanism study: necessary, sufficient, specific, across sizes, synthetic text."""

import math

from imprint.capabilities import PERPLEXITY, RECALL
from imprint.report.wording import interval, number, percent
from imprint.stats import Effect, Undefined
from imprint.studies import KEEP, LOG_ONSET, ArmEffect, MechanismResult
from imprint.studies.mechanism.gains import Gain
from imprint.studies.mechanism.metrics import OTHER_HEADS

LARGEST_Q = 0.05
"""After Benjamini-Hochberg over the domains."""


def further_lines(result: MechanismResult) -> tuple[str, ...]:
    """One line a question that the study asked beyond the five; none for a study of one size without synthetic text."""
    lines = []
    if result.study.scales or result.study.augmentation:
        lines += [_domains(result), _necessary(result), _sufficient(result), _specific(result)]
    if result.scales:
        lines.append(_sizes(result))
    if result.gains:
        lines.append(_synthetic(result))
    if result.study.downstream:
        lines.append(_downstream(result))
    return tuple(line for line in lines if line)


def _domains(result: MechanismResult) -> str:
    """Which natural domains are over-represented among the highest-ranked natural documents; an association only."""
    if result.character is None:
        return ""
    pool = result.character.pools[-1]  # the natural documents alone, where anything is planted beside them
    found = sorted(
        (one for one in pool.domains if one.enrichment.low > 1 and one.q <= LARGEST_Q),
        key=lambda one: -one.enrichment.estimate,
    )
    words = ", ".join(
        f"{one.category} x{number(one.enrichment.estimate)} {interval(one.enrichment.low, one.enrichment.high)}"
        for one in found
    )
    return (
        f"Which domains? Of the top {percent(result.character.fraction)} of {number(pool.documents)} {pool.pool}, more than by"
        f" their share (control: all of them; n {number(pool.top)}): {words or 'none'}."
    )


def _necessary(result: MechanismResult) -> str:
    parts = [
        f"{_shift(found)} when the top {percent(result.study.interventions.fraction)} is {word}"
        for arm, word in (("delete", "masked"), ("replace", "replaced by others"))
        if (found := _find(result, f"{arm}_top", f"{arm}_random", LOG_ONSET))
    ]
    return f"Necessary? Emergence shifts by {'; by '.join(parts)}, against as many random documents."


def _sufficient(result: MechanismResult) -> str:
    found = _find(result, "duplicate_top", "duplicate_random", LOG_ONSET)
    alone = _find(result, "duplicate_random", KEEP, LOG_ONSET)
    if found is None or alone is None:
        return ""
    return (
        f"Sufficient? Showing them twice shifts emergence by {_shift(found)} against random documents shown twice (those"
        f" alone: {_shift(alone)})."
    )


def _specific(result: MechanismResult) -> str:
    ladder = [
        f"{item.arm.removeprefix('delete_')} {_shift(item)}"
        for item in result.effects
        if item.is_control and item.metric == LOG_ONSET and item.control == KEEP and item.arm in _ladder(result)
    ]
    others = _find(result, "delete_top", "delete_random", OTHER_HEADS)
    heads = "" if others is None else f"; the other heads' prefix matching changes by {_plain(others.effect)}"
    before = _find(result, "delete_top", "delete_random", "previous_token")
    heads += "" if before is None else f", attention to the previous token by {_plain(before.effect)}"
    alike = _find(result, "delete_top", "delete_domain", LOG_ONSET)
    kind = "" if alike is None else f" Against others of the same domains the top shifts it by {_shift(alike)}."
    return f"Specific? Controls of the same size shift emergence by: {', '.join(ladder)}{heads}.{kind}"


def _ladder(result: MechanismResult) -> set[str]:
    return {f"delete_{kind}" for kind in ("random", *result.study.interventions.controls)}


def _sizes(result: MechanismResult) -> str:
    own = result.study.scale
    parts = []
    for one in result.scales:
        at = "" if one.name == own else f"@{one.name}"
        found = _find(result, f"delete_top{at}", f"delete_random{at}", LOG_ONSET)
        theirs = _find(result, f"delete_smallest{at}", f"delete_random{at}", LOG_ONSET)
        if found is None:
            continue
        transferred = "" if theirs is None else f", the smallest model's documents {_shift(theirs)}"
        parts.append(f"{one.name} ({number(one.parameters)} parameters) {_shift(found)}{transferred}")
    return f"Across sizes? Deleting the top documents shifts emergence by: {'; '.join(parts)}."


def _synthetic(result: MechanismResult) -> str:
    parts = []
    for size in dict.fromkeys(one.scale for one in result.gains):
        told = []
        for moment in ("transition", "end"):
            of = {one.arm: one for one in result.gains if (one.scale, one.moment) == (size, moment)}
            if of:
                written = of.get("synthetic_smallest", of["synthetic"])
                told.append(f"{_gain(written)} at the {moment} (its words shuffled {_gain(of['synthetic_shuffled'])})")
        parts.append(f"{size or 'own'} {', '.join(told)}, n {_count(written)}")
    return (
        f"Synthetic text? Relative gain of strength with the smallest model's motifs: {'; '.join(parts)}. Inside a steep"
        " transition a small shift in time is a large gain."
    )


def _downstream(result: MechanismResult) -> str:
    """What the edits cost elsewhere; none where nothing was measured downstream."""
    parts = []
    for metric, words in ((PERPLEXITY, "perplexity of foreign text"), (RECALL, "recall of the training text")):
        for arm in ("delete_top", "synthetic"):
            found = _find(result, arm, KEEP, metric)
            if found is not None:
                parts.append(f"{words} by {_plain(found.effect)} with {arm}")
    return f"At what cost? Against the untouched runs the edits change {'; '.join(parts)}." if parts else ""


def _count(one: Gain) -> str:
    return "0" if isinstance(one.gain, Undefined) else str(one.gain.n)


def _gain(one: Gain) -> str:
    if isinstance(one.gain, Undefined):
        return f"unknown ({one.gain.reason})"
    return f"{one.gain.estimate:+.0%} [{one.gain.low:+.0%}, {one.gain.high:+.0%}]"


def _find(result: MechanismResult, arm: str, control: str, metric: str) -> ArmEffect | None:
    wanted = (arm, control, metric)
    return next((item for item in result.effects if (item.arm, item.control, item.metric) == wanted), None)


def _shift(item: ArmEffect) -> str:
    """A shift in log steps as a percentage, with its interval and n."""
    low, middle, high = (math.expm1(value) for value in (item.effect.low, item.effect.estimate, item.effect.high))
    if not item.censored_arm and not item.censored_control:
        return f"{middle:+.0%} [{low:+.0%}, {high:+.0%}] (n {item.effect.n})"
    ended = f"{item.censored_arm} of {item.arm} and {item.censored_control} of {item.control} of {item.effect.n} runs"
    bound = "at most" if not item.censored_arm else "at least" if not item.censored_control else "about"
    return f"{bound} {middle:+.0%} (no interval: {ended} ended before emergence)"


def _plain(effect: Effect) -> str:
    return f"{number(effect.estimate)} {interval(effect.low, effect.high)} (n {effect.n})"
