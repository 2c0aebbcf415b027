"""One look for each arm of the experiment, the same on every chart: a colour-blind-safe colour and a dash."""

from collections.abc import Iterable
from dataclasses import dataclass

from imprint.report.model import ReportData
from imprint.report.wording import visible

COLORS = 8
_DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (6, 3), (2, 2), (9, 3, 2, 3))


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """How an arm is named on the page and drawn: a CSS colour variable and an SVG dash pattern ((1, 0) is solid)."""

    name: str
    color: str
    dash: tuple[int, ...]


def arms(data: ReportData) -> dict[str, Arm]:
    """Every arm by its name in the data, those of the trajectories, then of the effects, in order of appearance.

    Neighbours differ in colour and dash, so they stay apart in black and white; from the ninth arm on only the
    pair (colour, dash) is unique.
    """
    return looks([*(point.arm for point in data.trajectories), *(row.arm for row in data.effects)])


def looks(names: Iterable[str]) -> dict[str, Arm]:
    """The look of each arm, in order of appearance."""
    return {name: _arm(name, place) for place, name in enumerate(dict.fromkeys(names))}


def _arm(name: str, place: int) -> Arm:
    """The look of the arm at a place in the order."""
    dash = _DASHES[(place + place // COLORS) % len(_DASHES)]
    return Arm(name=visible(name), color=f"var(--arm-{place % COLORS})", dash=dash)
