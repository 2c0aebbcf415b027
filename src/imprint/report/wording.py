"""Numbers and foreign text as a reader should see them."""

import math
import re
from collections.abc import Sequence

MINUS = "\N{MINUS SIGN}"
MISSING = "\N{EN DASH}"
NBSP = "\N{NO-BREAK SPACE}"
THIN = "\N{NARROW NO-BREAK SPACE}"

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff]"
)


def visible(text: str) -> str:
    """The text with every control, bidirectional, zero-width and unpaired character shown by its code: "⟨U+202E⟩".

    Tab and newline stay.
    """
    return _INVISIBLE.sub(lambda match: f"\u27e8U+{ord(match[0]):04X}\u27e9", text)


def number(value: float | int | None, digits: int = 3) -> str:
    """The value with `digits` significant digits, a true minus sign and thin spaces between thousands.

    Below 0.1 trailing zeros go; whole numbers have no decimals.
    """
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    return _plain(value, digits).replace("-", MINUS)


def _plain(value: float | int, digits: int) -> str:
    """ASCII digits: whole from 1 000 on, scientific below one ten-thousandth."""
    size = abs(value)
    if size >= 1e7 or size < 1e-4:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if size >= 999.5 or value == int(value):
        return f"{round(value):,}".replace(",", THIN)
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    text = f"{value:.{min(decimals, 6)}f}"
    return text.rstrip("0") if size < 0.1 else text


def exact(value: float | int) -> str:
    """A number that a person chose (a threshold, a level), as they wrote it."""
    return f"{value:g}".replace("-", MINUS)


def signed(value: float | int | None, digits: int = 3) -> str:
    """As `number`, with a plus sign on positive values."""
    return f"+{number(value, digits)}" if value is not None and value > 0 else number(value, digits)


def fixed(value: float | int | None, decimals: int) -> str:
    """The value with its sign and as many decimals as its neighbours, so that a grid of numbers lines up."""
    if value is None:
        return MISSING
    text = f"{value:+.{decimals}f}"
    return (text[1:] if float(text) == 0 else text).replace("-", MINUS)


def interval(low: float | None, high: float | None) -> str:
    """The interval as "[low, high]", or nothing when none was computed."""
    return "" if low is None or high is None else f"[{number(low)}, {number(high)}]"


def with_interval(estimate: float | int | None, low: float | None, high: float | None) -> str:
    """The estimate with its sign, and its interval when one was computed: "+0.21 [0.16, 0.26]"."""
    return f"{signed(estimate)} {interval(low, high)}".strip()


def percent(share: float | int | None) -> str:
    """A fraction 0..1 as a percentage, with one decimal below ten."""
    if share is None:
        return MISSING
    value = 100 * share
    text = f"{value:.0f}" if abs(value) >= 9.95 or value == 0 else f"{value:.1f}"
    return f"{text}{THIN}%".replace("-", MINUS)


def p_value(p: float | int | None) -> str:
    """A p-value as "0.021", and as "< 0.001" below that."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_words(p: float, letter: str = "p") -> str:
    """A p-value, or a q under its own letter, as "p = 0.021" or "p < 0.001", in one piece."""
    return f"{letter}{NBSP}{p_value(p).replace(' ', NBSP)}" if p < 0.001 else f"{letter}{NBSP}={NBSP}{p_value(p)}"


def duration(seconds: float | int | None) -> str:
    """Seconds as a person says them: "0.4 s", "51 s", "9 min 12 s", "2 h 05 min"."""
    if seconds is None:
        return MISSING
    whole = round(seconds)
    if whole < 60:
        return f"{number(seconds, 2)}{THIN}s" if seconds < 9.5 else f"{whole}{THIN}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}{THIN}min" + (f" {rest}{THIN}s" if rest else "")
    return f"{minutes // 60}{THIN}h {minutes % 60:02d}{THIN}min"


def count(n: int, noun: str) -> str:
    """A number of things: "1 pipeline seed", "5 pipeline seeds"."""
    plural = noun if n == 1 or not noun else f"{noun}es" if noun.endswith(("s", "x", "ch")) else f"{noun}s"
    return f"{number(n)} {plural}".strip()


def listing(words: Sequence[str], limit: int = 12) -> str:
    """Words in a row: "a, b and c"; long lists end in "and 5 more"."""
    if len(words) > limit:
        return f"{', '.join(words[:limit])} and {len(words) - limit} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
