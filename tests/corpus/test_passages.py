import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imprint.corpus import Corpus, Document
from imprint.corpus.passages import passages
from imprint.errors import ConfigError, CorpusError


def corpus(**texts):
    """One document a keyword; the part of its name before `_` is the domain."""
    return Corpus(
        documents=tuple(Document(id=name, text=text, domain=name.split("_")[0]) for name, text in texts.items())
    )


def pieces_of(text, most_bytes):
    """All passages of one document, in order; none if it has none."""
    found = Corpus(documents=())
    with contextlib.suppress(CorpusError):
        while True:
            found = passages(corpus(a=text), most_bytes=most_bytes, per_domain=len(found) + 1, seed=0)
    return [document.text for document in found]


def test_consecutive_pieces_with_offsets_as_ids():
    found = passages(corpus(a="abcdefghijklmnop"), most_bytes=6, per_domain=3, seed=0)
    assert [(document.id, document.text) for document in found] == [
        ("a#0", "abcdef"),
        ("a#6", "ghijkl"),
        ("a#12", "mnop"),
    ]


def test_the_end_is_dropped_below_a_third():
    assert pieces_of("x" * 20, 9) == ["x" * 9, "x" * 9]
    assert pieces_of("x" * 21, 9) == ["x" * 9, "x" * 9, "x" * 3]


def test_a_piece_of_white_space_is_dropped():
    assert pieces_of("abcdefghi" + " " * 9 + "jklmnopqr", 9) == ["abcdefghi", "jklmnopqr"]


@pytest.mark.parametrize(("character", "size"), [("a", 1), ("é", 2), ("汉", 3), ("😀", 4)])
def test_scripts_of_every_width_are_kept(character, size):
    """A third is counted in bytes: by characters, text of four bytes each would always be too short."""
    assert pieces_of(character * 64, 64) == [character * (64 // size)] * size


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab é汉😀\n", min_size=1, max_size=80), st.integers(4, 40))
def test_pieces_fit_and_lose_no_text(text, most_bytes):
    if not text.strip():
        return
    found = pieces_of(text, most_bytes)
    assert all(most_bytes // 3 <= len(piece.strip().encode()) for piece in found)
    assert all(len(piece.encode()) <= most_bytes for piece in found)
    place = 0
    for piece in found:
        start = text.index(piece, place)
        assert len(text[place:start].strip().encode()) <= (start - place) / 3 * 4  # what is skipped is mostly blank
        place = start + len(piece)


def test_every_domain_gives_the_same_number_and_the_seed_chooses():
    whole = corpus(a_1="x" * 400, a_2="y" * 400, b_1="z" * 300)
    one, again, other = (passages(whole, most_bytes=10, per_domain=12, seed=seed) for seed in (0, 0, 1))
    assert {domain: len(part) for domain, part in one.by_domain().items()} == {"a": 12, "b": 12}
    assert one.digest == again.digest != other.digest
    assert {document.text[0] for document in one.by_domain()["a"]} == {"x", "y"}


def test_source_and_domain_travel_along():
    whole = Corpus(documents=(Document(id="d", text="hello there", domain="prose", source="/book"),))
    (found,) = passages(whole, most_bytes=20, per_domain=1, seed=0)
    assert (found.domain, found.source) == ("prose", "/book")


def test_too_little_text():
    with pytest.raises(CorpusError, match="domain 'b' gives 2 passages of 10 bytes but 3 are asked for; collect more"):
        passages(corpus(a="x" * 100, b="y" * 20), most_bytes=10, per_domain=3, seed=0)


@pytest.mark.parametrize("most_bytes", [0, 3])
def test_passages_too_short_for_a_character(most_bytes):
    with pytest.raises(ConfigError, match="at least 4"):
        passages(corpus(a="😀" * 10), most_bytes=most_bytes, per_domain=1, seed=0)
