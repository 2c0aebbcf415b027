"""Array types shared by all layers: jaxtyping names, checked at run time in tests and free in production.

Legend: row = packed sequence, seq = position, doc = document, head = attention head.
"""

from collections.abc import Callable

Advance = Callable[[int], None]
"""Called with the number of units of work just finished (steps, rows, documents)."""


def no_progress(units: int) -> None:
    """Ignore progress: the default `Advance`."""
