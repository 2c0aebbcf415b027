"""The interpreter of the grammar: one generator after the other, into a list of symbols that cannot outgrow its cap."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from imprint.corpus.augmentation.alphabets import Alphabet, Symbols, pick
from imprint.corpus.augmentation.parts import (
    Bind,
    Choice,
    Constant,
    Copies,
    Echo,
    Nest,
    Part,
    Records,
    Repeat,
    Reuse,
    Sequence,
    Slot,
    Template,
)
from imprint.corpus.augmentation.placeholders import places

_EMPTY_TRIES = 8
"""Times in a row that a filler may give nothing before the gap stays short."""
Bindings = Mapping[str, Symbols]


@dataclass(slots=True)
class Writer:
    """One document in the making; `symbols` never has more than `cap` entries."""

    alphabet: Alphabet
    rng: Random
    cap: int
    symbols: Symbols = field(default_factory=list)
    visits: int = 0

    @property
    def full(self) -> bool:
        """Whether the document is at its end: at its cap, or after more generators than its cap can need."""
        return len(self.symbols) >= self.cap or self.visits >= self.most_visits

    @property
    def most_visits(self) -> int:
        """Generators that may be run for this document."""
        return 1_000 + 8 * self.cap

    def add(self, symbols: Symbols) -> None:
        """Write as many of these as there is room for."""
        self.symbols.extend(symbols[: max(self.cap - len(self.symbols), 0)])

    def copy(self, distance: int, length: int) -> None:
        """Repeat what was written `distance` symbols ago, symbol by symbol; nothing where the text is too short."""
        distance = min(distance, len(self.symbols))
        if distance == 0:
            return
        period = self.symbols[-distance:]
        length = min(length, self.cap - len(self.symbols))
        self.add((period * (length // distance + 1))[:length])

    def value(self, part: Part, bindings: Bindings) -> Symbols:
        """What a generator gives, not written: at most as much as would still fit."""
        apart = Writer(alphabet=self.alphabet, rng=self.rng, cap=self.cap, visits=self.visits)
        write(part, apart, bindings)
        self.visits = apart.visits
        return apart.symbols


def write(part: Part, out: Writer, known: Bindings) -> Bindings:
    """Run one generator; the bindings known afterwards, which only `bind` and `sequence` extend."""
    out.visits += 1
    if out.full:
        return known
    match part:
        case Constant():
            out.add(out.alphabet.constant(part.text))
        case Slot():
            drawn = out.alphabet.slot(part, out.rng)
            out.visits += len(drawn) // 32  # long values that are bound and never written must not be free
            out.add(drawn)
        case Choice():
            write(part.options[pick(len(part.options), part.weights, out.rng)], out, known)
        case Sequence():
            for item in part.items:
                known = write(item, out, known)
        case Bind():
            return _bind(part, out, known)
        case Reuse():
            out.add(known.get(part.name, []))
        case Echo():
            _echo(part, out, known)
        case Repeat():
            _repeat(part, out, known)
        case Template():
            _template(part, out, known)
        case Nest():
            _nest(part, out, known, out.rng.randint(*part.depth))
        case Records():
            _records(part, out, known)
        case Copies():
            _copies(part, out, known)
    return known


def _bind(part: Bind, out: Writer, known: Bindings) -> Bindings:
    value = out.value(part.item, known)
    if not part.silent:
        out.add(value)
    return {**known, part.name: value}


def _echo(part: Echo, out: Writer, known: Bindings) -> None:
    for _ in range(out.rng.randint(*part.count)):
        if out.full:
            return
        _fill(part.filler, out, known, out.rng.randint(*part.gap))
        out.add(known.get(part.name, []))


def _repeat(part: Repeat, out: Writer, known: Bindings) -> None:
    for index in range(out.rng.randint(*part.count)):
        if out.full:
            return
        if index:
            out.add(out.alphabet.constant(part.separator))
        write(part.item, out, known)


def _template(part: Template, out: Writer, known: Bindings) -> None:
    drawn = {name: out.value(item, known) for name, item in part.variables.items()}
    for text, name in places(part.text):
        out.add(out.alphabet.constant(text) if name is None else drawn.get(name, known.get(name, [])))


def _nest(part: Nest, out: Writer, known: Bindings, depth: int) -> None:
    if out.full:
        return
    out.visits += 1
    name = out.value(part.name, known)
    before, after = (out.alphabet.constant(text) for text in part.opening)
    out.add([*before, *name, *after])
    children = out.rng.randint(*part.children) if depth > 1 else 0
    for _ in range(children):
        _nest(part, out, known, depth - 1)
    if not children:
        write(part.leaf, out, known)
    before, after = (out.alphabet.constant(text) for text in part.closing)
    out.add([*before, *name, *after])


def _records(part: Records, out: Writer, known: Bindings) -> None:
    keys = [out.value(part.key, known) for _ in range(out.rng.randint(*part.keys))]
    joiner, separator, end = (out.alphabet.constant(text) for text in (part.joiner, part.separator, part.end))
    for _ in range(out.rng.randint(*part.rows)):
        if out.full:
            return
        out.visits += 1
        for place, key in enumerate(keys):
            out.add([*(separator if place else []), *key, *joiner])
            write(part.value, out, known)
        out.add(end)


def _copies(part: Copies, out: Writer, known: Bindings) -> None:
    for fresh, distance, length in out.rng.choice(part.tapes):
        if out.full:
            return
        _fill(part.fresh, out, known, fresh)
        out.copy(distance, length)


def _fill(part: Part, out: Writer, known: Bindings, length: int) -> None:
    """`length` symbols of a generator run again and again, cut at the end; fewer if it gives nothing."""
    text: Symbols = []
    length, empty = min(length, out.cap - len(out.symbols)), 0
    while len(text) < length and empty < _EMPTY_TRIES and out.visits < out.most_visits:
        more = out.value(part, known)
        empty = 0 if more else empty + 1
        text += more
    out.add(text[:length])
