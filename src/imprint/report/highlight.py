"""Per-token influence as highlighted text: neighbouring tokens of one strength become one run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from imprint.report.model import DocumentRecord, TokenRecord
from imprint.report.wording import count, signed, visible

STEPS = 4
_FLOOR = 0.06


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A stretch of text of one strength: -4..4, 0 for next to nothing; `title` says the value in words."""

    text: str
    level: int
    title: str


def runs(document: DocumentRecord) -> list[Run]:
    """The document's text in runs, strengths relative to the document's own largest absolute token influence."""
    largest = max((abs(token.value) for token in document.tokens), default=0.0)
    groups = groupby(document.tokens, key=lambda token: level(token.value, largest))
    return [_run(list(tokens), strength) for strength, tokens in groups]


def level(value: float, largest: float) -> int:
    """The strength of a value in steps of a quarter of the largest; below 6 % of it, 0."""
    share = abs(value) / largest if largest else 0.0
    return int(math.copysign(math.ceil(share * STEPS), value)) if share >= _FLOOR else 0


def _run(tokens: Sequence[TokenRecord], strength: int) -> Run:
    """One run with its value (the sum over its tokens)."""
    text = visible("".join(token.text for token in tokens))
    total = signed(sum(token.value for token in tokens))
    words = total if len(tokens) == 1 else f"{total} over {count(len(tokens), 'token')}"
    blank = strength and not text.strip()
    return Run(text=_mark_blank(text) if blank else text, level=strength, title=words)


def _mark_blank(text: str) -> str:
    """White space that carries influence, made visible."""
    return text.replace("\n", "\u21b5\n").replace(" ", "\u2423").replace("\t", "\u21e5\t")


def suffix(strength: int) -> str:
    """The CSS class of a strength: "p1".."p4" positive, "n1".."n4" negative."""
    return f"{'p' if strength > 0 else 'n'}{abs(strength)}"
