"""Control data for an augmentation: the same repetition in other words, the same words without the repetition.

length   places of copies   repetition   own tokens   source's vocabulary
renamed          about    yes                exact        no           no
transplanted     exact    exact              at least     no           no
shuffled         exact    no                 broken       exact        yes
"""

from collections.abc import Sequence
from random import Random

import numpy as np
from jaxtyping import Int

from imprint.corpus.augmentation.repetition import factorise
from imprint.corpus.documents import Document
from imprint.corpus.structure import LEXEME
from imprint.errors import ConfigError
from imprint.runs import derive


def renamed(documents: Sequence[Document], vocabulary: Sequence[str], seed: int) -> list[Document]:
    """Every distinct word of a document becomes one other word of `vocabulary`, of the same length where there is one.

    Kept: the sequence of equal and different tokens, so every token n-gram repetition and copy distance in tokens,
    white space and punctuation. Broken: which words (drawn anew for each document). Words are renamed one to one within
    a document; a word and its capitalised form are two words.

    Raises:
        ConfigError: a document has more distinct words than the vocabulary.
    """
    words = sorted({word for word in vocabulary if LEXEME.fullmatch(word) and _is_word(word)})
    return [_with_text(one, _renamed(one, words, derive(seed, "renamed", one.id)), "renamed") for one in documents]


def transplanted(documents: Sequence[Document], sources: Sequence[Document], seed: int) -> list[Document]:
    """Each document's copies, place by place, around fresh text of the sources in place of its own.

    Kept: length, and distance, length and place of every copy. Broken: what is copied. What the source text repeats
    by itself comes on top, so repetition is at least the document's. A donor is drawn by seed for each document and
    continues with the next where it ends.

    Raises:
        ConfigError: there is no source.
    """
    if not sources:
        raise ConfigError("transplanting needs source documents; give at least one.")
    return [
        _with_text(one, _transplanted(one, sources, derive(seed, "donor", one.id)), "transplanted") for one in documents
    ]


def shuffled(documents: Sequence[Document], seed: int) -> list[Document]:
    """Each document's words in random order among the places of words, its punctuation among those of punctuation.

    Kept: length, every lexical token and how often it occurs, white space, which places hold words. Broken: which token
    follows which, and with it copies of several tokens, templates and nesting; one long token that recurs still does.
    """
    return [_with_text(one, _shuffled(one, derive(seed, "shuffled", one.id)), "shuffled") for one in documents]


def renamed_rows(
    tokens: Int[np.ndarray, "row seq"], lengths: Int[np.ndarray, "row"], seed: int, *, ids: Sequence[int]
) -> Int[np.ndarray, "row seq"]:
    """Rows in which each distinct id among `ids` became another of them, one to one, drawn anew for each row.

    Kept: all repetition (n-grams, distances, compressibility in ids), other ids, everything after `lengths`. Broken:
    which ids, so also what rows have in common (boilerplate becomes novel).
    """
    pool, changed = np.array(sorted(set(ids)), dtype=tokens.dtype), tokens.copy()
    rng = np.random.default_rng(derive(seed, "renamed rows"))
    for row, length in zip(changed, lengths, strict=True):
        place = np.searchsorted(pool, row[:length]).clip(max=max(len(pool) - 1, 0))
        known = pool[place] == row[:length]
        row[:length][known] = rng.permutation(pool)[place[known]]
    return changed


def shuffled_rows(
    tokens: Int[np.ndarray, "row seq"], lengths: Int[np.ndarray, "row"], seed: int, *, keep_first: int = 0
) -> Int[np.ndarray, "row seq"]:
    """Rows whose first `lengths` ids, but for the first `keep_first` (BOS), stand in random order; unigrams are kept."""
    changed = tokens.copy()
    rng = np.random.default_rng(derive(seed, "shuffled rows"))
    for row, length in zip(changed, lengths, strict=True):
        row[keep_first:length] = rng.permutation(row[keep_first:length])
    return changed


def _renamed(document: Document, words: Sequence[str], seed: int) -> str:
    tokens = LEXEME.findall(document.text)
    mine = list(dict.fromkeys(token for token in tokens if _is_word(token)))
    if len(mine) > len(words):
        raise ConfigError(
            f"document '{document.id}' has {len(mine)} distinct words and the vocabulary {len(words)}; give more words."
        )
    order = Random(seed).sample(words, len(words))
    free: dict[int, list[str]] = {}
    for word in order:
        free.setdefault(len(word), []).append(word)
    new = {word: free[len(word)].pop() for word in mine if free.get(len(word))}
    spare = [word for some in free.values() for word in some]
    new |= {word: spare.pop() for word in mine if word not in new}
    return "".join(new.get(token, token) for token in tokens)


def _transplanted(document: Document, sources: Sequence[Document], seed: int) -> str:
    factors = factorise(document.text)
    fresh = sum(factor.fresh for factor in factors)
    donor, text, place = Random(seed).randrange(len(sources)), "", 0
    while len(text) < fresh or not text[:fresh].strip():  # no document may be blank, and no source is
        text, donor = text.lstrip() + sources[donor % len(sources)].text, donor + 1
    written = ""
    for factor in factors:
        written += text[place : place + factor.fresh]
        place += factor.fresh
        period = written[len(written) - factor.distance :]
        written += (period * (factor.length // max(factor.distance, 1) + 1))[: factor.length]
    return written


def _shuffled(document: Document, seed: int) -> str:
    tokens, rng = LEXEME.findall(document.text), Random(seed)
    order = {
        True: [token for token in tokens if _is_word(token)],
        False: [token for token in tokens if _is_mark(token)],
    }
    for some in order.values():
        rng.shuffle(some)
    drawn = {kind: iter(some) for kind, some in order.items()}
    return "".join(token if token.isspace() else next(drawn[_is_word(token)]) for token in tokens)


def _with_text(document: Document, text: str, control: str) -> Document:
    return Document(id=f"{control}/{document.id}", text=text, domain=f"{control}/{document.domain}", source=control)


def _is_word(token: str) -> bool:
    return token[0].isalnum() or token[0] == "_"


def _is_mark(token: str) -> bool:
    return not _is_word(token) and not token.isspace()
