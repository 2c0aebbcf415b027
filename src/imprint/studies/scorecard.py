"""The trust scorecard: its lines, and the tables that show several lines at a glance."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What a method answered to a question whose answer is known, and the bar it had to clear."""

    world: str
    method: str
    question: str
    metric: str
    value: float
    gate: str = ""
    """The bar in words, such as ">= 0.9"; empty when the row is reported without one."""
    passed: bool | None = None

    def as_dict(self) -> dict[str, object]:
        """Plain numbers and words."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """A table for people; every number in it is also the value of a row."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str | float | int, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scorecard:
    """All rows, and the tables that show some of them at a glance."""

    rows: tuple[Row, ...]
    overviews: tuple[Overview, ...] = ()
