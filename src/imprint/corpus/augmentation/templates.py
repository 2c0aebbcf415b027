"""Templates that several documents share, and the motif that writes documents of them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from imprint.corpus.augmentation.lines import LineTemplate, Token, line_templates
from imprint.corpus.augmentation.parts import Bind, Choice, Constant, Part, Repeat, Reuse
from imprint.corpus.augmentation.parts import Sequence as InOrder
from imprint.corpus.augmentation.schema import Motif
from imprint.corpus.augmentation.values import recurring_part, span, value_part

_COVERED = 0.5
_MOST_TEMPLATES = 6
_MOST_ROWS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedTemplate:
    """One template as each document has it: the same skeleton, with words of its own or the same everywhere."""

    skeleton: tuple[str, ...]
    seen: dict[int, LineTemplate]
    """The template by number of the document."""

    @property
    def lines(self) -> int:
        """Lines in all documents."""
        return sum(template.lines for template in self.seen.values())


def shared_templates(texts: Sequence[str], *, least_documents: int) -> list[SharedTemplate]:
    """Templates with a skeleton that at least `least_documents` documents have, those of most lines first."""
    by_skeleton: dict[tuple[str, ...], dict[int, LineTemplate]] = defaultdict(dict)
    for number, text in enumerate(texts):
        for template in line_templates(text):
            by_skeleton[_skeleton(template.tokens)].setdefault(number, template)
    kept = [
        SharedTemplate(skeleton=key, seen=seen) for key, seen in by_skeleton.items() if len(seen) >= least_documents
    ]
    return sorted(kept, key=lambda one: (-one.lines, one.skeleton))


def template_motifs(texts: Sequence[str], *, least_documents: int) -> list[tuple[Motif, list[int]]]:
    """Motifs and the numbers of the documents that each stands for: those of which it covers at least half the lines."""
    shared = shared_templates(texts, least_documents=least_documents)
    leading: dict[int, list[int]] = defaultdict(list)
    for number, text in enumerate(texts):
        mine = [(one.seen[number].lines, -place) for place, one in enumerate(shared) if number in one.seen]
        lines = sum(bool(line.strip()) for line in text.split("\n"))
        if mine and sum(count for count, _ in mine) >= _COVERED * lines:
            leading[-max(mine)[1]].append(number)
    groups = [members for _, members in sorted(leading.items()) if len(members) >= least_documents]
    return [(_motif(index, shared, texts, members), members) for index, members in enumerate(groups)]


def _motif(index: int, shared: Sequence[SharedTemplate], texts: Sequence[str], members: Sequence[int]) -> Motif:
    lines = {place: sum(one.seen[n].lines for n in members if n in one.seen) for place, one in enumerate(shared)}
    chosen = [place for place, count in Counter(lines).most_common(_MOST_TEMPLATES) if count]
    binds: list[Bind] = []
    options: list[Part] = []
    for place in chosen:
        seen = [shared[place].seen[number] for number in members if number in shared[place].seen]
        more, line = _line(seen, f"t{place}")
        binds += more
        options.append(line)
    weights = tuple(float(lines[place]) for place in chosen)
    row = options[0] if len(options) == 1 else Choice(options=tuple(options), weights=weights)
    rows = span([len(texts[number].split("\n")) for number in members], most=_MOST_ROWS)
    body = Repeat(item=row, count=(max(rows[0], 1), max(rows[1], 1)), separator="\n")
    write = InOrder(items=(*binds, body)) if binds else body
    return Motif(name=f"template-{index}", weight=float(len(members)), write=write)


def _line(seen: Sequence[LineTemplate], name: str) -> tuple[list[Bind], Part]:
    """What to bind for a document and the generator of one line, from the same template in several documents."""
    binds: list[Bind] = []
    items: list[Part] = []
    slot = 0
    for place, tokens in enumerate(zip(*(template.tokens for template in seen), strict=True)):
        label = f"{name}-{place}"
        if tokens[0] is None:
            more, part = recurring_part([[row[slot] for row in template.values] for template in seen], label)
            slot += 1
            binds += more
            items.append(part)
        elif len(set(tokens)) == 1:
            items.append(Constant(text=tokens[0]))
        else:
            binds.append(Bind(name=label, item=value_part([str(token) for token in tokens]), silent=True))
            items.append(Reuse(name=label))
    return binds, InOrder(items=tuple(_joined(items)))


def _joined(items: Sequence[Part]) -> list[Part]:
    """Neighbouring constants as one."""
    joined: list[Part] = []
    for item in items:
        if isinstance(item, Constant) and joined and isinstance(joined[-1], Constant):
            joined[-1] = Constant(text=joined[-1].text + item.text)
        else:
            joined.append(item)
    return joined


def _skeleton(tokens: Sequence[Token]) -> tuple[str, ...]:
    """Punctuation and white space as they are, words and numbers as their kind, slots as slots."""
    return tuple("slot" if token is None else _kind(token) for token in tokens)


def _kind(token: str) -> str:
    return "word" if token[0].isalnum() or token[0] == "_" else token
