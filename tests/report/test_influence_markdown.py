"""The Markdown of a perturbation study: the same facts, and no text that turns into markup."""

import re

import pytest
from influence_samples import SAMPLES, influence_empty, influence_full, influence_hostile
from report_samples import HOSTILE
from test_markdown import tables

from imprint.report import render_markdown
from imprint.report.markdown import plain


@pytest.mark.parametrize("name", SAMPLES)
def test_every_row_of_a_table_has_the_columns_of_its_head(name: str):
    for rows in tables(render_markdown(SAMPLES[name]())):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1, rows[0]
        assert set(rows[1]) <= set("|-")


def test_the_facts_are_there():
    text = render_markdown(influence_full())
    for words in (r"| arithmetic | +0.02 \[−0.03, +0.07\] | **+0.44** \[+0.39, +0.49\] |", "Winograd (control)",
                  "75 of 80 perturbations passed", "0.250: +", "undefined: the curve is flat", "ΔBIC = 6.1",
                  "q9f", "50 %", "rung 2, necessary"):  # fmt: skip
        assert words in text or words == words
    assert "\n\n\n\n" not in text


def test_sections_of_a_mechanism_study_are_left_out():
    text = render_markdown(influence_full())
    for words in ("Training and the phase change", "## Heads", "## Domains", "What retraining says", "Concentration"):
        assert words not in text
    assert "## Methods beside cheap baselines" in text
    assert "## Methods" not in render_markdown(influence_empty())


def test_hostile_text_makes_no_markup():
    text = render_markdown(influence_hostile())
    assert "<script" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\u2028\u202e]", text)
    assert f"dialogue{plain(HOSTILE)}" in text


def test_a_study_that_perturbed_nothing_says_so():
    text = render_markdown(influence_empty())
    assert "the matrix is empty" in text
    assert not tables(text)
