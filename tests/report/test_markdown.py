"""The Markdown report: the same facts, and no text that turns into markup."""

import re

from hypothesis import given
from hypothesis import strategies as st
from report_samples import HOSTILE, empty, full, hostile

from imprint.report import render_markdown
from imprint.report.markdown import plain


def tables(text: str) -> list[list[str]]:
    return [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", text, re.M)]


def test_every_row_of_a_table_has_the_columns_of_its_head():
    for data in (full(), hostile()):
        found = tables(render_markdown(data))
        assert len(found) >= 8
        for rows in found:
            columns = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
            assert len(columns) == 1, rows[0]
            assert set(rows[1]) <= set("|-")


def test_the_facts_are_there():
    text = render_markdown(full())
    for words in ("rung 2, necessary", "refuted", "never in 5 of 5", "0.968", "delete loss-matched", "9f2c4e0d" * 8):
        assert words in text
    assert "\n\n\n\n" not in text


def test_hostile_text_makes_no_markup():
    text = render_markdown(hostile())
    assert "<script" not in text
    assert "<img" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\u2028\u202e]", text)
    assert plain(HOSTILE) in text


def test_an_empty_run_says_what_is_missing():
    text = render_markdown(empty())
    assert "Nothing was retrained" in text
    assert not tables(text)


@given(st.text())
def test_plain_text_is_one_line_with_every_special_escaped(text: str):
    line = plain(text)
    assert len(line.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]|]", line)
    assert "<" not in line


def test_a_list_marker_at_the_start_stays_text():
    assert plain("- a") == r"\- a"
    assert plain("1. a") == r"\1. a"
    assert plain("-0.5") == "-0.5"
