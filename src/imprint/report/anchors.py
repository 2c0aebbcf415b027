"""Addresses on the page: from names that anyone may have chosen to ids that a link can hold."""

import re
from collections.abc import Iterable

_LONGEST = 48
_OTHER = re.compile("[^a-z0-9]+")


def anchors(kind: str, names: Iterable[tuple[str, ...]]) -> list[str]:
    """One id a name, in order: "cell-code-copa" for ("Code", "COPA") of kind "cell"; the second of two equals has "-2".

    ASCII letters, digits and hyphens only, so an id needs no escaping; it depends on the other names only where two
    would be equal.
    """
    taken: dict[str, None] = {}
    for name in names:
        taken[_free("-".join([kind, *map(_slug, name)]), taken)] = None
    return list(taken)


def _slug(name: str) -> str:
    """Letters and digits of the name, in lower case, with hyphens between them."""
    return _OTHER.sub("-", name.lower()).strip("-")[:_LONGEST].strip("-") or "x"


def _free(anchor: str, taken: Iterable[str]) -> str:
    """The anchor, with the first number from 2 on that makes it new."""
    place, free = 1, anchor
    while free in taken:
        place += 1
        free = f"{anchor}-{place}"
    return free
