"""Types of entities in a text by rules that can be read here: numbers, dates, addresses, names, code and markup."""

import re

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)"
)

ENTITY_RULES: dict[str, re.Pattern[str]] = {
    "number": re.compile(r"(?<![\w.])\d++(?:[.,]\d++)*+(?:[eE][+-]?\d++)?+"),
    "date": re.compile(
        rf"\b(?:\d{{4}}-\d\d-\d\d|\d{{1,2}}/\d{{1,2}}/\d{{2,4}}|{_MONTH}\.? \d{{1,2}}(?:, \d{{4}})?"
        rf"|\d{{1,2}} {_MONTH}(?: \d{{4}})?|{_MONTH} \d{{4}})\b"
    ),
    "url": re.compile(r"\b(?:https?|ftp)://[^\s<>\"]++|\bwww\.[^\s<>\"]++"),
    "email": re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++\.[\w.-]++"),
    "name": re.compile(r"\b[A-Z][a-z]++(?:[ \t][A-Z][a-z]++)++"),
    "acronym": re.compile(r"\b[A-Z]{2,}+\b"),
    "identifier": re.compile(r"\b(?=[A-Za-z])(?:[A-Za-z0-9]++_++)+[A-Za-z0-9]++\b|\b[a-z]++[A-Z][A-Za-z0-9]*+\b"),
    "call": re.compile(r"\b[A-Za-z_]\w*+\("),
    "latex command": re.compile(r"\\[A-Za-z]++"),
    "markup tag": re.compile(r"</?[A-Za-z][^<>\n]*+>"),
}
"""Kind of entity and the rule that finds it. Every rule reads a text once, whatever the text."""


def entity_counts(text: str) -> dict[str, int]:
    """How often each kind of entity occurs, by the rules of `ENTITY_RULES`.

    Trust: rules, not a trained recogniser. "name" is two or more capitalised words in a row, so titles of sections count
    and one-word names do not; one piece of text may count as several kinds.
    """
    return {kind: sum(1 for _ in rule.finditer(text)) for kind, rule in ENTITY_RULES.items()}
