"""Does a published summary follow from the published cells? Medians, ranges and their ratio, up to rounding."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from imprint.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedCheck:
    """A published number beside the one that its cells give."""

    what: str
    published: float
    recomputed: float
    low: float
    """Smallest value that unrounded cells could give, with the rounding of the published number itself."""
    high: float
    consistent: bool
    explanation: str
    """What the published number is instead, where that can be seen; empty when consistent."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return asdict(self)


def check_median(cells: Sequence[str], published: str, *, what: str) -> PublishedCheck:
    """Whether `published` is the median of `cells`, both as printed ("1.82"), so that their rounding is known.

    Raises:
        InputError: no cells, or one that is not a plain number.
    """
    values, room = _read(cells)
    number, own = _read([published])
    median = float(np.median(values))
    return _check(what, float(number[0]), median, median - room - own, median + room + own, _place(values, number[0]))


def check_range(low: str, high: str, published: str, *, what: str) -> PublishedCheck:
    """Whether `published` is `high` - `low`, all as printed.

    Raises:
        InputError: a string that is not a plain number.
    """
    ends, room = _read([low, high])
    number, own = _read([published])
    span = float(ends[1] - ends[0])
    return _check(
        what, float(number[0]), span, span - 2 * room - own, span + 2 * room + own, "not the range of the ends"
    )


def check_range_ratio(cells: Sequence[str], span: str, published: str, *, what: str) -> PublishedCheck:
    """Whether `published` is the range `span` over the median of the standard deviations `cells`, all as printed.

    Raises:
        InputError: no cells, a string that is not a plain number, or a median of 0 or less.
    """
    values, room = _read(cells)
    top, top_room = _read([span])
    number, own = _read([published])
    median = float(np.median(values))
    if median - room <= 0:
        raise InputError(f"{what}: the median standard deviation {median} rounds to 0, so no ratio can be checked.")
    used = next((cell for cell in sorted(set(values)) if abs(float(top[0]) / cell - float(number[0])) <= 2 * own), None)
    explanation = "no cell gives it" if used is None else f"it is {span} over {used:g}, {_place(values, used)}"
    return _check(
        what,
        float(number[0]),
        float(top[0]) / median,
        (float(top[0]) - top_room) / (median + room) - own,
        (float(top[0]) + top_room) / (median - room) + own,
        explanation,
    )


def _check(what: str, published: float, recomputed: float, low: float, high: float, otherwise: str) -> PublishedCheck:
    slack = 1e-9 * max(abs(low), abs(high))
    consistent = low - slack <= published <= high + slack
    return PublishedCheck(
        what=what,
        published=published,
        recomputed=recomputed,
        low=low,
        high=high,
        consistent=consistent,
        explanation="" if consistent else otherwise,
    )


def _place(values: list[float], number: float) -> str:
    rank = sum(value < number for value in values) + 1
    return f"number {rank} of the {len(values)} cells in ascending order" if number in values else "none of the cells"


def _read(printed: Sequence[str]) -> tuple[list[float], float]:
    """The values, and half a unit of the last printed digit of the coarsest one."""
    if not printed:
        raise InputError("There are no cells to check a published number against: copy them as printed.")
    try:
        numbers = [Decimal(text.strip().rstrip("×x%")) for text in printed]
    except ArithmeticError as error:
        raise InputError(
            f"{list(printed)} are not all plain numbers: copy them as printed, such as '0.021'."
        ) from error
    exponents = [number.as_tuple().exponent for number in numbers]
    places = max(exponent for exponent in exponents if isinstance(exponent, int))
    return [float(number) for number in numbers], 0.5 * 10.0**places
