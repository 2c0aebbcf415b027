import builtins
import sys

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from small_corpora import SUBJECTS, subjects

from imprint.corpus import Corpus, Document
from imprint.corpus.clusters import bertopic_model, domains, lda_topics
from imprint.corpus.clusters.topics import bertopic_topics, topic_names
from imprint.errors import ConfigError, CorpusError


def test_domains_are_clusters_by_name():
    corpus = subjects(per_subject=2)
    found = domains(corpus)
    assert found.names == ("cooking", "music", "sailing")
    assert found.slice_ids("music") == ("music-0", "music-1")
    assert found.num_noise == 0


def test_domains_need_two():
    corpus = subjects(per_subject=2).by_domain()["music"]
    with pytest.raises(CorpusError, match="all 2 documents are of one domain, 'music'"):
        domains(corpus)
    with pytest.raises(CorpusError, match="the corpus is empty"):
        domains(Corpus(documents=()))


def test_lda_finds_planted_subjects():
    corpus = subjects()
    found = lda_topics(corpus, topics=3, seed=0)
    assert adjusted_rand_score(domains(corpus).labels, found.labels) == 1.0
    for name, number in zip(found.names, range(3), strict=True):
        subject = found.slice_ids(number)[0].partition("-")[0]
        assert set(name.split(", ")) <= set(SUBJECTS[subject])


def test_lda_is_deterministic():
    corpus = subjects()
    first, again = (lda_topics(corpus, topics=5, seed=3) for _ in range(2))
    assert first.names == again.names
    assert first.labels.tobytes() == again.labels.tobytes()


def test_documents_without_a_usable_word_are_noise():
    empty = Document(id="numbers", text="1 2 3 and the of", domain="x")
    corpus = subjects(per_subject=5).extended([empty])
    found = lda_topics(corpus, topics=3, seed=0)
    assert found.labels[-1] == -1
    assert found.num_noise == 1


@pytest.mark.parametrize(
    ("topics", "message"), [(1, "1 topics divide nothing"), (16, "16 topics are more than the 15 documents")]
)
def test_topics_that_do_not_fit(topics, message):
    with pytest.raises(ConfigError, match=message):
        lda_topics(subjects(per_subject=5), topics=topics, seed=0)


def test_no_usable_word():
    corpus = Corpus(documents=tuple(Document(id=str(n), text="1 2 3", domain="x") for n in range(3)))
    with pytest.raises(CorpusError, match="none of the 3 documents has a word"):
        lda_topics(corpus, topics=2, seed=0)


def test_names_are_told_apart():
    assert topic_names([["a", "b"], ["c"], ["a", "b"]]) == ("a, b (0)", "c", "a, b (2)")


def test_bertopic_without_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **named):
        if name == "bertopic":
            raise ImportError(name="bertopic")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "bertopic", raising=False)
    with pytest.raises(ConfigError, match=r"needs the optional extra 'topics' \(bertopic is not installed\)"):
        bertopic_model.fit_bertopic(["a"] * 30, np.zeros((30, 4), np.float32), seed=0, topics=None, smallest=5)


def test_bertopic_needs_documents():
    with pytest.raises(ConfigError, match="15 documents cannot give two topics of at least 10"):
        bertopic_topics(subjects(per_subject=5), encoder="nowhere", seed=0)


@pytest.mark.slow
def test_bertopic_finds_planted_regions_twice_the_same():
    """Embeddings in three tight groups: the same groups come back, with their words as names, and again to the byte."""
    pytest.importorskip("bertopic")
    corpus = subjects(per_subject=30)
    truth = domains(corpus).labels
    generator = np.random.default_rng(0)
    centres = np.linalg.qr(generator.normal(size=(16, 3)))[0].T
    vectors = (centres[truth] + 0.02 * generator.normal(size=(90, 16))).astype(np.float32)
    texts = [document.text for document in corpus]
    labels, top = bertopic_model.fit_bertopic(texts, vectors, seed=1, topics=None, smallest=10)
    assert adjusted_rand_score(truth, labels) == 1.0
    for topic, words in enumerate(top):
        subject = domains(corpus).names[truth[labels == topic][0]]
        assert set(words[:5]) <= set(SUBJECTS[subject])
    again, _ = bertopic_model.fit_bertopic(texts, vectors, seed=1, topics=None, smallest=10)
    assert labels.tobytes() == again.tobytes()
    merged, names = bertopic_model.fit_bertopic(texts, vectors, seed=1, topics=2, smallest=10)
    assert merged.max() == 1
    assert len(names) == 2
