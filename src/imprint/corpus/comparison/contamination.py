"""Evaluation items that stand in a training corpus: every match is listed before anything is concluded from them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int, UInt64

from imprint.corpus.comparison.shares import share
from imprint.corpus.comparison.shingles import normalised_words, shingle_hashes
from imprint.corpus.documents import Corpus, Document
from imprint.errors import ConfigError, CorpusError
from imprint.runs import derive
from imprint.stats import Effect, Estimate, Undefined
from imprint.types import Advance, no_progress

MatchKind = Literal["exact", "verbatim", "near"]
_WINDOW = 2
"""A near match must lie in a stretch of the document of so many times the item's length."""
_COMMON_SHARE, _COMMON_LEAST = 0.02, 5
"""A run of words in more of the items than this is their form ("which of the following"), not their content."""
_LEAST_SHINGLES = 4
_PASSAGE = "passage of "


@dataclass(frozen=True, kw_only=True, slots=True)
class ContaminationMatch:
    """An evaluation item found in a training document."""

    item: str
    task: str
    """Domain of the item."""
    document: str
    domain: str
    """Domain (condition) of the document."""
    kind: MatchKind
    """"exact": the document says the item and nothing else; "verbatim": it holds all its words in a row; "near"."""
    similarity: float
    """Share of the item's own runs of words that stand together in the document (containment); 1 for exact, verbatim."""
    jaccard: float
    """Shared runs of words over all of item and document: low where a long document quotes the item."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contamination:
    """The matches first; then what they cover, what could not be judged, and how often chance gives one."""

    matches: tuple[ContaminationMatch, ...]
    """Every item with every document that holds it, in the order of items, most similar first."""
    unjudged: tuple[str, ...]
    """Items too short or too formulaic for a near match; of these only exact matches are known."""
    clean: tuple[str, ...]
    """Judged items without any match: the subset to evaluate on."""
    shares: dict[str, Effect]
    """For each training domain the share of all items found in it."""
    false_positives: Estimate
    """Share of control texts, which are no items, that the same search finds; undefined where no such text can be made."""
    threshold: float
    shingle_words: int


def find_contamination(
    items: Corpus,
    training: Corpus,
    *,
    seed: int,
    threshold: float = 0.7,
    shingle_words: int = 3,
    min_words: int = 8,
    controls: Corpus | None = None,
    most_controls: int = 1000,
    advance: Advance = no_progress,
) -> Contamination:
    """Where each item's words stand in the training documents, equal up to case, marks and spaces, or nearly.

    Near: at least `threshold` of the item's runs of `shingle_words` words stand in one stretch of a document twice as
    long as the item. An index of the items' runs gives this share for every pair, so no pair is missed or estimated
    (MinHash would estimate it, and only for whole documents). Runs that many items share do not count. `controls` are
    texts known not to be in training; None: passages as long as the items from training documents without a match,
    each searched in the others, which bounds the false positives from above. Progress counts documents.

    Raises:
        ConfigError: a threshold outside (.3, 1], or sizes below 1.
        CorpusError: fewer than two items.

    Trust: translations and free paraphrases are not found; answers without their question are not looked for.
    """
    if not 0.3 < threshold <= 1 or shingle_words < 1 or min_words < shingle_words or most_controls < 2:
        raise ConfigError(
            f"threshold={threshold} must lie in (0.3, 1], shingle_words={shingle_words} be 1 or more, "
            f"min_words={min_words} no smaller and most_controls={most_controls} 2 or more; correct them."
        )
    if len(items) < 2:
        raise CorpusError(f"{len(items)} evaluation item(s) say nothing about a share; give at least 2.")
    search = _Search(items.documents, threshold, shingle_words, min_words)
    matches = search.matches(training.documents, advance)
    found = {match.item for match in matches}
    if controls is None:
        used = {match.document for match in matches}
        clean_documents = [document for document in training if document.id not in used]
        lengths = [len(words) for words in search.words]
        controls = _passages(clean_documents, lengths, min_words, most_controls, derive(seed, "passages"))
        others: Iterable[Document] = clean_documents
    else:
        others = training.documents
    return Contamination(
        matches=tuple(matches),
        unjudged=search.unjudged,
        clean=tuple(item.id for item in items if item.id not in found and item.id not in set(search.unjudged)),
        shares=_shares(matches, items, training),
        false_positives=_false_positives(controls, others, threshold, shingle_words, min_words),
        threshold=threshold,
        shingle_words=shingle_words,
    )


class _Search:
    """An index of the runs of words of all items: which items have which run."""

    def __init__(self, items: tuple[Document, ...], threshold: float, shingle_words: int, min_words: int) -> None:
        self.items, self.threshold, self.size = items, threshold, shingle_words
        self.words = [normalised_words(item.text) for item in items]
        self.joined = [" ".join(words) for words in self.words]
        self.same: dict[str, list[int]] = {}
        for place, text in enumerate(self.joined):
            self.same.setdefault(text, []).append(place)
        self.all_runs = [np.unique(shingle_hashes(words, shingle_words)) for words in self.words]
        common = self._common()
        self.runs = [np.setdiff1d(runs, common, assume_unique=True) for runs in self.all_runs]
        self.sizes = np.array([len(runs) for runs in self.runs])
        judged = [
            len(words) >= min_words and len(runs) >= _LEAST_SHINGLES
            for words, runs in zip(self.words, self.runs, strict=True)
        ]
        self.unjudged = tuple(item.id for item, is_judged in zip(items, judged, strict=True) if not is_judged)
        listed = [place for place, is_judged in enumerate(judged) if is_judged]
        keys = np.concatenate([np.zeros(0, dtype=np.uint64), *(self.runs[place] for place in listed)])
        owners = np.repeat(np.array(listed, dtype=np.int64), [len(self.runs[place]) for place in listed])
        order = np.argsort(keys, kind="stable")
        self.keys, self.owners = keys[order], owners[order]

    def matches(self, documents: Iterable[Document], advance: Advance = no_progress) -> list[ContaminationMatch]:
        """Every match, in the order of items, most similar first, then in the order of documents."""
        found: list[tuple[int, float, int, ContaminationMatch]] = []
        for number, document in enumerate(documents):
            for place, match in self._in_document(document):
                found.append((place, -match.similarity, number, match))
            advance(1)
        return [match for *_, match in sorted(found, key=lambda one: one[:3])]

    def _common(self) -> UInt64[np.ndarray, "_"]:
        distinct = [self.all_runs[places[0]] for places in self.same.values()]
        runs, times = np.unique(np.concatenate(distinct), return_counts=True)
        return np.asarray(runs[times > max(_COMMON_LEAST, _COMMON_SHARE * len(distinct))])

    def _in_document(self, document: Document) -> Iterator[tuple[int, ContaminationMatch]]:
        words = normalised_words(document.text)
        text = " ".join(words)
        hashes = shingle_hashes(words, self.size)
        equal = self.same.get(text, [])
        for place in equal:
            yield place, self._match(place, document, "exact", 1.0, hashes)
        for place, similarity in self._candidates(hashes):
            if place in equal:
                continue
            if f" {self.joined[place]} " in f" {text} ":
                yield place, self._match(place, document, "verbatim", 1.0, hashes)
            elif similarity >= self.threshold:
                yield place, self._match(place, document, "near", similarity, hashes)

    def _candidates(self, hashes: UInt64[np.ndarray, "position"]) -> Iterator[tuple[int, float]]:
        """Items with enough runs anywhere in the document, with their share in the best stretch of it."""
        left, right = (np.searchsorted(self.keys, hashes, side=side) for side in ("left", "right"))
        times = right - left
        position = np.repeat(np.arange(len(hashes)), times)
        entry = np.arange(len(position)) - np.repeat(np.cumsum(times) - times, times) + np.repeat(left, times)
        owner = self.owners[entry]
        shared = np.bincount(self.owners[np.unique(entry)], minlength=len(self.items))
        for place in np.flatnonzero((shared > 0) & (shared >= self.threshold * self.sizes)).tolist():
            mine = owner == place
            together = _most_together(position[mine], entry[mine], _WINDOW * len(self.words[place]))
            yield place, together / len(self.runs[place])

    def _match(
        self, place: int, document: Document, kind: MatchKind, similarity: float, hashes: UInt64[np.ndarray, "_"]
    ) -> ContaminationMatch:
        own, theirs = self.all_runs[place], np.unique(hashes)
        shared = len(np.intersect1d(own, theirs, assume_unique=True))
        return ContaminationMatch(
            item=self.items[place].id,
            task=self.items[place].domain,
            document=document.id,
            domain=document.domain,
            kind=kind,
            similarity=similarity,
            jaccard=shared / (len(own) + len(theirs) - shared),
        )


def _most_together(position: Int[np.ndarray, "hit"], entry: Int[np.ndarray, "hit"], window: int) -> int:
    """Most different entries among hits (in order of position) that lie within `window` positions."""
    inside: Counter[int] = Counter()
    start = most = 0
    for end, one in enumerate(entry.tolist()):
        inside[one] += 1
        while position[end] - position[start] >= window:
            gone = int(entry[start])
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            start += 1
        most = max(most, len(inside))
    return most


def _passages(documents: list[Document], lengths: list[int], min_words: int, most: int, seed: int) -> Corpus:
    """Stretches of training documents as long as items; the id says which document it is from."""
    generator = np.random.default_rng(seed)
    wanted = np.array([length for length in lengths if length >= min_words] or [min_words])
    found: list[Document] = []
    for place in generator.permutation(len(documents)).tolist():
        words = normalised_words(documents[place].text)
        length = int(generator.choice(wanted))
        if len(words) >= length and len(found) < most:
            start = int(generator.integers(len(words) - length + 1))
            text = " ".join(words[start : start + length])
            found.append(Document(id=_PASSAGE + documents[place].id, text=text, domain="control"))
    return Corpus(documents=tuple(found))


def _false_positives(
    controls: Corpus, documents: Iterable[Document], threshold: float, shingle_words: int, min_words: int
) -> Estimate:
    if len(controls) < 2:
        return Undefined(reason="fewer than two training documents without an item are as long as one; give controls")
    search = _Search(controls.documents, threshold, shingle_words, min_words)
    judged = len(controls) - len(search.unjudged)
    if judged < 2:
        return Undefined(reason=f"only {judged} control text(s) are long and varied enough; give longer controls")
    matched = {match.item for match in search.matches(documents) if match.item != _PASSAGE + match.document}
    hits = matched - set(search.unjudged)
    return share(len(hits), judged, metric="control texts found", control="none should be found", unit="item")


def _shares(matches: list[ContaminationMatch], items: Corpus, training: Corpus) -> dict[str, Effect]:
    found = {domain: {match.item for match in matches if match.domain == domain} for domain in training.domains}
    return {
        domain: share(
            len(names), len(items), metric=f"items found in {domain}", control="no item in training", unit="item"
        )
        for domain, names in found.items()
    }
