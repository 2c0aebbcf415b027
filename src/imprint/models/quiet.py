"""Silence for transformers' own progress bars, which would break through ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers.utils import logging


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the progress bars of transformers while the block lasts."""
    shown = logging.is_progress_bar_enabled()
    bars: Any = logging
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()
