import json

import polars as pl
import pytest
from pydantic import ValidationError
from small_corpora import subjects

from imprint.corpus import Corpus, FileCorpus
from imprint.corpus.clusters import (
    ByBertopic,
    ByLda,
    CharacteriseClusters,
    ClusterDocuments,
    Clustering,
    CorpusSample,
    Sheet,
    SheetOptions,
    ValidationSheet,
)
from imprint.errors import CorpusError
from imprint.runs import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def corpus(tmp_path):
    subjects().save(tmp_path / "text.jsonl")
    return FileCorpus(paths=(tmp_path / "text.jsonl",), domain_key="domain")


def test_domains_described_and_sampled(store, corpus):
    clusters = ClusterDocuments(corpus=corpus)
    assert Clustering.load(store.get(clusters)).names == ("cooking", "music", "sailing")
    described = store.get(CharacteriseClusters(corpus=corpus, clusters=clusters))
    assert set(pl.read_parquet(described / "characterisation.parquet")["cluster"]) == {"cooking", "music", "sailing"}
    assert [one["documents"] for one in json.loads((described / "characterisation.json").read_text())] == [20, 20, 20]
    sheet = store.get(ValidationSheet(corpus=corpus, clusters=clusters, options=SheetOptions(minimum=3)))
    assert len(Sheet.load(sheet).items) == 9
    assert store.verify() == []


def test_same_recipe_same_bytes(tmp_path, corpus):
    clusters = ClusterDocuments(corpus=corpus, method=ByLda(topics=3))
    steps = (
        clusters,
        CharacteriseClusters(corpus=corpus, clusters=clusters),
        ValidationSheet(corpus=corpus, clusters=clusters),
    )
    for step in steps:
        first, second = (Store(tmp_path / name).get(step) for name in ("one", "two"))
        for path in first.iterdir():
            if path.name != "manifest.json":
                assert path.read_bytes() == (second / path.name).read_bytes()


def test_noise_is_warned_of(store, tmp_path):
    subjects(per_subject=5).save(tmp_path / "some.jsonl")
    (tmp_path / "numbers.jsonl").write_text('{"text": "1 2 3"}\n')
    corpus = FileCorpus(paths=(tmp_path / "some.jsonl", tmp_path / "numbers.jsonl"))
    folder = store.get(ClusterDocuments(corpus=corpus, method=ByLda(topics=3)))
    warnings = json.loads((folder / "manifest.json").read_text())["warnings"]
    assert warnings == ["1 of 16 documents belong to no cluster (lda, 3 topics, seed 0)"]


def test_one_cluster_is_none(store, tmp_path):
    (tmp_path / "same.jsonl").write_text('{"text": "anchor sail mast"}\n' * 12)
    step = ClusterDocuments(corpus=FileCorpus(paths=(tmp_path / "same.jsonl",)), method=ByLda(topics=2))
    with pytest.raises(CorpusError):
        store.get(step)


def test_sample_of_every_domain(store, corpus):
    drawn = Corpus.load(store.get(CorpusSample(corpus=corpus, per_domain=4)) / "corpus.jsonl")
    assert {name: len(part) for name, part in drawn.by_domain().items()} == {"cooking": 4, "music": 4, "sailing": 4}
    everything = [name for name in Corpus.load(store.get(corpus) / "corpus.jsonl").ids if name in drawn.ids]
    assert list(drawn.ids) == everything
    other = Corpus.load(store.get(CorpusSample(corpus=corpus, per_domain=4, seed=1)) / "corpus.jsonl")
    assert drawn.ids != other.ids


def test_versions_of_the_topic_libraries_are_part_of_the_key(tmp_path, corpus):
    step = ClusterDocuments(corpus=corpus, method=ByBertopic(encoder=tmp_path))
    other = step.method.model_copy(update={"libraries": {**step.method.libraries, "umap-learn": "0"}})
    assert step.key != ClusterDocuments(corpus=corpus, method=other).key


def test_methods_are_checked_before_anything_runs(corpus):
    with pytest.raises(ValidationError):
        ClusterDocuments(corpus=corpus, method=ByLda(topics=1))
    with pytest.raises(ValidationError):
        ClusterDocuments(corpus=corpus, method={"kind": "kmeans"})
