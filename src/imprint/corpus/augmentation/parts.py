"""The generators of the motif schema: data that says what to write, interpreted by `generate` and never run."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MAX_DEPTH = 12
"""Generators within generators."""
MAX_PARTS = 2_000
"""Generators in one motif."""
MAX_COUNT = 1_000
"""Repeats, rows, keys, options, entries of a pool."""
MAX_TEXT = 4_000
"""Characters of one literal, template or pool entry."""
MAX_LENGTH = 65_536
"""Symbols of one slot, gap or document."""
MAX_MOVES = 20_000
"""Moves of all tapes of one motif."""

SlotKind = Literal["word", "identifier", "integer", "hex", "base64", "uuid", "timestamp", "ip", "characters", "pool"]


def _ascending(span: tuple[int, int]) -> tuple[int, int]:
    if span[0] > span[1]:
        raise ValueError(f"[{span[0]}, {span[1]}] runs backwards; write [least, most]")
    return span


Count = Annotated[
    tuple[Annotated[int, Field(ge=0, le=MAX_COUNT)], Annotated[int, Field(ge=0, le=MAX_COUNT)]],
    AfterValidator(_ascending),
]
Length = Annotated[
    tuple[Annotated[int, Field(ge=0, le=MAX_LENGTH)], Annotated[int, Field(ge=0, le=MAX_LENGTH)]],
    AfterValidator(_ascending),
]
Depth = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MAX_DEPTH)], Annotated[int, Field(ge=1, le=MAX_DEPTH)]],
    AfterValidator(_ascending),
]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Move = tuple[
    Annotated[int, Field(ge=0, le=MAX_LENGTH)],
    Annotated[int, Field(ge=0, le=MAX_LENGTH)],
    Annotated[int, Field(ge=0, le=MAX_LENGTH)],
]


class PartModel(BaseModel):
    """What all generators share: frozen, and no key that they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Constant(PartModel):
    """The same text in every document."""

    kind: Literal["literal"] = "literal"
    text: Text


class Slot(PartModel):
    """A fresh random value of one type, drawn each time it is written."""

    kind: Literal["slot"] = "slot"
    of: SlotKind
    length: Length = (3, 8)
    """Least and most characters; uuid, timestamp, ip and pool have lengths of their own."""
    alphabet: Annotated[str, Field(max_length=256)] = ""
    """What `characters` draws from, each with equal probability; empty: printable ASCII without the space."""
    pool: Annotated[tuple[Text, ...], Field(max_length=MAX_COUNT)] = ()
    """What `pool` draws from."""
    weights: Annotated[tuple[Annotated[float, Field(ge=0, le=1e12)], ...], Field(max_length=MAX_COUNT)] = ()
    """Relative frequency of each entry of the pool; empty: equal."""

    @model_validator(mode="after")
    def _pool_belongs(self) -> "Slot":
        if (self.of == "pool") != bool(self.pool):
            raise ValueError('a pool needs entries: give \'pool\' exactly where "of" is "pool"')
        _check_weights(self.weights, len(self.pool), "pool")
        return self


class Choice(PartModel):
    """One of several options."""

    kind: Literal["choice"] = "choice"
    options: Annotated[tuple["Part", ...], Field(min_length=1, max_length=MAX_COUNT)]
    weights: Annotated[tuple[Annotated[float, Field(ge=0, le=1e12)], ...], Field(max_length=MAX_COUNT)] = ()

    @model_validator(mode="after")
    def _weights_belong(self) -> "Choice":
        _check_weights(self.weights, len(self.options), "options")
        return self


class Sequence(PartModel):
    """Several parts one after the other; names bound in it are known to what follows."""

    kind: Literal["sequence"] = "sequence"
    items: Annotated[tuple["Part", ...], Field(min_length=1, max_length=MAX_COUNT)]


class Bind(PartModel):
    """Draw a part once and remember it under a name, to be reused verbatim; `silent` binds without writing."""

    kind: Literal["bind"] = "bind"
    name: Name
    item: "Part"
    silent: bool = False


class Reuse(PartModel):
    """Write what was bound, verbatim."""

    kind: Literal["reuse"] = "reuse"
    name: Name


class Echo(PartModel):
    """What was bound comes back several times, each time after a gap of random length filled with `filler`."""

    kind: Literal["echo"] = "echo"
    name: Name
    count: Count
    gap: Length
    filler: "Part"


class Repeat(PartModel):
    """A part several times, drawn anew each time; what was bound before stays the same."""

    kind: Literal["repeat"] = "repeat"
    item: "Part"
    count: Count
    separator: Text = ""


class Template(PartModel):
    """Text with {name} places; each variable is drawn once and written verbatim at all its places ({{ and }} escape)."""

    kind: Literal["template"] = "template"
    text: Text
    variables: Annotated[dict[Name, "Part"], Field(max_length=64)]


class Nest(PartModel):
    """A tree of tags or brackets: every element draws a name, opens with it, holds elements or a leaf, and closes."""

    kind: Literal["nest"] = "nest"
    name: "Part"
    opening: tuple[Text, Text] = ("<", ">")
    """What stands before and after the name where an element opens."""
    closing: tuple[Text, Text] = ("</", ">")
    leaf: "Part"
    depth: Depth
    """Levels of the tree."""
    children: Count
    """Elements within an element that is not at the lowest level."""


class Records(PartModel):
    """Key-value records: the keys are drawn once, every row has them all with values of its own."""

    kind: Literal["records"] = "records"
    key: "Part"
    value: "Part"
    keys: Count
    rows: Count
    joiner: Text = "="
    separator: Text = " "
    end: Text = "\n"


class Copies(PartModel):
    """Fresh text interleaved with verbatim copies of what this document said before, along one of several tapes.

    A move [fresh, distance, length] writes `fresh` symbols of new text, then copies `length` symbols from `distance`
    back (a distance below the length repeats them periodically, as in LZ77).
    """

    kind: Literal["copies"] = "copies"
    fresh: "Part"
    tapes: Annotated[
        tuple[Annotated[tuple[Move, ...], Field(min_length=1)], ...], Field(min_length=1, max_length=MAX_COUNT)
    ]

    @model_validator(mode="after")
    def _tapes_are_bounded(self) -> "Copies":
        if (moves := sum(map(len, self.tapes))) > MAX_MOVES:
            raise ValueError(f"the tapes hold {moves} moves; at most {MAX_MOVES}")
        return self


Part = Annotated[
    Constant | Slot | Choice | Sequence | Bind | Reuse | Echo | Repeat | Template | Nest | Records | Copies,
    Field(discriminator="kind"),
]
KINDS: dict[str, type[PartModel]] = {
    "literal": Constant,
    "slot": Slot,
    "choice": Choice,
    "sequence": Sequence,
    "bind": Bind,
    "reuse": Reuse,
    "echo": Echo,
    "repeat": Repeat,
    "template": Template,
    "nest": Nest,
    "records": Records,
    "copies": Copies,
}
"""The generators by the name that `kind` gives them."""


def _check_weights(weights: tuple[float, ...], entries: int, what: str) -> None:
    if weights and len(weights) != entries:
        raise ValueError(f"there are {len(weights)} weights for {entries} {what}; give one for each or none")
    if weights and sum(weights) <= 0:
        raise ValueError("all weights are 0; make one of them positive")


for _kind in KINDS.values():
    _kind.model_rebuild()
