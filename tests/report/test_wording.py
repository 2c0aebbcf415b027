"""Numbers and foreign text as a reader should see them."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import HOSTILE, SHOWN

from imprint.report import wording

T = wording.THIN


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "–"), (0, "0"), (-0.0, "0"), (0.5, "0.500"), (-0.59, "−0.590"), (0.05, "0.05"), (0.00412, "0.00412"),
     (1, "1"), (2.31449, "2.31"), (41, "41"), (118.4, "118"), (1850, f"1{T}850"), (-1850.4, f"−1{T}850"),
     (1234567, f"1{T}234{T}567"), (3.21e-6, "3.21e−6"), (2.5e9, "2.50e9"), (999.96, f"1{T}000")],
)  # fmt: skip
def test_numbers(value, words):
    assert wording.number(value) == words


@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_a_number_reads_back_within_its_digits(value: float):
    text = wording.number(value).replace(wording.MINUS, "-").replace(T, "")
    assert float(text) == pytest.approx(value, rel=6e-3, abs=1e-300)


def test_signs_intervals_and_shares():
    assert wording.signed(0.5) == "+0.500"
    assert wording.signed(-0.5) == "−0.500"
    assert wording.signed(None) == "–"
    assert wording.interval(-0.66, -0.52) == "[−0.660, −0.520]"
    assert wording.interval(None, 0.5) == ""
    assert wording.percent(0.47) == f"47{T}%"
    assert wording.percent(0.0612) == f"6.1{T}%"
    assert wording.percent(0) == f"0{T}%"
    assert wording.percent(None) == "–"
    assert wording.exact(-0.1) == "−0.1"


@pytest.mark.parametrize(("p", "words"), [(None, "–"), (0.0004, "< 0.001"), (0.03125, "0.031"), (0.62, "0.62")])
def test_p_values(p, words):
    assert wording.p_value(p) == words


def test_p_in_a_sentence_does_not_break():
    assert wording.p_words(0.03125) == "p\u00a0=\u00a00.031"
    assert wording.p_words(0.0001) == "p\u00a0<\u00a00.001"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "–"), (0.21, f"0.21{T}s"), (51.2, f"51{T}s"), (59.7, f"1{T}min"), (542, f"9{T}min 2{T}s"),
     (7500, f"2{T}h 05{T}min")],
)  # fmt: skip
def test_durations(seconds, words):
    assert wording.duration(seconds) == words


def test_counts_and_lists():
    assert wording.count(1, "pipeline seed") == "1 pipeline seed"
    assert wording.count(5, "pipeline seed") == "5 pipeline seeds"
    assert wording.count(3, "") == "3"
    assert wording.listing([]) == ""
    assert wording.listing(["a"]) == "a"
    assert wording.listing(["a", "b", "c"]) == "a, b and c"
    assert wording.listing(["a", "b", "c"], limit=2) == "a, b and 1 more"


def test_hostile_text_shows_its_invisible_characters():
    assert wording.visible(HOSTILE) == SHOWN


@given(st.text())
def test_visible_text_holds_nothing_invisible_and_changes_nothing_else(text: str):
    shown = wording.visible(text)
    assert all(unicodedata.category(letter) not in ("Cc", "Cs") or letter in "\t\n" for letter in shown)
    assert not any(unicodedata.bidirectional(letter) in ("RLO", "LRO", "RLE", "LRE", "PDF") for letter in shown)
    if all(letter.isprintable() or letter in "\t\n" for letter in text):
        assert shown == text


def test_an_unpaired_surrogate_becomes_text_that_can_be_written():
    assert wording.visible("a\ud800b").encode() == "a⟨U+D800⟩b".encode()


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(0.4449, 2, "+0.44"), (-0.4, 2, "−0.40"), (-0.001, 2, "0.00"), (0.0, 1, "0.0"), (31.6, 0, "+32"), (None, 2, "–")],
)
def test_fixed_decimals_line_up_and_a_rounded_zero_has_no_sign(value: float | None, decimals: int, text: str):
    assert wording.fixed(value, decimals) == text


def test_an_estimate_stands_with_its_interval():
    assert wording.with_interval(0.21, 0.16, 0.26) == "+0.210 [0.160, 0.260]"
    assert wording.with_interval(-0.5, None, 0.26) == "−0.500"


def test_a_q_goes_under_its_own_letter():
    assert wording.p_words(0.002, "q") == "q\u00a0=\u00a00.002"
    assert wording.p_words(0.0002, "q") == "q\u00a0<\u00a00.001"
