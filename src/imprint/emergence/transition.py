"""Where in a run a mechanism forms: the steps of its rise, and the checkpoints inside it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

LEAST_RISE = 0.1
"""A strength that never rises by more than this has no transition."""


def inside_transition(steps: Sequence[int], strength: Sequence[float]) -> int:
    """The checkpoint inside the transition: of those that enclose the rise, the one nearest to half of the peak's strength.

    Before the transition trivial scores win, after it the head no longer learns (METHODS §2.5). The first of equals; the
    peak where nothing rises to it.
    """
    values = np.asarray(strength, dtype=np.float64)
    first, last = _enclosing(values, 0.1, 0.9) or (int(values.argmax()), int(values.argmax()))
    distance = np.abs(values[first : last + 1] - 0.5 * values.max())
    return int(steps[first + int(distance.argmin())])


def transition_window(
    steps: Sequence[int],
    strength: Sequence[float],
    *,
    low: float = 0.1,
    high: float = 0.9,
    least: float = LEAST_RISE,
) -> tuple[int, int] | None:
    """The checkpoints that enclose the rise of a strength, or None where it never rises by more than `least`.

    The rise goes from the lowest strength before the peak to the peak. The first checkpoint is the last one at or below the
    `low` share of it before it is half done, the last is the first one at or above the `high` share after that.
    `steps` are in order.
    Trust: two checkpoints bracket each end; a strength that was high from the first step on has no transition here.
    """
    values = np.asarray(strength, dtype=np.float64)
    ends = _enclosing(values, low, high)
    if ends is None or values.max() - values[: int(values.argmax()) + 1].min() <= least:
        return None
    return int(steps[ends[0]]), int(steps[ends[1]])


def transition_checkpoints(steps: Sequence[int], strength: Sequence[float], count: int) -> tuple[int, ...]:
    """Up to `count` checkpoints strictly inside `transition_window`, spread evenly, in order; none without a transition.

    The checkpoint of `inside_transition` is always among them; where the rise is so steep that no other lies between its
    ends, it is the only one.
    """
    window = transition_window(steps, strength)
    if window is None or count < 1:
        return ()
    middle = inside_transition(steps, strength)
    within = [int(step) for step in steps if window[0] < step < window[1] or step == middle]
    if count == 1:
        return (middle,)
    places = np.linspace(0, len(within) - 1, min(count, len(within))).round().astype(int)
    centre = within.index(middle)
    if centre not in places:
        replaced = places[1:-1] if len(places) > 2 else places
        replaced[int(np.abs(replaced - centre).argmin())] = centre
    return tuple(within[place] for place in sorted(set(places.tolist())))


def _enclosing(values: Float[np.ndarray, "checkpoint"], low: float, high: float) -> tuple[int, int] | None:
    """The places between which the values rise from the `low` to the `high` share of the way to the peak; None: no rise."""
    peak = int(values.argmax())
    floor = float(values[: peak + 1].min())
    if values[peak] == floor:
        return None
    risen = (values - floor) / (values[peak] - floor)
    begin = int(risen[: peak + 1].argmin())
    half = begin + int(np.argmax(risen[begin:] >= 0.5))
    return int(np.flatnonzero(risen[:half] <= low)[-1]), half + int(np.argmax(risen[half:] >= high))
