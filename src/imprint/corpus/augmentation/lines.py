"""Templates of one document: lines that agree in most of their tokens, as constant tokens and slots."""

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


def slot_values(tokens: Sequence[Token], line: str) -> tuple[str, ...] | None:
    """What the slots of a template hold in a line, each as short as possible; None if the line is not of the template.

    As for file name wildcards, taking every constant at its first place finds a match if there is one, in linear time.
    """
    constants = _between_slots(tokens)
    if len(constants) == 1:
        return () if line == constants[0] else None
    first, *middle, last = constants
    if not line.startswith(first) or not line.endswith(last):
        return None
    place, values = len(first), []
    for constant in middle:
        found = line.find(constant, place)
        if found < 0:
            return None
        values.append(line[place:found])
        place = found + len(constant)
    end = len(line) - len(last)
    return (*values, line[place:end]) if end >= place else None


def _between_slots(tokens: Sequence[Token]) -> list[str]:
    """The constant text before the first slot, between slots, and after the last."""
    constants = [""]
    for token in tokens:
        if token is None:
            constants.append("")
        else:
            constants[-1] += token
    return constants


def _matched(template: tuple[Token, ...], lines: Sequence[str]) -> LineTemplate:
    values = [found for line in lines if (found := slot_values(template, line)) is not None]
    return LineTemplate(tokens=template, values=tuple(values))


def _solid(tokens: Sequence[Token]) -> int:
    """Constant tokens that are not white space."""
    return sum(token is not None and not token.isspace() for token in tokens)


def _says_something(tokens: Sequence[Token]) -> bool:
    """At least two constant tokens, one of them a word or a number: punctuation alone is no template."""
    return _solid(tokens) >= 2 and any(token is not None and token[0].isalnum() for token in tokens)
