import numpy as np
import pytest
from compared_corpora import corpora, noise, words

from imprint.corpus import Corpus
from imprint.corpus.comparison import contamination as module
from imprint.corpus.comparison import find_contamination
from imprint.errors import ConfigError, CorpusError
from imprint.stats import Undefined

ITEMS = noise(0, 40, count=20, vocabulary=800)
FILLER = noise(1, 40, count=120, vocabulary=800)


def edited(text: str, places: list[int]) -> str:
    own = text.split()
    for place in places:
        own[place] = "edited"
    return " ".join(own)


def loud(text: str) -> str:
    return text.upper().replace(" ", ",\n") + "?"


def items(texts=ITEMS) -> Corpus:
    return corpora(arc=list(texts))


def planted() -> Corpus:
    """Items 0-9 word for word, 10-19 inside longer text, 20-29 with a word changed; 30-39 nowhere."""
    dirty = [loud(text) for text in ITEMS[:10]]
    dirty += [f"{FILLER[n][:300]} {loud(ITEMS[n])} {FILLER[n][300:]}" for n in range(10, 20)]
    dirty += [f"{FILLER[n]} {edited(ITEMS[n], [10])}" for n in range(20, 30)]
    return corpora(dirty=dirty, neutral=FILLER)


def test_every_planted_item_is_found_and_no_clean_one():
    found = find_contamination(items(), planted(), seed=0)
    assert [(one.item, one.document) for one in found.matches] == [(f"arc/{n}", f"dirty/{n}") for n in range(30)]
    assert [one.kind for one in found.matches] == ["exact"] * 10 + ["verbatim"] * 10 + ["near"] * 10
    assert {one.similarity for one in found.matches[:20]} == {1.0}
    assert {one.similarity for one in found.matches[20:]} == {15 / 18}
    assert {one.jaccard for one in found.matches[:10]} == {1.0}
    assert max(one.jaccard for one in found.matches[10:]) < 0.2  # why whole documents must not be compared
    assert found.clean == tuple(f"arc/{n}" for n in range(30, 40))
    assert found.unjudged == ()
    assert found.shares["dirty"].estimate == 0.75
    assert found.shares["neutral"].estimate == 0
    assert found.shares["neutral"].high < 0.1
    assert (found.false_positives.estimate, found.false_positives.n) == (0, 40)


def test_clean_corpora_give_nothing():
    found = find_contamination(items(), corpora(a=FILLER), seed=0)
    assert found.matches == ()
    assert len(found.clean) == 40


@pytest.mark.parametrize(
    ("places", "similarity"), [([0], 17 / 18), ([1, 18], 14 / 18), ([5, 6], 14 / 18), ([5, 12], None)]
)
def test_edits_count_by_the_runs_they_break(places, similarity):
    found = find_contamination(items(), corpora(a=[*FILLER, edited(ITEMS[3], places)]), seed=0)
    assert [one.similarity for one in found.matches] == ([] if similarity is None else [similarity])


def test_a_lower_threshold_finds_more():
    training = corpora(a=[*FILLER, edited(ITEMS[3], [5, 12])])
    assert [one.similarity for one in find_contamination(items(), training, seed=0, threshold=0.6).matches] == [12 / 18]


def test_most_similar_documents_come_first():
    training = corpora(a=[*FILLER, edited(ITEMS[3], [10]), f"{FILLER[0]} {ITEMS[3]}", ITEMS[3], ITEMS[1]])
    found = find_contamination(items(), training, seed=0).matches
    assert [(one.item, one.document) for one in found] == [
        ("arc/1", "a/43"), ("arc/3", "a/41"), ("arc/3", "a/42"), ("arc/3", "a/40"),
    ]  # fmt: skip


FORM = "which of the following statements about the topic best explains"


def test_the_form_that_items_share_is_not_their_content(monkeypatch):
    asked = [f"{FORM} a{n} b{n} c{n} d{n} e{n} f{n}" for n in range(30)]
    training = corpora(a=[f"{FORM} x{n} y{n} c{n} d{n} e{n} f{n} z{n}" for n in range(30)] + [asked[4], *FILLER])
    assert [one.item for one in find_contamination(items(asked), training, seed=0).matches] == ["arc/4"]
    monkeypatch.setattr(module, "_COMMON_LEAST", 10**9)
    assert len(find_contamination(items(asked), training, seed=0, threshold=0.6).matches) > 30


def test_runs_scattered_over_a_long_document_are_no_item(monkeypatch):
    own = ITEMS[3].split()
    pieces = [" ".join(own[start : start + 3]) for start in range(18)]
    scattered = " ".join(f"{piece} {words(np.random.default_rng(n), 30, 800, 'f')}" for n, piece in enumerate(pieces))
    training = corpora(a=[*FILLER, scattered])
    assert find_contamination(items(), training, seed=0).matches == ()
    monkeypatch.setattr(module, "_WINDOW", 10**6)
    assert [one.item for one in find_contamination(items(), training, seed=0).matches] == ["arc/3"]


def test_short_items_are_listed_as_unjudged_and_matched_only_exactly():
    asked = [*ITEMS[:5], "what is two plus two", "name the capital of france"]
    training = corpora(a=[*FILLER, "What is two plus two?", f"{FILLER[0]} name the capital of france"])
    found = find_contamination(items(asked), training, seed=0)
    assert found.unjudged == ("arc/5", "arc/6")
    assert [(one.item, one.kind) for one in found.matches] == [("arc/5", "exact")]
    assert found.clean == tuple(f"arc/{n}" for n in range(5))


def test_copies_of_an_item_do_not_make_it_a_form():
    training = corpora(a=[*FILLER, ITEMS[0]])
    assert len(find_contamination(items([ITEMS[0]] * 20 + ITEMS[1:3]), training, seed=0).matches) == 20


def test_the_control_shows_a_corpus_that_repeats_itself():
    creed = words(np.random.default_rng(5), 60, 800)
    training = corpora(a=[f"{creed} {text}" for text in noise(6, 30, count=10, vocabulary=800)])
    found = find_contamination(items(), training, seed=0)
    assert found.matches == ()
    assert found.false_positives.low > 0.2


def test_given_controls_are_searched_in_all_documents():
    known = corpora(control=[*noise(9, 10, vocabulary=800), ITEMS[0]])
    found = find_contamination(items(), planted(), seed=0, controls=known).false_positives
    assert (found.estimate, found.n) == (1 / 11, 11)


def test_progress_and_reproducibility():
    seen = []
    first = find_contamination(items(), planted(), seed=0, advance=seen.append)
    assert sum(seen) == len(planted())
    assert find_contamination(items(), planted(), seed=0) == first


def test_arguments_out_of_range():
    training = corpora(a=FILLER)
    for options in ({"threshold": 0.3}, {"shingle_words": 0}, {"min_words": 2}, {"most_controls": 1}):
        with pytest.raises(ConfigError, match="correct them"):
            find_contamination(items(), training, seed=0, **options)
    with pytest.raises(CorpusError, match="give at least 2"):
        find_contamination(items(ITEMS[:1]), training, seed=0)


def test_without_control_texts_the_false_positives_are_undefined_and_the_matches_stay():
    short = find_contamination(items(), corpora(a=["too short"]), seed=0)
    assert isinstance(short.false_positives, Undefined)
    known = corpora(c=["short", "texts"])
    found = find_contamination(items(), planted(), seed=0, controls=known)
    assert isinstance(found.false_positives, Undefined)
    assert "long and varied enough" in found.false_positives.reason
    assert found.matches == find_contamination(items(), planted(), seed=0).matches
