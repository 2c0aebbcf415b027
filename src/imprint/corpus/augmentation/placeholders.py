"""Templates as text: `{name}` is a place, `{{` and `}}` are braces."""

import re

_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z][A-Za-z0-9_-]{0,63})\}|[{}]|[^{}]+")


def places(text: str) -> list[tuple[str, str | None]]:
    """Pieces of a template in order: (constant text, None) or ("", name of the variable).

    Raises:
        ValueError: a brace is neither doubled nor part of a place.
    """
    pieces: list[tuple[str, str | None]] = []
    for match in _TOKEN.finditer(text):
        if match.group(1) is not None:
            pieces.append(("", match.group(1)))
        elif match.group() in ("{", "}"):
            raise ValueError(f"a single brace at character {match.start()} of the template; write it twice")
        else:
            pieces.append(({"{{": "{", "}}": "}"}.get(match.group(), match.group()), None))
    return pieces


def escaped(text: str) -> str:
    """Text as a template that says just this."""
    return text.replace("{", "{{").replace("}", "}}")
