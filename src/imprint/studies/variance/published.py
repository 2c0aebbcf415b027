"""Published numbers of a metric, as printed, against the cells that they are said to summarise."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from imprint.corpus.decoding import read_text
from imprint.errors import ConfigError
from imprint.stats import PublishedCheck, check_median, check_range, check_range_ratio


class PublishedNumbers(BaseModel):
    """What a text prints of one metric; digits as printed, so that their rounding is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    within_sd: tuple[str, ...] = Field(min_length=1)
    """Standard deviation within each condition."""
    median: str | None = None
    """Of `within_sd`."""
    ends: tuple[str, str] | None = None
    """Smallest and largest condition mean."""
    range: str | None = None
    """Of the condition means."""
    ratio: str | None = None
    """Range over median standard deviation."""


def read_published(path: Path) -> dict[str, PublishedNumbers]:
    """Published numbers by metric, from a YAML or JSON file; numbers need no quotes and keep their digits.

    Raises:
        ConfigError: not YAML or JSON, an unknown key, or a metric without `within_sd`.
        CorpusError: the file is missing or not UTF-8.
    """
    try:
        content = _parse(path)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path.name} is not valid YAML or JSON: {' '.join(str(error).split())}") from error
    try:
        return TypeAdapter(dict[str, PublishedNumbers]).validate_python(content)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "the file"
        keys = ", ".join(PublishedNumbers.model_fields)
        raise ConfigError(f"{path.name}: {place}: {problem['msg']}; a metric has the keys {keys}.") from error


def _parse(path: Path) -> Any:
    text = read_text(path)
    if path.suffix.lower() == ".json":
        return json.loads(text, parse_float=str, parse_int=str)
    return yaml.load(text, Loader=yaml.BaseLoader)  # every scalar stays the text that was printed


def check_published(published: PublishedNumbers, *, metric: str) -> tuple[PublishedCheck, ...]:
    """Every published number that its cells can check.

    Raises:
        InputError: a text that is not a plain number.
    """
    found = []
    if published.median is not None:
        found.append(
            check_median(published.within_sd, published.median, what=f"median sd within a condition, {metric}")
        )
    if published.ends is not None and published.range is not None:
        found.append(check_range(*published.ends, published.range, what=f"range of condition means, {metric}"))
    if published.range is not None and published.ratio is not None:
        what = f"range over median sd, {metric}"
        found.append(check_range_ratio(published.within_sd, published.range, published.ratio, what=what))
    return tuple(found)


def require_known(published: Mapping[str, PublishedNumbers], metrics: tuple[str, ...], source: str) -> None:
    """Refuse published numbers of a metric that nobody measured.

    Raises:
        ConfigError: the metric is not in the table.
    """
    unknown = next((name for name in published if name not in metrics), None)
    if unknown is not None:
        raise ConfigError(f"the published metric '{unknown}' is not in {source}, which has {', '.join(metrics)}.")
