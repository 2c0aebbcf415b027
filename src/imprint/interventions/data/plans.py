"""Data interventions as explicit edits of the ordered training stream: delete, replace, duplicate, insert.

Every edit works on row indices of a packed corpus inside a window of steps and leaves everything outside the window, and
the order of all rows it does not touch, exactly as it was, so that arms differ by the edit alone.
"""

from collections.abc import Sequence
from dataclasses import replace as _with
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from imprint.corpus import Stream
from imprint.errors import ConfigError

Budget = Literal["constant", "additive"]
"""Whether inserted rows take the place of other rows (constant) or make the run longer (additive)."""

Window = tuple[int, int]
"""First step of the edit and the step after its last."""


def occurrences(stream: Stream, rows: Int[np.ndarray, "n"], window: Window) -> Bool[np.ndarray, "step batch"]:
    """Where in the stream any of `rows` is presented inside the window."""
    first, last = _checked(stream, window)
    found = np.zeros(stream.rows.shape, dtype=bool)
    found[first:last] = np.isin(stream.rows[first:last], rows)
    return found


def delete(stream: Stream, rows: Int[np.ndarray, "n"], window: Window) -> Stream:
    """The stream with the loss of `rows` masked inside the window; order and every other row stay as they were."""
    weights = stream.weights.copy()
    weights[_found(stream, rows, window)] = 0.0
    return _with(stream, weights=weights)


def replace(
    stream: Stream, rows: Int[np.ndarray, "n"], by: Int[np.ndarray, "m"], window: Window, *, seed: int
) -> Stream:
    """The stream with every presentation of `rows` in the window replaced by a random row of `by` (same token budget)."""
    if len(by) == 0 or np.isin(by, rows).any():
        raise ConfigError(
            f"rows cannot be replaced by {len(by)} rows of which {int(np.isin(by, rows).sum())} are to be replaced"
            " themselves; give at least one row, and only others"
        )
    found = _found(stream, rows, window)
    edited = stream.rows.copy()
    edited[found] = _cycle(by, int(found.sum()), seed)
    return _with(stream, rows=edited)


def duplicate(
    stream: Stream,
    rows: Int[np.ndarray, "n"],
    window: Window,
    *,
    presentations: int,
    budget: Budget,
    seed: int,
) -> Stream:
    """The stream with `presentations` extra presentations of `rows` inside the window.

    With a constant budget they overwrite random presentations of other rows; with an additive one they come as extra
    batches spread evenly over the window, and the run gets longer by `ceil(presentations / batch)` steps (the last extra
    batch is filled up by going round `rows` again). Rows that the stream never showed before are inserted the same way.
    """
    first, last = _checked(stream, window)
    if presentations < 1 or len(rows) == 0:
        raise ConfigError(f"nothing to insert: {presentations} presentations of {len(rows)} rows; ask for at least one")
    if budget == "constant":
        return _overwrite(stream, rows, (first, last), presentations, seed)
    return _lengthen(stream, rows, (first, last), presentations, seed)


def _overwrite(stream: Stream, rows: Int[np.ndarray, "n"], window: Window, presentations: int, seed: int) -> Stream:
    free = ~np.isin(stream.rows, rows) & (stream.weights > 0)  # on a masked place they would be seen by nobody
    free[: window[0]] = False
    free[window[1] :] = False
    slots = np.flatnonzero(free)
    if presentations > len(slots):
        raise ConfigError(
            f"{presentations} extra presentations do not fit the {len(slots)} presentations of other rows in steps"
            f" {window[0]}..{window[1]}; ask for fewer, widen the window, or use budget='additive'"
        )
    chosen = np.random.default_rng(seed).permutation(slots)[:presentations]
    edited = stream.rows.copy()
    edited.reshape(-1)[np.sort(chosen)] = _cycle(rows, presentations, seed)
    return _with(stream, rows=edited)


def _lengthen(stream: Stream, rows: Int[np.ndarray, "n"], window: Window, presentations: int, seed: int) -> Stream:
    batch = stream.rows.shape[1]
    extra_steps = -(-presentations // batch)
    extra = _cycle(rows, extra_steps * batch, seed).reshape(extra_steps, batch)
    where = np.linspace(window[0], window[1], extra_steps, endpoint=False).astype(np.int64)
    weights = np.ones((extra_steps, batch), dtype=stream.weights.dtype)
    return _with(
        stream,
        rows=np.insert(stream.rows, where, extra, axis=0),
        weights=np.insert(stream.weights, where, weights, axis=0),
    )


def _cycle(rows: Int[np.ndarray, "n"], count: int, seed: int) -> Int[np.ndarray, "count"]:
    """`count` draws from `rows`: whole random permutations one after the other, so that each row comes equally often."""
    generator = np.random.default_rng(seed)
    rounds: Sequence[np.ndarray] = [generator.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate(rounds)[:count].astype(np.int32) if rounds else np.zeros(0, dtype=np.int32)


def _found(stream: Stream, rows: Int[np.ndarray, "n"], window: Window) -> Bool[np.ndarray, "step batch"]:
    found = occurrences(stream, rows, window)
    if not found.any():
        raise ConfigError(
            f"none of the {len(rows)} rows occurs in steps {window[0]}..{window[1]} of the stream, so the edit would"
            " change nothing; widen the window or choose other rows"
        )
    return found


def _checked(stream: Stream, window: Window) -> Window:
    first, last = window
    if not 0 <= first < last <= len(stream.rows):
        raise ConfigError(f"window {first}..{last} does not lie within the {len(stream.rows)} steps of the stream")
    return first, last
