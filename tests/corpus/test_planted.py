import numpy as np
import pytest

from imprint.corpus import Corpus, boilerplate, byte_tokenizer, compression_ratio, noise, novel_repeats, pack
from imprint.corpus.surface import novel_repetition_rate, repeated_ngram_rate
from imprint.errors import ConfigError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("make", [novel_repeats, boilerplate, noise])
def test_documents_are_printable_ascii_of_the_length_asked(make):
    found = make(50, 63, rng())
    assert len(found) == 50
    for document in found:
        assert len(document.text) == len(document.text.encode()) == 63
        assert document.text.isascii()
        assert document.text.isprintable()
    assert {document.domain for document in found} == {make.__name__.replace("_", " ")}


@pytest.mark.parametrize("make", [novel_repeats, boilerplate, noise])
def test_same_generator_state_same_text_and_ids_can_continue(make):
    assert make(9, 40, rng(3)) == make(9, 40, rng(3))
    assert make(9, 40, rng(3)) != make(9, 40, rng(4))
    both = Corpus(documents=(*make(9, 40, rng(3)), *make(9, 40, rng(4), first=9)))
    assert len(both) == 18


def test_boilerplate_segments_are_the_same_for_every_generator():
    train, held_out = boilerplate(400, 63, rng(0)), boilerplate(400, 63, rng(1))
    assert {document.text for document in held_out} & {document.text for document in train}
    assert len({document.text for document in (*train, *held_out)}) <= sum(range(6, 28, 3))
    assert not {d.text for d in boilerplate(400, 63, rng(0), seed=1)} & {d.text for d in train}
    assert len({document.text for document in boilerplate(100, 63, rng(0), segments=1)}) == 6


def test_the_kinds_differ_as_their_names_say():
    corpus = Corpus(documents=(*novel_repeats(200, 60, rng(0)), *boilerplate(200, 60, rng(1)), *noise(200, 60, rng(2))))
    packed = pack(corpus, byte_tokenizer(), context=60)
    domains = packed.row_domains
    repeated = repeated_ngram_rate(packed.tokens[:, 1:], packed.lengths, 3)
    novel = novel_repetition_rate(packed.tokens[:, 1:], packed.lengths, 3)
    assert repeated[domains == "novel repeats"].min() > 0.4
    assert repeated[domains == "boilerplate"].min() > 0.4
    assert repeated[domains == "noise"].mean() < 0.01
    assert novel[domains == "novel repeats"].min() > 0.4
    assert novel[domains == "boilerplate"].max() == 0.0
    ratios = compression_ratio([document.text for document in corpus])
    assert ratios[400:].min() > ratios[:400].mean()


def test_arguments_out_of_range():
    with pytest.raises(ConfigError, match="cannot make -1"):
        novel_repeats(-1, 63, rng())
    with pytest.raises(ConfigError, match="length=11"):
        novel_repeats(1, 11, rng())
    with pytest.raises(ConfigError, match="boilerplate needs"):
        boilerplate(1, 63, rng(), segments=0)
    with pytest.raises(ConfigError, match="positive length"):
        noise(1, 0, rng())
    assert novel_repeats(0, 63, rng()) == []
