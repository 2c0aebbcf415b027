"""Discourse markers by class of relation, after the connectives of the Penn Discourse Treebank."""

import re

DISCOURSE_MARKERS: dict[str, tuple[str, ...]] = {
    "contrast": (
        "but", "however", "although", "though", "even though", "whereas", "nevertheless", "nonetheless", "instead",
        "conversely", "despite", "in contrast", "by contrast", "on the contrary", "on the other hand", "yet",
    ),
    "cause": (
        "because", "therefore", "thus", "hence", "consequently", "accordingly", "as a result", "due to", "so that",
        "for this reason", "since", "it follows that",
    ),
    "temporal": (
        "when", "before", "after", "then", "until", "while", "meanwhile", "once", "finally", "afterwards", "previously",
        "later", "subsequently", "as soon as", "at the same time",
    ),
    "elaboration": (
        "for example", "for instance", "in particular", "in other words", "in addition", "that is", "also", "moreover",
        "furthermore", "additionally", "indeed", "specifically", "namely", "in fact", "likewise", "similarly",
    ),
}  # fmt: skip
"""Class of relation and the markers counted for it: the four top classes of the PDTB 2.0 (comparison, contingency,
temporal, expansion; Prasad et al. 2008) with their most frequent unambiguous-as-possible connectives."""

_RULES = {
    relation: re.compile(r"\b(?:" + "|".join(sorted(markers, key=len, reverse=True)) + r")\b")
    for relation, markers in DISCOURSE_MARKERS.items()
}


def discourse_counts(text: str) -> dict[str, int]:
    """How often a marker of each class occurs, longest marker first, case ignored.

    Trust: words are counted, not uses: "since" is counted as cause and "while" as time wherever they stand, English only.
    """
    flat = " ".join(text.lower().split())
    return {relation: sum(1 for _ in rule.finditer(flat)) for relation, rule in _RULES.items()}
