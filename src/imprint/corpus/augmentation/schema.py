"""The motif schema: recurring structures, each a tree of generators; checked as a whole before anything is written."""

import difflib
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from imprint.corpus.augmentation.parts import (
    MAX_DEPTH,
    MAX_PARTS,
    Bind,
    Choice,
    Copies,
    Echo,
    Name,
    Nest,
    Part,
    PartModel,
    Records,
    Repeat,
    Reuse,
    Sequence,
    Template,
)
from imprint.corpus.augmentation.placeholders import places

MAX_MOTIFS = 64


class Motif(PartModel):
    """One recurring structure and how often it is drawn."""

    name: Name
    weight: float = Field(default=1.0, gt=0, le=1e12)
    """Relative frequency among the motifs of a schema."""
    write: Part
    """What writes one document."""

    @model_validator(mode="after")
    def _is_sound(self) -> "Motif":
        _check_size(self.write)
        _check_names(self.write, frozenset())
        return self


class MotifSchema(PartModel):
    """Motifs that can be written as documents; an extractor that found nothing gives one without motifs."""

    version: Literal[1] = 1
    motifs: Annotated[tuple[Motif, ...], Field(max_length=MAX_MOTIFS)]

    @model_validator(mode="after")
    def _names_differ(self) -> "MotifSchema":
        names = [motif.name for motif in self.motifs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two motifs are called '{twice[0]}'; give each a name of its own")
        return self


def inner(part: Part) -> list[Part]:
    """The generators directly within one, in the order in which they may be written."""
    match part:
        case Choice():
            return list(part.options)
        case Sequence():
            return list(part.items)
        case Bind() | Repeat():
            return [part.item]
        case Echo():
            return [part.filler]
        case Template():
            return list(part.variables.values())
        case Nest():
            return [part.name, part.leaf]
        case Records():
            return [part.key, part.value]
        case Copies():
            return [part.fresh]
    return []


def walk(part: Part) -> Iterator[tuple[Part, int]]:
    """Every generator of a tree with its depth, the root at 1, without recursion."""
    waiting = [(part, 1)]
    while waiting:
        current, depth = waiting.pop()
        yield current, depth
        waiting.extend((child, depth + 1) for child in inner(current))


def _check_size(write: Part) -> None:
    for parts, (_, depth) in enumerate(walk(write), start=1):
        if depth > MAX_DEPTH:
            raise ValueError(f"generators are nested more than {MAX_DEPTH} deep; flatten the motif")
        if parts > MAX_PARTS:
            raise ValueError(f"the motif has more than {MAX_PARTS} generators; make it smaller")


def _check_names(part: Part, known: frozenset[str]) -> frozenset[str]:
    """The names known after `part`: only a sequence and a bind add to what their surroundings know."""
    match part:
        case Reuse() | Echo():
            _check_known(part.name, known, part.kind)
        case Template():
            _check_places(part, known)
        case Bind():
            _check_names(part.item, known)
            if part.name in known:
                raise ValueError(f"the name '{part.name}' is bound twice; use two names")
            return known | {part.name}
        case Sequence():
            for item in part.items:
                known = _check_names(item, known)
            return known
    for child in inner(part):
        _check_names(child, known)
    return known


def _check_known(name: str, known: frozenset[str], kind: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, sorted(known), n=1)
        hint = f"did you mean '{near[0]}'?" if near else "bind it earlier in the same sequence"
        raise ValueError(f"{kind} of '{name}', which is not bound before it; {hint}")


def _check_places(template: Template, known: frozenset[str]) -> None:
    used = {name for _, name in places(template.text) if name is not None}
    for name in sorted(used - template.variables.keys()):
        _check_known(name, known.union(template.variables), "template place")
    unused = sorted(template.variables.keys() - used)
    if unused:
        near = difflib.get_close_matches(unused[0], sorted(used), n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"write {{{unused[0]}}} in its text"
        raise ValueError(f"the template has no place for its variable '{unused[0]}'; {hint}")
