"""A number with its interval as a small inline picture: no script needed, prints, and the words stand beside it."""

from collections.abc import Sequence

from markupsafe import Markup

_WIDTH, _HEIGHT, _PAD = 132.0, 18.0, 6.0
_DASH = Markup('<line class="reference" x1="{}" x2="{}" y1="0" y2="{}"/>')
_PICTURE = Markup(
    '<svg class="interval {}" viewBox="0 0 {} {}" aria-hidden="true" focusable="false">{}'
    '<line class="whisker" x1="{}" x2="{}" y1="{}" y2="{}"/><circle cx="{}" cy="{}" r="4"/></svg>'
)


def interval_plot(
    estimate: float | int | None,
    low: float | int | None = None,
    high: float | int | None = None,
    *,
    references: Sequence[float | int] = (0.0,),
    span: Sequence[float | int] = (),
) -> Markup:
    """An SVG of the estimate, its interval and dashed reference lines; `span` are values that the axis must cover."""
    if estimate is None:
        return Markup()
    low, high = (estimate if low is None else low), (estimate if high is None else high)
    covered = [estimate, low, high, *references, *span]
    place = _Axis(min(covered), max(covered)).place
    clear = not any(low <= line <= high for line in references)
    dashes = Markup().join(_DASH.format(place(line), place(line), _HEIGHT) for line in references)
    return _PICTURE.format(
        "clear" if clear else "unclear", _WIDTH, _HEIGHT, dashes,
        place(low), place(high), _HEIGHT / 2, _HEIGHT / 2, place(estimate), _HEIGHT / 2,
    )  # fmt: skip


class _Axis:
    """A linear axis across the picture."""

    def __init__(self, low: float | int, high: float | int) -> None:
        """Cover low..high; a single value sits in the middle."""
        self._low, self._span = (low, high - low) if high > low else (low - 0.5, 1.0)

    def place(self, value: float | int) -> float:
        """The horizontal position of a value."""
        return round(_PAD + (value - self._low) / self._span * (_WIDTH - 2 * _PAD), 1)
