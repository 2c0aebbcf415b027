"""`Tokens`: whose tokens a forward pass holds (row, position, phase), whatever the padding, batch or cache."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from imprint.errors import ConfigError

Phase = Literal["both", "prefill", "decode"]
"""When an intervention acts: in passes over a prompt (or a text that is scored), in passes over one new token, or both."""
PHASES = get_args(Phase)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tokens:
    """The tokens of a forward pass: `rows` are the ids of its rows, `positions` count from 0 at a row's first real token.

    `real` is False at padding. With padding on the left, the first real token still has position 0, so masks and noise
    mean the same tokens however a batch is padded.
    """

    rows: Int[Tensor, "batch"]
    positions: Int[Tensor, "batch seq"]
    real: Bool[Tensor, "batch seq"]

    def of(self, span: slice) -> "Tokens":
        """Those of some rows of the batch."""
        return Tokens(rows=self.rows[span], positions=self.positions[span], real=self.real[span])

    def within(self, table: Tensor) -> Bool[Tensor, "batch seq"]:
        """Which of them a table (row, position, ...) has; `ConfigError` if it lacks a whole row."""
        if int(self.rows.max()) >= len(table):
            raise ConfigError(
                f"A batch has row {int(self.rows.max())}, but a mask or table of an intervention has rows 0 to "
                f"{len(table) - 1}; make it as long as the texts, and pass rows= if a batch is not their beginning."
            )
        return self.positions < table.shape[1]

    def lookup(self, table: Tensor) -> Tensor:
        """The table's entries (batch seq ...); anything where `within` is False."""
        at = self.positions.clamp(max=table.shape[1] - 1).to(table.device)
        return table[self.rows.to(table.device)[:, None], at]

    def chosen(self, mask: Bool[Tensor, "row position"]) -> Bool[Tensor, "batch seq"]:
        """Which of them a token mask selects; a position beyond the mask is not selected."""
        covered = self.within(mask)
        return self.lookup(mask).to(covered.device) & covered


NOBODYS = Tokens(
    rows=torch.zeros(0, dtype=torch.long),
    positions=torch.zeros(0, 0, dtype=torch.long),
    real=torch.zeros(0, 0, dtype=torch.bool),
)
"""For edits that do not ask whose tokens they edit."""


@dataclass(slots=True)
class Pass:
    """The forward pass that runs through one tower now; filled before its blocks run, read by their hooks."""

    rows: Tensor | None
    mask: Any = None
    past: int = 0
    _tokens: Tokens | None = None
    all_real: bool = True

    def begin(self, kwargs: dict[str, Any]) -> None:
        """Take in what a tower was called with."""
        cache = kwargs.get("past_key_values")
        self.past = 0 if cache is None else int(cache.get_seq_length())
        self.mask = kwargs.get("attention_mask")
        self._tokens = None

    def acts(self, phase: Phase, length: int) -> bool:
        """Whether an intervention of this phase acts: one new token on top of a cache is "decode", all else "prefill"."""
        return phase == "both" or phase == ("decode" if self.past > 0 and length == 1 else "prefill")

    def surely_real(self, length: int) -> bool:
        """Whether no token of the pass can be padding: there is no mask, or the pass is one new token a row."""
        return self.mask is None or (self.past > 0 and length == 1)

    def tokens(self, states: Float[Tensor, "batch seq width"]) -> Tokens:
        """The tokens of the pass, worked out once a pass."""
        if self._tokens is None or self._tokens.positions.shape != states.shape[:2]:
            self._tokens = self._resolved(states.shape[0], states.shape[1], states.device)
            self.all_real = bool(self._tokens.real.all())
        return self._tokens

    def _resolved(self, batch: int, length: int, device: torch.device) -> Tokens:
        rows = torch.arange(batch) if self.rows is None else self.rows
        if len(rows) != batch:
            raise ConfigError(f"{len(rows)} row ids were given for a batch of {batch} rows; give one id a row.")
        if self.mask is None:
            positions = torch.arange(self.past, self.past + length, device=device).expand(batch, length)
            real = torch.ones(batch, length, dtype=torch.bool, device=device)
            return Tokens(rows=rows.to(device), positions=positions, real=real)
        if not isinstance(self.mask, Tensor) or self.mask.ndim != 2:
            raise ConfigError(
                "An intervention needs the attention mask as (batch, position) to know padding; pass it so."
            )
        real = self.mask.to(device).bool()
        positions = (real.cumsum(1) - 1).clamp(min=0)
        return Tokens(rows=rows.to(device), positions=positions[:, -length:], real=real[:, -length:])
