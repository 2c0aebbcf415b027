"""How many rows and queries go at a time, so that an attribution stays within a stated amount of memory."""

import re
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from imprint.attribution.engine.ekfac import EkfacOptions
from imprint.attribution.engine.subspace import Subspace, weight_matrix
from imprint.errors import ConfigError
from imprint.models import Anatomy
from imprint.models.unembedding import chunk_logits

_LARGEST_BATCH, _FEW_ROWS, _EASY_ROWS = 64, 4, 8
_SLACK = 1.3
"""What the allocator holds beyond what is in use (measured on GPT-NeoX 6 x 128: a plan of 230 MB peaks at 291 MB)."""
_EIGENVALUES, _WIDE_QUERIES = 12, 4
"""Bytes a parameter of the eigenvalues and their halves; queries whose gradients are held in full precision at a time."""
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)i?B?\s*", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes of a size such as "4GB", "512MiB" or a plain number of bytes; units are powers of 1024.

    Raises:
        ConfigError: it is not a positive size.
    """
    match = _SIZE.fullmatch(text)
    size = 0 if match is None else int(float(match[1]) * _UNITS[match[2].upper()])
    if size <= 0:
        raise ConfigError(f"'{text}' is not an amount of memory; write for example 4GB or 512MB")
    return size


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryPlan:
    """What fits: rows of a batch, queries of a pass, and bytes of activations kept between the passes over the rows."""

    fit_batch: int
    """While factors are fitted, when no query takes room."""
    batch: int
    queries: int
    keep_bytes: int


def plan_memory(
    budget: int,
    model: PreTrainedModel,
    subspace: Subspace,
    *,
    seq: int,
    queries: int,
    fit_rows: int,
    options: EkfacOptions,
    directions: int = 1,
) -> MemoryPlan:
    """A plan for `budget` bytes beyond the model itself.

    Activations of all `fit_rows` are kept where they fit; `directions` a query are scored along (2 with the plain one).

    Raises:
        ConfigError: not even one row and one query fit; the sentence says how much would do.
    """
    item = (torch.bfloat16 if options.precision == "bfloat16" else model.dtype).itemsize
    shapes = [subspace.block_shape(block) for block in subspace.blocks]
    parameters = sum(out * into for out, into in shapes)
    inputs = {block.input_key: into for block, (_, into) in zip(subspace.blocks, shapes, strict=True)}
    outputs = {block.output_key: out for block, (out, _) in zip(subspace.blocks, shapes, strict=True)}
    sides = [*inputs.values(), *outputs.values()]
    copy = 0 if item == model.dtype.itemsize else sum(p.numel() for p in model.parameters()) * item
    bases = sum(side * side for side in sides) * (8 + item) + 3 * max(sides) ** 2 * 8
    usable = budget / _SLACK
    chunks = 3 * chunk_logits(model.device) * item
    wide = _WIDE_QUERIES * model.dtype.itemsize * parameters
    fitting = copy + bases + _EIGENVALUES * parameters + chunks
    scoring = copy + bases // 2 + _EIGENVALUES * parameters + chunks + wide
    a_query = parameters * item * directions
    a_row = _row_bytes(model, seq, item) + seq * sum(sides) * 2 * item + 2 * item * max(o * i for o, i in shapes)
    needed = max(fitting, scoring + a_query) + a_row
    if needed > usable:
        raise ConfigError(
            f"{_words(budget)} of memory cannot hold one row of {seq} tokens and one query over {parameters:,} parameters;"
            f" give at least {_words(int(needed * _SLACK) + 1)}, fewer layers, or a head"
        )
    together = max(1, min(queries, int((usable - scoring - _FEW_ROWS * a_row) // a_query)))
    held = sum(sum(weight_matrix(module).shape) for module in subspace.modules.values())
    kept = int(_SLACK * fit_rows * seq * held * item)
    if usable - fitting - kept < _EASY_ROWS * a_row:
        kept = 0
    fit_batch = _rows(usable - fitting - kept, a_row)
    return MemoryPlan(
        fit_batch=fit_batch,
        batch=_rows(usable - scoring - together * a_query, a_row),
        queries=together,
        keep_bytes=kept,
    )


def _rows(left: float, a_row: int) -> int:
    return int(max(1, min(_LARGEST_BATCH, left // a_row)))


def _row_bytes(model: PreTrainedModel, seq: int, item: int) -> int:
    """A generous estimate of the graph of one row: states of every block, and its attention patterns."""
    anatomy = Anatomy(model)
    states = 40 * anatomy.d_model * item
    patterns = anatomy.num_heads * seq * (2 * item + 4)
    return seq * anatomy.num_layers * (states + patterns)


def _words(size: int) -> str:
    return f"{-(-size // (1 << 20))}MB"
