"""What must be run to score requests: distinct rows of tokens, the places to read in them, and batches of even length.

A request reads the log-probability of each token of its continuation. Causal: one row, read one position earlier.
Encoder-decoder: the context is the encoder's row. Masked: a row for each token, with that token masked, which sums to the
pseudo-log-likelihood of the continuation given all the rest (Salazar et al. 2020, eq. 1). Requests that feed the same tokens
(options of one token after the same context) share a row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from imprint.capabilities.encoding import Request
from imprint.models.families import Objective


@dataclass(slots=True)
class Row:
    """Tokens of one row and what is read from it: (position, token that should come there, index of the request)."""

    tokens: tuple[int, ...]
    encoder: tuple[int, ...] = ()
    reads: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Its length in tokens, the encoder's where that is longer."""
        return max(len(self.tokens), len(self.encoder))


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Rows of similar length as tensors, padded on the right; `read_*` are parallel, one entry for each token scored.

    `rows` are the ids of its rows: 0, 1, ... over all batches in order.
    """

    rows: Int[Tensor, "batch"]
    input_ids: Int[Tensor, "batch seq"]
    mask: Bool[Tensor, "batch seq"]
    encoder_ids: Int[Tensor, "batch source"] | None
    encoder_mask: Bool[Tensor, "batch source"] | None
    read_row: Int[Tensor, "read"]
    read_position: Int[Tensor, "read"]
    read_target: Int[Tensor, "read"]
    read_request: Int[Tensor, "read"]

    @property
    def num_tokens(self) -> int:
        """Real tokens, without padding."""
        real = int(self.mask.sum())
        return real if self.encoder_mask is None else real + int(self.encoder_mask.sum())


def rows_of(
    requests: Sequence[Request], objective: Objective, *, mask_token: int | None = None, start_token: int = 0
) -> list[Row]:
    """The distinct rows that answer the requests, in the order in which they are first needed."""
    rows: dict[tuple[tuple[int, ...], tuple[int, ...]], Row] = {}
    for index, request in enumerate(requests):
        for wanted in _wanted(request, objective, mask_token, start_token):
            row = rows.setdefault((wanted.tokens, wanted.encoder), Row(wanted.tokens, wanted.encoder))
            row.reads += [(position, token, index) for position, token, _ in wanted.reads]
    return list(rows.values())


def _wanted(request: Request, objective: Objective, mask_token: int | None, start_token: int) -> Iterator[Row]:
    answer = request.continuation
    if objective == "masked":
        assert mask_token is not None
        whole = request.context + answer + request.suffix
        for offset, token in enumerate(answer, start=len(request.context)):
            yield Row((*whole[:offset], mask_token, *whole[offset + 1 :]), reads=[(offset, token, 0)])
    elif objective == "seq2seq":
        reads = [(position, token, 0) for position, token in enumerate(answer)]
        yield Row((start_token, *answer[:-1]), encoder=request.context, reads=reads)
    else:
        reads = [(position, token, 0) for position, token in enumerate(answer, start=len(request.context) - 1)]
        yield Row((request.context + answer)[:-1], reads=reads)


def batches_of(rows: Sequence[Row], *, batch_tokens: int, device: torch.device) -> list[Batch]:
    """Rows by length, longest first, in batches of at most `batch_tokens` tokens with padding (at least one row)."""
    ordered = sorted(rows, key=lambda row: (-row.length, row.tokens, row.encoder))
    groups: list[list[Row]] = []
    for row in ordered:
        if not groups or (len(groups[-1]) + 1) * groups[-1][0].length > batch_tokens:
            groups.append([])
        groups[-1].append(row)
    starts = [0, *accumulate(map(len, groups))]
    return [_batch(group, start, device) for group, start in zip(groups, starts, strict=False)]


def _batch(rows: Sequence[Row], start: int, device: torch.device) -> Batch:
    ids, mask = _padded([row.tokens for row in rows], device)
    encoder_ids, encoder_mask = _padded([row.encoder for row in rows], device) if rows[0].encoder else (None, None)
    reads = [(number, *read) for number, row in enumerate(rows) for read in row.reads]
    columns = torch.tensor(reads, device=device).unbind(1)
    return Batch(
        rows=torch.arange(start, start + len(rows), device=device),
        input_ids=ids,
        mask=mask,
        encoder_ids=encoder_ids,
        encoder_mask=encoder_mask,
        read_row=columns[0],
        read_position=columns[1],
        read_target=columns[2],
        read_request=columns[3],
    )


def _padded(
    rows: Sequence[tuple[int, ...]], device: torch.device
) -> tuple[Int[Tensor, "batch seq"], Bool[Tensor, "batch seq"]]:
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, torch.arange(longest, device=device)[None, :] < lengths[:, None]
