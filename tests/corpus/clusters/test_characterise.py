import numpy as np
import pytest
from small_corpora import SUBJECTS, subjects

from imprint.corpus import Corpus, Document
from imprint.corpus.clusters import Clustering, character_table, characterise, domains
from imprint.corpus.clusters.sampling import sample_cluster
from imprint.errors import ConfigError, CorpusError


@pytest.fixture(scope="module")
def found():
    corpus = subjects(words=120)
    return characterise(corpus, domains(corpus), seed=0, document_tokens=np.arange(60))


def test_sizes_are_exact(found):
    corpus = subjects(words=120)
    for one in found:
        mine = [document for document in corpus if document.domain == one.name]
        assert (one.documents, one.characters) == (20, sum(len(document.text) for document in mine))
        assert one.tokens == sum(place for place, document in enumerate(corpus) if document.domain == one.name)
        assert one.share == pytest.approx(1 / 3)


def test_words_tell_the_subject(found):
    for one in found:
        assert {word.word for word in one.distinctive} == set(SUBJECTS[one.name])
        assert set(one.topic_words) <= set(SUBJECTS[one.name])
        assert one.measures["word_entropy"].estimate == pytest.approx(np.log2(12), abs=0.02)
        assert one.measures["type_token_ratio"].estimate == pytest.approx(0.12, abs=0.001)
        assert one.measures["sentence_length"].estimate == 120


def test_a_random_division_has_weaker_words(found):
    """Every document of a subject holds nearly all its words, so they meet wherever they occur."""
    assert all(one.coherence.low > 0.8 for one in found)
    corpus = subjects(words=120)
    mixed = np.random.default_rng(0).integers(0, 3, 60)
    shuffled = Clustering(unit="document", method="random", labels=mixed, names=("a", "b", "c"), ids=corpus.ids)
    null = characterise(corpus, shuffled, seed=0)
    assert 2 * max(one.distinctive[0].z for one in null) < min(one.distinctive[0].z for one in found)


def test_noise_is_left_out():
    corpus = subjects(per_subject=4)
    labels = domains(corpus).labels.copy()
    labels[labels == 2] = -1
    noisy = Clustering(unit="document", method="m", labels=labels, names=("cooking", "music"), ids=corpus.ids)
    found = characterise(corpus, noisy, seed=0)
    assert [one.name for one in found] == ["cooking", "music"]
    assert not {word.word for one in found for word in one.distinctive} & set(SUBJECTS["sailing"])


def test_the_sample_is_bounded_and_stated():
    corpus = subjects(words=400)
    bounded = characterise(corpus, domains(corpus), seed=0, most_characters=5000, most_document_characters=1000)
    for one in bounded:
        assert (one.sampled_documents, one.sampled_characters) == (5, 5000)
        assert one.documents == 20


def test_one_document_is_described_over_its_passages():
    text = " ".join(SUBJECTS["music"] * 40)
    corpus = subjects(per_subject=3).extended([Document(id="alone", text=text, domain="alone")])
    alone = characterise(corpus, domains(corpus), seed=0)[0]
    assert (alone.name, alone.documents, alone.sampled_documents) == ("alone", 1, 1)
    effect = alone.measures["content_words"]
    assert (effect.unit, effect.n) == ("item", 10)
    assert effect.note == "one document: the interval is over its passages"


def test_one_letter_is_a_document():
    corpus = Corpus(documents=(Document(id="a", text="x", domain="a"), Document(id="b", text="7", domain="b")))
    found = characterise(corpus, domains(corpus), seed=0)
    assert [one.characters for one in found] == [1, 1]
    assert all(one.coherence is None for one in found)


def test_table(found):
    table = character_table(found)
    assert set(table["cluster"]) == {"cooking", "music", "sailing"}
    assert table.filter((table["estimate"] < table["low"]) | (table["estimate"] > table["high"])).is_empty()
    assert (table["meaning"].str.len_chars() > 0).all()
    assert character_table(()).columns == table.columns


def test_same_seed_same_records(found):
    corpus = subjects(words=120)
    again = characterise(corpus, domains(corpus), seed=0, document_tokens=np.arange(60))
    assert [one.as_dict() for one in again] == [one.as_dict() for one in found]


def test_a_clustering_of_something_else():
    corpus = subjects(per_subject=2)
    tokens = Clustering(unit="token", method="dbscan", labels=np.zeros(3, dtype=np.int64), names=("a",))
    with pytest.raises(CorpusError, match="a clustering of tokens"):
        characterise(corpus, tokens, seed=0)
    with pytest.raises(CorpusError, match="they are not the 6 of this corpus"):
        characterise(corpus, domains(subjects(per_subject=3)), seed=0)


def test_sampling_takes_two_documents_even_beyond_the_limit():
    generator = np.random.default_rng(0)
    taken = sample_cluster(["a" * 100] * 5, generator=generator, most_characters=50, most_document_characters=80)
    assert [len(text) for text in taken.texts] == [80, 80]
    with pytest.raises(ConfigError, match="leave no sample"):
        sample_cluster(["a"], generator=generator, most_characters=0, most_document_characters=1)
