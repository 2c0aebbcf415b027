"""Trees of tags, LaTeX environments or brackets: their depth, their branching and the names that they use."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from imprint.corpus.augmentation.parts import MAX_DEPTH, Bind, Constant, Nest, Part
from imprint.corpus.augmentation.parts import Sequence as InOrder
from imprint.corpus.augmentation.schema import Motif
from imprint.corpus.augmentation.values import recurring_part, span, value_part

_LEAST_ELEMENTS = 4
_BALANCED = 0.8
_LEAST_SHARE = 0.2
_MOST_CHILDREN = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Notation:
    """How elements open and close: what stands before and after the name."""

    name: str
    opening: tuple[str, str]
    closing: tuple[str, str]
    label: str
    """Pattern of a name; empty for brackets, which have none."""

    @property
    def marks(self) -> re.Pattern[str]:
        """Matches openings (group `open`) and closings (group `close`)."""
        before, after = map(re.escape, self.opening)
        first, last = map(re.escape, self.closing)
        return re.compile(f"{before}(?P<open>{self.label}){after}|{first}(?P<close>{self.label}){last}")


NOTATIONS = (
    Notation(name="tags", opening=("<", ">"), closing=("</", ">"), label=r"[A-Za-z][\w:.-]{0,63}"),
    Notation(name="environments", opening=("\\begin{", "}"), closing=("\\end{", "}"), label=r"[A-Za-z]+\*?"),
    Notation(name="round", opening=("(", ""), closing=(")", ""), label=""),
    Notation(name="square", opening=("[", ""), closing=("]", ""), label=""),
    Notation(name="curly", opening=("{", ""), closing=("}", ""), label=""),
)


@dataclass(slots=True)
class Tree:
    """What one document's elements look like."""

    depth: int = 0
    roots: int = 0
    names: list[str] = field(default_factory=list)
    children: list[int] = field(default_factory=list)
    """Elements directly within each element that has any."""
    leaves: list[str] = field(default_factory=list)
    """Text of each element that has none."""
    marked: int = 0
    """Characters of marks that belong together."""
    stray: int = 0
    """Marks that open or close nothing."""


def read_tree(text: str, notation: Notation) -> Tree:
    """The elements of one notation in a text; what stands between elements is not part of it."""
    tree, stack = Tree(), []
    for mark in notation.marks.finditer(text):
        if mark.group("open") is not None:
            stack.append((mark, [0]))
            continue
        if not stack or stack[-1][0].group("open") != mark.group("close"):
            tree.stray += 1
            continue
        opened, children = stack.pop()
        _close(tree, opened, mark, children[0], text)
        tree.depth = max(tree.depth, len(stack) + 1)
        if stack:
            stack[-1][1][0] += 1
        else:
            tree.roots += 1
    tree.stray += len(stack)
    return tree


def _close(tree: Tree, opened: re.Match[str], closed: re.Match[str], children: int, text: str) -> None:
    tree.names.append(opened.group("open"))
    tree.marked += len(opened.group()) + len(closed.group())
    if children:
        tree.children.append(children)
    else:
        tree.leaves.append(text[opened.end() : closed.start()])


def nest_motifs(texts: Sequence[str], *, least_documents: int) -> list[tuple[Motif, list[int]]]:
    """Motifs and the documents that each stands for: those that consist of well-formed nested elements."""
    motifs: list[tuple[Motif, list[int]]] = []
    taken: set[int] = set()
    for notation in NOTATIONS:
        trees = {n: read_tree(text, notation) for n, text in enumerate(texts) if n not in taken}
        members = [number for number, tree in trees.items() if _is_nested(tree, texts[number])]
        if len(members) >= least_documents:
            motifs.append((_motif(notation, [trees[number] for number in members]), members))
            taken.update(members)
    return motifs


def _is_nested(tree: Tree, text: str) -> bool:
    elements = len(tree.names)
    whole = elements >= _LEAST_ELEMENTS and tree.depth >= 2
    return whole and tree.marked >= _LEAST_SHARE * len(text) and elements >= _BALANCED * (elements + tree.stray)


def _motif(notation: Notation, trees: Sequence[Tree]) -> Motif:
    binds: tuple[Bind, ...] = ()
    name: Part = Constant(text="")
    if notation.label:
        binds, name = recurring_part([tree.names for tree in trees], "name")
    leaves = [leaf for tree in trees for leaf in tree.leaves]
    nest = Nest(
        name=name,
        opening=notation.opening,
        closing=notation.closing,
        leaf=value_part(leaves) if any(leaves) else Constant(text=""),
        depth=span([tree.depth for tree in trees], most=MAX_DEPTH),
        children=span([count for tree in trees for count in tree.children], most=_MOST_CHILDREN),
    )
    return Motif(name=f"nest-{notation.name}", weight=float(len(trees)), write=InOrder(items=(*binds, nest)))
