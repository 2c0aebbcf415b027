"""The page of a perturbation study without a browser: its sections, its links, escaping, and what is missing."""

import itertools
import json
import re

import pytest
from html_page import Page
from influence_samples import ABILITIES, CLUSTERS, SAMPLES, influence_full, influence_html
from report_samples import SHOWN, rendered

from imprint.report import render_html
from imprint.report.html import MECHANISM, PERTURBATION, content_policy

ONLY_MECHANISM = ("training", "heads", "documents", "domains", "effects", "concentration")


def words_of(html: str) -> str:
    return " ".join(" ".join(Page(html).words).split())


@pytest.fixture(scope="module", params=SAMPLES)
def page(request) -> Page:
    return Page(influence_html(request.param))


@pytest.fixture(scope="module")
def whole() -> Page:
    return Page(influence_html("influence_full"))


def ids(page: Page) -> list[str]:
    return [attributes["id"] for _, attributes in page.elements if "id" in attributes]


def test_the_sections_of_a_perturbation_study_are_there_in_order(whole: Page):
    sections = [name for name in ids(whole) if name in PERTURBATION]
    assert sections == list(PERTURBATION)
    assert not set(ids(whole)) & set(ONLY_MECHANISM)
    links = [attributes["href"][1:] for attributes in whole.all("a")][1 : len(PERTURBATION) + 1]
    assert links == list(PERTURBATION)


def test_a_mechanism_report_has_nothing_of_a_perturbation_study():
    html = rendered("full")
    found = [name for name in ids(Page(html)) if name in MECHANISM]
    assert found == [name for name in MECHANISM if name not in ("character", "window")]  # the sample has neither
    assert "data-cell" not in html
    assert "one-at-a-time" not in html


def test_every_id_is_unique_and_every_link_has_its_target(page: Page):
    found = ids(page)
    assert len(found) == len(set(found))
    assert {attributes["href"][1:] for attributes in page.all("a")} <= set(found)
    labels = [attributes["aria-labelledby"] for attributes in page.all("section")]
    assert set(labels) <= set(found)


def test_the_matrix_has_a_link_a_cell_and_a_header_a_cluster_and_ability(whole: Page):
    tiles = [attributes for attributes in whole.all("a") if "data-cell" in attributes]
    matrix = tiles[: len(CLUSTERS) * len(ABILITIES)]
    assert matrix[0]["href"] == "#cell-code-copa"
    assert len({tile["href"] for tile in matrix}) == 20
    assert sum("faint" in tile["class"] for tile in matrix) == 14
    assert all(re.search(r"nats an item .*Φ", tile["title"]) for tile in matrix)
    assert len(tiles) == 2 * len(matrix)


def test_every_panel_holds_the_numbers_behind_its_cell():
    html = influence_html("influence_full")
    panel = html.split('id="cell-arithmetic-sums-mod-5"')[1].split('class="cell"')[0]
    text = words_of(f"<div {panel}")
    for words in ("costs 'sums mod 5' 0.440 nats an item", "Middle half of the configurations +0.410 to +0.480",
                  "Agreement of signs 94", "Mean AIS, source formula +0.264", "chance-corrected +0.836",
                  "McNemar p = 0.004", "Trend over doses p < 0.001", "ΔBIC = 6.1", "16 of 16 perturbations passed",
                  "random directions of equal rank", "Gaussian noise: harm in nats an item by dose"):  # fmt: skip
        assert " ".join(words.split()) in text, words
    flat = html.split('id="cell-code-winograd"')[1]
    assert "the curve is flat" in flat.split('class="family"')[1]


def test_eager_and_lazy_charts_have_their_specification_and_a_sentence(page: Page):
    eager = [attributes["data-chart"] for _, attributes in page.elements if "data-chart" in attributes]
    lazy = [attributes["data-lazy-chart"] for _, attributes in page.elements if "data-lazy-chart" in attributes]
    specs = page.specs()
    assert sorted(eager + lazy) == sorted(specs)
    charts = [attributes for _, attributes in page.elements if {"data-chart", "data-lazy-chart"} & set(attributes)]
    assert all(chart["role"] == "img" and len(chart["aria-label"]) > 20 for chart in charts)
    assert "vega.github.io" not in json.dumps(specs)


def test_hostile_text_is_text():
    html = influence_html("influence_hostile")
    page = Page(html)
    assert len(page.scripts) == 3
    assert {tag for tag, _ in page.elements}.isdisjoint({"img", "iframe", "object", "embed", "form", "base", "b-"})
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not re.search("[\x00-\x08\x0b-\x1f\u2028\u2029\u200f\u202e]", html)
    for words in ("tree depth", "COPA", "def read(path)", "annotation.html", "no threshold", "pronoun puzzles"):
        place = page.text.rindex(words)
        assert "⟨U+202E⟩evil⟨U+202C⟩" in page.text[place : place + 400], words
    assert SHOWN in page.text
    assert all(re.fullmatch("[a-z0-9-]+", found) for found in ids(page))
    block = re.search(r'<script type="application/json" id="specs">(.*?)</script>', html, re.S)[1]
    assert not set(block) & set("<>&\u2028\u2029")


def test_the_policy_allows_the_scripts_that_are_there(page: Page):
    runnable = [text for attributes, text in page.scripts if attributes.get("type") != "application/json"]
    policy = next(item["content"] for item in page.all("meta") if item.get("http-equiv") == "Content-Security-Policy")
    if len(runnable) == 2:
        assert policy == content_policy(runnable)
    assert "default-src 'none'" in policy


def test_every_table_has_a_caption_and_every_header_a_scope(page: Page):
    tags = [tag for tag, _ in page.elements]
    assert all(following == "caption" for tag, following in itertools.pairwise(tags) if tag == "table")
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))


def test_headings_never_skip_a_level(page: Page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(second <= first + 1 for first, second in itertools.pairwise(levels))


def test_a_study_that_perturbed_nothing_is_sentences():
    html = influence_html("influence_empty")
    assert html.count('class="nothing"') == len(PERTURBATION)  # no table of methods, and provenance lacks two things
    assert "<table" not in html
    assert len(html) < 100_000


def test_what_was_not_measured_is_a_dash_or_a_sentence_never_a_zero():
    html = influence_html("influence_bare")
    text = words_of(html)
    for words in ("this cell was not tested", "No family of perturbation was recorded", "No dose of this family was run",
                  "not located", "not trained", "not computed", "undefined", "not examined", "none judged"):  # fmt: skip
        assert words in text, words
    assert "Agreement of signs –" in text
    assert "None" not in text
    assert not re.search(r"\bnan\b", text)


@pytest.mark.parametrize("name", ["abilities", "clusters", "cells", "validation", "variations"])
def test_each_missing_part_leaves_the_others(name: str):
    data = influence_full()
    influence = data.influence.model_copy(update={name: ()})
    html = render_html(data.model_copy(update={"influence": influence}))
    assert html.count('class="nothing"') == 1
    found = ids(Page(html))
    assert set(PERTURBATION) <= set(found)


def test_the_page_is_small_enough_to_send():
    assert len(influence_html("influence_full").encode()) < 3_000_000
