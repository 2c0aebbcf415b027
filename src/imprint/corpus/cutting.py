"""Long text to pieces of bounded size, cut where a reader would: between paragraphs, else lines, else words."""

from collections.abc import Iterator

_SEAMS = ("\n\n", "\n", " ")


def cut(text: str, *, max_bytes: int = 2000) -> list[str]:
    """Consecutive pieces of at most `max_bytes` UTF-8 bytes whose concatenation is `text`; characters are never split.

    Raises:
        ValueError: `max_bytes` is below 4, the longest character.
    """
    if max_bytes < 4:
        raise ValueError(f"max_bytes={max_bytes} cannot hold every character; use 4 or more")
    return list(_pieces(text, max_bytes))


def _pieces(text: str, max_bytes: int) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = _end(text, start, max_bytes)
        yield text[start:end]
        start = end


def _end(text: str, start: int, max_bytes: int) -> int:
    """End of the piece from `start`: the last seam in its second half, best kind first, else as far as fits."""
    window = text[start : start + max_bytes].encode("utf-8")[:max_bytes].decode("utf-8", "ignore")
    if start + len(window) == len(text):
        return len(text)
    for seam in _SEAMS:
        if (place := window.rfind(seam, max(0, len(window) // 2 - len(seam)))) >= 0:
            return start + place + len(seam)
    return start + len(window)
