"""Observed values to the generator that writes such values: typed slots, pools, phrases, and reuse within a document."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from imprint.corpus.augmentation.parts import Bind, Choice, Constant, Part, Repeat, Reuse, Slot, SlotKind
from imprint.corpus.structure import BASE64, LEXEME, TIMESTAMP, UUID

_SHAPES: tuple[tuple[SlotKind, re.Pattern[str]], ...] = (
    ("uuid", re.compile(UUID)),
    ("timestamp", re.compile(TIMESTAMP)),
    ("ip", re.compile(r"(?:\d{1,3}\.){3}\d{1,3}")),
    ("integer", re.compile(r"\d+")),
    ("hex", re.compile(r"(?=[0-9a-f]*\d)(?=\d*[a-f])[0-9a-f]{4,}")),
    ("word", re.compile(r"[a-z]+")),
    ("base64", re.compile(BASE64)),
    ("identifier", re.compile(r"[A-Za-z_]\w*")),
)
_FIXED = ("uuid", "timestamp", "ip")
_PHRASE = re.compile(r"[A-Za-z]+(?: [A-Za-z]+)+")
_MOST_POOL = 64
_MOST_BOUND = 8
_SHARE = 0.9


def value_part(values: Sequence[str]) -> Part:
    """A generator of values like these: a constant, a pool of few recurring ones, a typed slot, or a phrase."""
    counts = Counter(values)
    if len(counts) == 1:
        return Constant(text=values[0])
    if len(counts) <= _MOST_POOL and len(values) >= 3 * len(counts):
        return pool_part(counts, most=_MOST_POOL)
    lengths = _span([len(value) for value in values])
    for kind, shape in _SHAPES:
        if np.mean([shape.fullmatch(value) is not None for value in values]) >= _SHARE:
            return Slot(of=kind) if kind in _FIXED else Slot(of=kind, length=lengths)
    if np.mean([_PHRASE.fullmatch(value) is not None for value in values]) >= _SHARE:
        words = [value.split(" ") for value in values]
        size = _span([len(word) for phrase in words for word in phrase])
        return Repeat(item=Slot(of="word", length=size), count=_span(list(map(len, words))), separator=" ")
    return Slot(of="characters", length=lengths, alphabet="".join(sorted(set("".join(values))))[:256])


def pool_part(counts: Counter[str], *, most: int) -> Slot:
    """The most frequent entries, drawn as often as they were seen."""
    common = counts.most_common(most)
    return Slot(of="pool", pool=tuple(text for text, _ in common), weights=tuple(float(times) for _, times in common))


def recurring_part(by_document: Sequence[Sequence[str]], name: str) -> tuple[tuple[Bind, ...], Part]:
    """What to bind first and what to write then, so that values recur within a document as often as observed."""
    fresh = value_part([value for values in by_document for value in values])
    several = [values for values in by_document if len(values) > 1]
    if isinstance(fresh, Constant) or not several:
        return (), fresh
    distinct = float(np.mean([len(set(values)) for values in several]))
    again = 1 - distinct / float(np.mean([len(values) for values in several]))
    bound = min(max(round(distinct), 1), _MOST_BOUND)
    few = isinstance(fresh, Slot) and 0 < len(fresh.pool) <= 1.5 * distinct  # a document has nearly the whole pool
    if again < 0.2 or few:
        return (), fresh
    binds = tuple(Bind(name=f"{name}-{index}", item=fresh, silent=True) for index in range(bound))
    reuses = tuple(Reuse(name=bind.name) for bind in binds)
    if round(distinct) <= _MOST_BOUND:
        return binds, reuses[0] if bound == 1 else Choice(options=reuses)
    return binds, Choice(options=(*reuses, fresh), weights=(*([again / bound] * bound), 1 - again))


def fresh_part(runs: Sequence[str]) -> Slot:
    """A source of text with the tokens of these runs where few make up most of it, else with their characters."""
    tokens = Counter(token for run in runs for token in LEXEME.findall(run))
    common = tokens.most_common(512)
    if sum(times for _, times in common) >= 0.8 * sum(tokens.values()) and len(common) > 1:
        return pool_part(tokens, most=512)
    return pool_part(Counter(character for run in runs for character in run), most=256)


def _span(sizes: Sequence[int]) -> tuple[int, int]:
    low, high = np.quantile(sizes, [0.02, 0.98])
    return int(low), int(np.ceil(high))


def span(sizes: Sequence[int], *, most: int) -> tuple[int, int]:
    """The range that holds nearly all of the sizes, capped."""
    low, high = _span(sizes)
    return min(low, most), min(high, most)
