"""Conceptual density of a text by stated stand-ins: content words, distinct concepts and propositions per 100 words."""

from collections.abc import Sequence

from imprint.corpus.clusters.words import CONJUNCTIONS, FUNCTION_WORDS, PREPOSITIONS, SUBORDINATORS

SEGMENT = 100
"""Words of a segment in which distinct words are counted, so that long and short texts compare."""
_PREDICATING = CONJUNCTIONS | PREPOSITIONS | SUBORDINATORS
_ENDINGS = ("ly", "ing", "ed", "ive", "ous", "able", "ible", "ful", "less")


def concept_counts(words: Sequence[str]) -> dict[str, int]:
    """What the measures of density divide, over the words of one text.

    * content words = words that are not function words
    * propositions = prepositions, conjunctions and subordinators, and content words with an ending of an adverb,
      participle or adjective (-ly -ing -ed -ive -ous -able -ible -ful -less): a stand-in for CPIDR's count of verbs,
      adjectives, adverbs, prepositions and conjunctions (Brown et al. 2008), without a tagger
    * types and concepts = distinct words and distinct content words of every whole segment of 100 words

    Trust: English only; the base forms of verbs and most short adjectives are missed, so compare clusters, not papers.
    """
    segments = [words[start : start + SEGMENT] for start in range(0, len(words) - SEGMENT + 1, SEGMENT)]
    return {
        "content": sum(word not in FUNCTION_WORDS for word in words),
        "propositions": sum(map(_is_proposition, words)),
        "types": sum(len(set(segment)) for segment in segments),
        "concepts": sum(len(set(segment) - FUNCTION_WORDS) for segment in segments),
        "in segments": SEGMENT * len(segments),
    }


def _is_proposition(word: str) -> bool:
    return word in _PREDICATING or (word not in FUNCTION_WORDS and word.endswith(_ENDINGS))
