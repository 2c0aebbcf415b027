"""The measures of a cluster that are rates: what is divided by what, in which unit, and their values with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from imprint.corpus.clusters.concepts import concept_counts
from imprint.corpus.clusters.discourse import DISCOURSE_MARKERS, discourse_counts
from imprint.corpus.clusters.entities import ENTITY_RULES, entity_counts
from imprint.corpus.clusters.ratios import ratio
from imprint.corpus.clusters.syntax import syntax_counts
from imprint.corpus.clusters.words import words
from imprint.stats import Effect
from imprint.stats.effects import Unit


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One rate: `scale` times sum of `part` over sum of `whole`, both counted in every document."""

    name: str
    part: tuple[str, ...]
    whole: str
    scale: float = 1.0
    meaning: str


MEASURES: tuple[Measure, ...] = (
    Measure(name="type_token_ratio", part=("types",), whole="in segments", meaning="distinct words in 100 words / 100"),
    Measure(name="sentence_length", part=("words",), whole="sentences", meaning="words a sentence"),
    Measure(
        name="clauses_per_sentence",
        part=("sentences", "subordinators"),
        whole="sentences",
        meaning="1 + subordinators a sentence",
    ),
    Measure(name="bracket_depth", part=("depth",), whole="characters", meaning="open brackets, mean over characters"),
    Measure(name="indentation", part=("indent",), whole="lines", meaning="leading columns a line"),
    Measure(name="punctuation", part=("punctuation",), whole="visible", meaning="share of visible characters"),
    *(
        Measure(name=f"entity.{kind}", part=(kind,), whole="words", scale=1000.0, meaning=f"{kind}s per 1000 words")
        for kind in ENTITY_RULES
    ),
    *(
        Measure(name=f"discourse.{kind}", part=(kind,), whole="words", scale=1000.0, meaning="markers per 1000 words")
        for kind in DISCOURSE_MARKERS
    ),
    Measure(name="content_words", part=("content",), whole="words", scale=100.0, meaning="content words per 100 words"),
    Measure(
        name="concepts", part=("concepts",), whole="in segments", scale=100.0, meaning="distinct content words in 100"
    ),
    Measure(
        name="propositions", part=("propositions",), whole="words", scale=100.0, meaning="propositions per 100 words"
    ),
)
"""Everything about a cluster that is a rate, in the order in which it is shown."""


def text_counts(text: str) -> dict[str, float]:
    """All that the measures divide, counted in one text in time linear in its length."""
    found = words(text)
    counts = {
        **syntax_counts(text, found),
        **entity_counts(text),
        **discourse_counts(text),
        **concept_counts(found),
        "words": len(found),
        "characters": len(text),
    }
    return {name: float(value) for name, value in counts.items()}


def measure(counts: Sequence[Mapping[str, float]], *, unit: Unit = "document", note: str = "") -> dict[str, Effect]:
    """Every measure of these texts that can be said, by name, with its interval over texts.

    A measure is left out where fewer than two texts hold what it divides by (no sentence, no 100 words).
    """
    names = sorted({name for one in counts for name in one})
    table = {name: np.array([one[name] for one in counts], dtype=np.float64) for name in names}
    found = {rate.name: _rate(rate, table, unit, note) for rate in MEASURES} if counts else {}
    return {name: effect for name, effect in found.items() if effect is not None}


def _rate(rate: Measure, table: Mapping[str, Float[np.ndarray, "text"]], unit: Unit, note: str) -> Effect | None:
    part = np.sum([table[name] for name in rate.part], axis=0)
    return ratio(part, table[rate.whole], scale=rate.scale, unit=unit, metric=rate.name, note=note)
