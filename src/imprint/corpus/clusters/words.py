"""Words, sentences and the closed lists of English words that the measures of a cluster count."""

import re

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

_WORD = re.compile(r"[^\W\d_]++(?:['’][^\W\d_]++)*+")
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s|$)|\n[ \t\r]*+\n")


def word_set(listed: str) -> frozenset[str]:
    """The words of a list written as one string."""
    return frozenset(listed.split())


SUBORDINATORS = word_set(
    "after although as because before if lest once since than that though till unless until when whenever where whereas "
    "wherever whether which while who whom whose"
)
"""Words that open a dependent clause (several have other uses as well: "that", "as", "before")."""
PREPOSITIONS = word_set(
    "about above across against along among around at behind below beneath beside between beyond by despite down during "
    "for from in inside into like near of off on onto out outside over past per through throughout to toward towards "
    "under underneath up upon via with within without"
)
CONJUNCTIONS = word_set("and but nor or so yet")
FUNCTION_WORDS = frozenset(ENGLISH_STOP_WORDS) | SUBORDINATORS | PREPOSITIONS | CONJUNCTIONS
"""Words that carry grammar rather than content: scikit-learn's English list and the lists above."""


def is_content(word: str) -> bool:
    """Whether a word can say what a text is about: no function word, three letters or more."""
    return len(word) > 2 and word not in FUNCTION_WORDS


def words(text: str) -> list[str]:
    """Lower-case words of a text in order: runs of letters of any script, with inner apostrophes.

    Digits, underscores and punctuation part words, so `my_name2` gives "my" and "name".

    Trust: scripts that do not part words by spaces (Chinese, Thai) give one word for a whole run.
    """
    return _WORD.findall(text.lower())


def num_sentences(text: str) -> int:
    """Number of sentences: pieces with a word in them, ended by `.`, `!`, `?`, `…` before white space, or by a blank line.

    Trust: abbreviations ("e.g. this") end a sentence too early; in code and logs a "sentence" is a paragraph.
    """
    return sum(_WORD.search(piece) is not None for piece in _SENTENCE_END.split(text))
