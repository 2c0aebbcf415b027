"""What must have been seen before one may say that no arm will cross: a forecast of giving up is only as good as its kinship.

Where sizes tell arms apart, the curves of all are tied by a law and one arm's end is enough. Without sizes nothing but kinship
ties them, and kinship is what early scores cannot show: so the best and the worst start are followed to their ends, and if
an ended arm still moved late, no early score bounds where another ends, and every arm that can be paid for is ended.
"""

from collections.abc import Sequence

from imprint.emergence.allocation.arms import Ledger

MOST_DEVIATIONS = 5.0
"""A late gain of an ended arm beyond this many standard errors says that early scores do not bound ends."""


def arm_to_end_first(ledger: Ledger) -> int | None:
    """The arm to go on with before giving up; None if enough has been seen, or if the budget ends no further arm."""
    ends = _ends_in_reach(ledger)
    ended = [number for number, arm in enumerate(ledger.arms) if ledger.depth(number) == arm.depth]
    if not ended or not ends:
        return None if ended else min(ends, key=ends.__getitem__, default=None)
    sizes = {arm.size for arm in ledger.arms}
    if None not in sizes and len(sizes) > 1:
        return None
    unseen = [number for number in ends if not ledger.depth(number)]
    if unseen:
        return unseen[0]
    extremes = [number for number in _extremes(ledger) if number in ends]
    if extremes:
        return extremes[0]
    return min(ends, key=ends.__getitem__) if moved_late(ledger, ended) else None


def moved_late(ledger: Ledger, ended: Sequence[int]) -> bool:
    """Whether an ended arm moved, from half of its training on, beyond its errors."""
    for number in ended:
        gain = ledger.latest(number) - ledger.latest(number, max(1, ledger.depth(number) // 2))
        if abs(gain) > MOST_DEVIATIONS * max(reading.stderr for reading in ledger.readings[number]):
            return True
    return False


def _extremes(ledger: Ledger) -> list[int]:
    """The arms of the least and of the greatest score at the depth that all begun arms have."""
    begun = [number for number in range(len(ledger.arms)) if ledger.depth(number)]
    depth = min(ledger.depth(number) for number in begun)
    scores = {number: ledger.latest(number, depth) for number in begun}
    return [min(scores, key=scores.__getitem__), max(scores, key=scores.__getitem__)]


def _ends_in_reach(ledger: Ledger) -> dict[int, float]:
    """What ending each arm still costs, for those not ended that the budget can end."""
    return {
        number: ledger.arms[number].cost_to(ledger.arms[number].depth) - ledger.spent_on(number)
        for number in ledger.affordable()
        if ledger.reach(number) == ledger.arms[number].depth
    }
