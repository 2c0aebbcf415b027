"""Ids from names: safe, unique, and the same whatever stands beside them."""

import re

from hypothesis import given
from hypothesis import strategies as st
from report_samples import HOSTILE

from imprint.report.anchors import anchors


def test_names_become_readable_ids():
    assert anchors("cell", [("code", "COPA"), ("novel repeats", "sums mod 5")]) == [
        "cell-code-copa", "cell-novel-repeats-sums-mod-5",
    ]  # fmt: skip


def test_equal_ids_are_numbered_and_never_meet():
    assert anchors("c", [("a b",), ("A-B",), ("a b 2",), ("a.b",)]) == ["c-a-b", "c-a-b-2", "c-a-b-2-2", "c-a-b-3"]


def test_a_name_without_a_letter_of_the_alphabet_still_has_an_id():
    assert anchors("c", [("\u05e9\u05dc\u05d5\u05dd",), ("",), ("---",)]) == ["c-x", "c-x-2", "c-x-3"]


def test_an_id_does_not_depend_on_other_names():
    names = [("a", "b"), ("c", "d")]
    assert anchors("cell", names[1:]) == anchors("cell", names)[1:]


@given(st.lists(st.tuples(st.text(max_size=80), st.sampled_from(["a", "b", HOSTILE]))))
def test_ids_are_unique_and_hold_nothing_to_escape(names: list[tuple[str, str]]):
    made = anchors("cell", names)
    assert len(set(made)) == len(made) == len(names)
    assert all(re.fullmatch("cell-[a-z0-9-]+", anchor) and len(anchor) < 120 for anchor in made)
