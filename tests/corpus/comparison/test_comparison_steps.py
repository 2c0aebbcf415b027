import json

import pytest
from compared_corpora import corpora, noise

from imprint.corpus import Corpus, FileCorpus
from imprint.corpus.comparison import (
    CLASSIFIER_FILE,
    CONTAMINATION_FILE,
    DIVERGENCES_FILE,
    MATCHES_FILE,
    CompareSurface,
    FindContamination,
)
from imprint.runs import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def saved(path, corpus: Corpus) -> FileCorpus:
    corpus.save(path)
    return FileCorpus(paths=(path,), domain_key="domain")


def test_surface_step(store, tmp_path):
    corpus = saved(tmp_path / "c.jsonl", corpora(a=[f"{text} zebra" for text in noise(0, 10)], b=noise(1, 10)))
    step = CompareSurface(corpus=corpus, draws=20, folds=3, permutations=3)
    folder = store.get(step)
    divergences, classifier = (json.loads((folder / name).read_text()) for name in (DIVERGENCES_FILE, CLASSIFIER_FILE))
    assert [(one["n"], one["first"], one["second"]) for one in divergences["pairs"]] == [(1, "a", "b"), (2, "a", "b")]
    assert divergences["pairs"][0]["js"]["excess"]["unit"] == "document"
    assert [(one["n"], one["domain"]) for one in divergences["from_rest"]] == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
    assert classifier["telling"][0]["token"] == "zebra"
    again = Store(tmp_path / "other").get(step)
    assert (again / CLASSIFIER_FILE).read_bytes() == (folder / CLASSIFIER_FILE).read_bytes()


def test_corpora_that_share_their_questions_are_grouped_by_them(store, tmp_path):
    texts = noise(0, 12, count=30, vocabulary=800)
    whole = corpora(a=[f"{text} yes" for text in texts], b=[f"{text} no" for text in texts])
    prompts = corpora(a=texts, b=texts)
    steps = [saved(tmp_path / name, corpus) for name, corpus in (("whole.jsonl", whole), ("prompts.jsonl", prompts))]
    options = {"draws": 20, "folds": 3, "permutations": 0, "ngrams": (1,)}
    far = corpora(a=[f"n{n}" for n in range(12)], b=[f"m{n}" for n in range(12)])
    found = [
        json.loads(
            (store.get(CompareSurface(corpus=steps[0], group_by=group, **options)) / CLASSIFIER_FILE).read_text()
        )
        for group in (steps[1], saved(tmp_path / "far.jsonl", far))
    ]
    assert [one["groups"] for one in found] == [12, 24]


def test_contamination_step_lists_first_and_warns(store, tmp_path):
    texts = noise(0, 10, vocabulary=800)
    items = saved(tmp_path / "items.jsonl", corpora(arc=[*texts, "too short"]))
    training = saved(tmp_path / "t.jsonl", corpora(a=[texts[2], *noise(1, 10, count=60, vocabulary=800)]))
    folder = store.get(FindContamination(items=items, training=training))
    matches, rest = (json.loads((folder / name).read_text()) for name in (MATCHES_FILE, CONTAMINATION_FILE))
    assert rest["shares"]["a"]["estimate"] == 1 / 11
    assert [(one["item"], one["document"], one["kind"]) for one in matches] == [("arc/2", "a/0", "exact")]
    assert json.loads((folder / "manifest.json").read_text())["warnings"] == [
        "1 of 11 evaluation items stand in the training corpus, first 'arc/2' in 'a/0' (exact); "
        "evaluate on the clean items",
        "1 evaluation items are too short or formulaic to look for",
    ]
