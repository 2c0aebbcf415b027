"""The HTML report without a browser: escaping, structure, what is missing, and that it points to nothing outside."""

import base64
import hashlib
import itertools
import json
import random
import re

import pytest
from html_page import Page
from report_samples import HOSTILE, SHOWN, document, documents, full, rendered, slim

from imprint.report import ReportData, TokenRecord, render_html
from imprint.report.html import LISTED_DOCUMENTS, chart_library, content_policy, embedded_json
from imprint.report.model import DocumentRecord

SECTIONS = (
    "answer", "claims", "hypotheses", "training", "heads", "documents", "domains", "methods", "effects",
    "doses", "sizes", "synthetic", "icl", "concentration", "limits", "provenance",
)  # fmt: skip
OPTIONAL = ("doses", "sizes", "synthetic", "icl")
"""Sections that are there only where a study asked for them."""


@pytest.fixture(scope="module", params=["full", "hostile"])
def page(request) -> Page:
    return Page(rendered(request.param))


def test_the_same_data_give_the_same_bytes():
    assert render_html(slim()) == render_html(slim())


def test_every_section_is_there_once_and_the_contents_lead_to_it(page: Page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [attributes["href"] for attributes in page.all("a")]
    assert targets == ["#main", *(f"#{name}" for name in SECTIONS)]
    assert {target[1:] for target in targets} <= set(ids)
    labels = [attributes["aria-labelledby"] for attributes in page.all("section")]
    assert set(labels) <= set(ids)


def test_nothing_on_the_page_points_outside(page: Page):
    for _, attributes in page.elements:
        assert attributes.get("src") is None
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
        assert not [name for name in attributes if name.startswith("on")]
    assert {tag for tag, _ in page.elements}.isdisjoint({"img", "iframe", "object", "embed", "form", "base"})


def test_only_the_reports_own_scripts_are_there_and_the_policy_names_them(page: Page):
    runnable = [text for attributes, text in page.scripts if attributes.get("type") != "application/json"]
    assert len(page.scripts) == 3
    policy = next(item["content"] for item in page.all("meta") if item.get("http-equiv") == "Content-Security-Policy")
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in runnable]
    assert policy == content_policy(runnable)
    assert all(digest in policy for digest in digests)
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert re.search(r"script-src [^;]*unsafe-inline", policy) is None


def test_hostile_text_is_text():
    hostile_html = rendered("hostile")
    page = Page(hostile_html)
    assert page.text.count("alert(1)") > 100
    assert SHOWN in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\u2028\u2029\u200f\u202e]", hostile_html)
    assert "7*7" in page.text
    assert "49" not in page.text.split("7*7")[1][:10]


def test_hostile_text_cannot_leave_the_embedded_json():
    html = rendered("hostile")
    block = re.search(r'<script type="application/json" id="specs">(.*?)</script>', html, re.S)[1]
    assert not set(block) & set("<>&\u2028\u2029")
    assert block.isascii()
    specs = json.loads(block)
    arm = specs["trajectory-0"]["datasets"]["layer-1"][0]["arm"]
    assert arm == f"keep all{SHOWN}"
    assert arm in specs["trajectory-0"]["params"][0]["value"]


def test_embedded_json_means_what_it_meant():
    value = {"text": f"{HOSTILE}\ud800", "number": 0.1}
    assert json.loads(embedded_json(value)) == value
    with pytest.raises(ValueError, match="JSON compliant"):
        embedded_json({"number": float("nan")})


def test_every_chart_has_a_specification_a_sentence_and_no_address(page: Page):
    charts = [attributes for tag, attributes in page.elements if "data-chart" in attributes]
    specs = page.specs()
    assert sorted(chart["data-chart"] for chart in charts) == sorted(specs)
    assert all(chart["role"] == "img" and len(chart["aria-label"]) > 20 for chart in charts)
    assert "vega.github.io" not in json.dumps(specs)
    assert "url" not in {key for spec in specs.values() for layer in spec["layer"] for key in layer["data"]}


def test_every_table_has_a_caption_and_every_header_a_scope(page: Page):
    tags = [tag for tag, _ in page.elements]
    assert all(following == "caption" for tag, following in itertools.pairwise(tags) if tag == "table")
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))


def test_headings_never_skip_a_level(page: Page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(second <= first + 1 for first, second in itertools.pairwise(levels))


def test_the_answer_the_claims_and_the_verdicts_are_readable():
    text = " ".join(Page(rendered("full")).text.split())
    for words in (*full().answer_lines, "Stands on rung 2, necessary", "nothing was measured at rung 3", "refuted",
                  "n = 5 pipeline seeds", "against delete random", "9f2c4e0d" * 8, "imprint demo --out runs/demo",
                  "never in 5 of 5", "not identified", "domain 'rst' was dropped"):  # fmt: skip
        assert " ".join(words.split()) in text


def test_an_empty_run_is_sentences_without_charts():
    html = rendered("empty")
    page = Page(html)
    assert len(re.findall('class="nothing"', html)) == len(SECTIONS) - len(OPTIONAL) + 1
    assert 'data-chart="' not in html
    assert not page.all("table")
    assert len(html) < 100_000
    assert "Nothing was retrained" in page.text


def test_each_missing_section_leaves_the_others():
    data = slim()
    for name in ("claims", "hypotheses", "trajectories", "heads", "documents", "domains", "methods", "effects"):
        html = render_html(data.model_copy(update={name: ()}))
        assert html.count('class="nothing"') == 1, name


def test_many_documents_stay_folded():
    data = ReportData(title="t", question="q", documents=documents(100))
    html = render_html(data)
    assert html.count('<details class="document"') == 100
    assert html.count('<details class="document" open') == 6
    assert html.count('<details class="more">') == 1
    shown = html.split('<details class="more">')[0]
    assert shown.count('<details class="document"') == LISTED_DOCUMENTS


def test_highlighting_is_in_the_text_itself():
    tokens = (
        TokenRecord(text="<b>", value=1.0),
        TokenRecord(text="plain", value=0.0),
        TokenRecord(text="c", value=-1.0),
    )
    data = ReportData(title="t", question="q", documents=(DocumentRecord(rank=1, id="d", score=1.0, tokens=tokens),))
    html = render_html(data)
    assert '<span class="p4" title="+1">&lt;b&gt;</span>plain<span class="n4" title="−1">c</span>' in html
    assert "weakens" in html
    assert data.sign_convention in html


def test_a_document_without_tokens_says_so():
    bare = document(1, 1.0, random.Random(0)).model_copy(update={"tokens": ()})
    assert "was not computed" in render_html(ReportData(title="t", question="q", documents=(bare,)))


def test_the_chart_library_is_whole_and_cannot_close_its_element():
    library = chart_library()
    assert "vegaEmbed" in library[-300:]
    assert "</script" not in library.lower()
    assert "\r" not in library
