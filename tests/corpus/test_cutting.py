import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprint.corpus import cut


@given(st.text(st.sampled_from("ab \né😀\r"), max_size=300), st.integers(4, 40))
def test_pieces_join_to_the_text_and_keep_the_bound(text, max_bytes):
    pieces = cut(text, max_bytes=max_bytes)
    assert "".join(pieces) == text
    assert all(0 < len(piece.encode()) <= max_bytes for piece in pieces)


def test_a_paragraph_end_beats_a_line_end_beats_a_space():
    assert cut("aaaa aa\n\nbb\ncc ddddd", max_bytes=16) == ["aaaa aa\n\n", "bb\ncc ddddd"]
    assert cut("aaaa aa bb\ncc ddddd ee", max_bytes=16) == ["aaaa aa bb\n", "cc ddddd ee"]
    assert cut("aaaa aa bb cc ddddd", max_bytes=16) == ["aaaa aa bb cc ", "ddddd"]
    assert cut("a" * 20, max_bytes=16) == ["a" * 16, "a" * 4]


def test_characters_are_never_split():
    assert cut("😀😀😀", max_bytes=7) == ["😀", "😀", "😀"]


def test_a_size_below_one_character_is_refused():
    with pytest.raises(ValueError, match="max_bytes=3"):
        cut("text", max_bytes=3)


def test_short_and_empty_text():
    assert cut("a\n\nb", max_bytes=16) == ["a\n\nb"]
    assert cut("") == []
