"""Silence for transformers' own progress bars, which would break through ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from transformers import modeling_gguf_pytorch_utils
from transformers.utils import logging


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the progress bars of transformers while the block lasts."""
    shown = logging.is_progress_bar_enabled()
    bars: Any = logging
    bars.disable_progress_bar()
    converting: Any = modeling_gguf_pytorch_utils
    bar = converting.tqdm  # the one bar that does not ask whether bars are wanted
    converting.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        converting.tqdm = bar
        if shown:
            bars.enable_progress_bar()
