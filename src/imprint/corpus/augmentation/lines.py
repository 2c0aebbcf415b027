"""Templates of one document: lines that agree in most of their tokens, as constant tokens and slots."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from imprint.corpus.structure import LEXEME

Token = str | None
"""A constant token; None is a slot."""
_MOST_LINES = 80
_MOST_TOKENS = 120
_MOST_TEMPLATES = 12
_SIMILAR = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class LineTemplate:
    """A template and the values that its slots had, line by line."""

    tokens: tuple[Token, ...]
    values: tuple[tuple[str, ...], ...]

    @property
    def lines(self) -> int:
        """Lines that it covers."""
        return len(self.values)


def line_templates(text: str, *, least_lines: int = 3) -> list[LineTemplate]:
    """Templates of at least `least_lines` lines each, by the alignment of lines; each line belongs to one at most."""
    lines = [line for line in text.split("\n")[:_MOST_LINES] if line.strip()]
    groups: list[tuple[tuple[Token, ...], list[str]]] = []
    for line in lines:
        tokens = LEXEME.findall(line)
        if len(tokens) <= _MOST_TOKENS:
            _join(groups, tokens, line)
    found = [_matched(template, members) for template, members in groups if len(members) >= least_lines]
    return [one for one in found if one.lines >= least_lines and _says_something(one.tokens)]


def _join(groups: list[tuple[tuple[Token, ...], list[str]]], tokens: Sequence[str], line: str) -> None:
    for index, (template, members) in enumerate(groups):
        merged = merge(template, tokens)
        if _solid(merged) >= _SIMILAR * max(_solid(template), _solid(tokens), 1) and _says_something(merged):
            groups[index] = (merged, [*members, line])
            return
    if len(groups) < _MOST_TEMPLATES:
        groups.append((tuple(tokens), [line]))


def merge(template: Sequence[Token], tokens: Sequence[str]) -> tuple[Token, ...]:
    """What template and line have in common; runs that differ become one slot.

    >>> merge(["a", "=", "1"], ["a", "=", "2"])
    ('a', '=', None)
    """
    if len(template) == len(tokens):
        merged = tuple(old if old == new else None for old, new in zip(template, tokens, strict=True))
        if _solid(merged) >= _SIMILAR * _solid(tokens):
            return merged
    marked = [token if token is not None else "\0" for token in template]
    pieces: list[Token] = []
    for kind, begin, end, _, _ in SequenceMatcher(None, marked, list(tokens), autojunk=False).get_opcodes():
        pieces.extend(template[begin:end] if kind == "equal" else [None])
    return tuple(
        token for place, token in enumerate(pieces) if token is not None or pieces[place - 1 : place] != [None]
    )


def line_pattern(tokens: Sequence[Token]) -> re.Pattern[str]:
    """A pattern that matches the lines of a template, with one group for each slot."""
    return re.compile("".join("(.*?)" if token is None else re.escape(token) for token in tokens))


def _matched(template: tuple[Token, ...], lines: Sequence[str]) -> LineTemplate:
    matches = (line_pattern(template).fullmatch(line) for line in lines)
    return LineTemplate(tokens=template, values=tuple(match.groups() for match in matches if match))


def _solid(tokens: Sequence[Token]) -> int:
    """Constant tokens that are not white space."""
    return sum(token is not None and not token.isspace() for token in tokens)


def _says_something(tokens: Sequence[Token]) -> bool:
    """At least two constant tokens, one of them a word or a number: punctuation alone is no template."""
    return _solid(tokens) >= 2 and any(token is not None and token[0].isalnum() for token in tokens)
