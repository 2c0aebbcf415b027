"""Per-token influence as highlighted runs."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from imprint.report.highlight import level, runs, suffix
from imprint.report.model import DocumentRecord, TokenRecord
from imprint.report.wording import visible


def document(*tokens: tuple[str, float]) -> DocumentRecord:
    records = tuple(TokenRecord(text=text, value=value) for text, value in tokens)
    return DocumentRecord(rank=1, id="d", score=1.0, tokens=records)


def test_levels_are_quarters_of_the_largest_with_the_sign_of_the_value():
    assert [level(value, 1.0) for value in (1.0, 0.75, 0.6, 0.25, 0.1, 0.05, 0.0)] == [4, 3, 3, 1, 1, 0, 0]
    assert [level(-value, 1.0) for value in (1.0, 0.75, 0.25)] == [-4, -3, -1]
    assert level(0.0, 0.0) == 0
    assert (suffix(4), suffix(-2)) == ("p4", "n2")


def test_neighbours_of_one_strength_are_one_run_with_their_sum():
    found = runs(document(("ab", 1.0), ("c", 0.9), ("d", -1.0), ("e", 0.0)))
    assert [(run.text, run.level, run.title) for run in found] == [
        ("abc", 4, "+1.90 over 2 tokens"), ("d", -4, "−1"), ("e", 0, "0"),
    ]  # fmt: skip


def test_white_space_with_influence_can_be_seen():
    assert [run.text for run in runs(document((" ", 1.0), ("x", 0.0), ("\n", -1.0), (" ", 0.0)))] == [
        "␣",
        "x",
        "↵\n",
        " ",
    ]


def test_a_document_without_tokens_has_no_runs():
    assert runs(document()) == []


@given(st.lists(st.tuples(st.text("ab\x07<", min_size=1), st.floats(-1, 1)), max_size=20))
def test_runs_hold_the_whole_text_in_order_and_their_strength(tokens):
    found = runs(document(*tokens))
    assert "".join(run.text for run in found) == visible("".join(text for text, _ in tokens))
    assert all(first.level != second.level for first, second in itertools.pairwise(found))


@given(st.lists(st.floats(-1, 1).filter(lambda value: value == 0 or abs(value) > 1e-100), min_size=1, max_size=20))
def test_flipping_all_signs_flips_all_strengths(values):
    ahead = [run.level for run in runs(document(*(("x", value) for value in values)))]
    assert [run.level for run in runs(document(*(("x", -value) for value in values)))] == [
        -strength for strength in ahead
    ]
