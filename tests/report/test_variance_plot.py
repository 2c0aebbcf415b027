"""Charts and page of variance findings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from html_page import Page
from report_browser import Opened, needs_chromium
from report_samples import HOSTILE, SHOWN

from imprint.report.html import content_policy
from imprint.report.variance import components_figure, drawn_shares, pipelines_figure, variance_views
from imprint.report.variance_page import render_variance
from imprint.stats import Nest
from imprint.studies.variance import analyse, analyse_nest, read_outcomes, read_published

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def findings():
    table = read_outcomes(EXAMPLES / "published_coupling/table.csv")
    printed = read_published(EXAMPLES / "published_coupling/printed.yaml")
    return [analyse(table, name, seed=0, published=printed[name]) for name in table.metrics]


@pytest.fixture(scope="module")
def refused():
    place = np.indices((3, 4)).reshape(2, -1)
    values = np.random.default_rng(0).standard_normal(12)
    nest = Nest(values=values, conditions=place[0], pipelines=np.zeros(12, int), stages=place[1], metric=HOSTILE)
    return analyse_nest(nest, seed=0, notes=(HOSTILE,))


def rows_of(figure, layer):
    return figure.spec["datasets"][f"layer-{layer}"]


def test_every_pipeline_is_a_point_and_every_condition_a_mean(findings):
    figure = pipelines_figure(findings[1])
    points, means = rows_of(figure, 2), rows_of(figure, 1)
    assert len(points) == 15
    control = [row["value"] for row in points if row["condition"] == "tulu_control"]
    assert sorted(control) == pytest.approx([0.665, 0.668, 0.764])
    assert {row["seed"] for row in points} == {"42", "137", "256"}
    control = next(row for row in means if row["condition"] == "tulu_control")
    assert control["value"] == pytest.approx(0.699)
    assert control["low"] < control["value"] < control["high"]
    assert figure.alt.startswith("arc_c of every pipeline by condition. evil_correct: 0.861 [0.797, 0.926];")


def test_conditions_are_ordered_by_their_mean(findings):
    spec = pipelines_figure(findings[1]).spec
    assert spec["layer"][0]["encoding"]["y"]["sort"] == [
        "evil_correct", "good_wrong", "good_correct", "evil_wrong", "tulu_control",
    ]  # fmt: skip


def test_a_negative_component_is_drawn_as_nothing_and_said(findings):
    shares = drawn_shares(findings[0].components)
    assert shares == [0.0, 1.0]
    figure = components_figure(findings[0])
    assert rows_of(figure, 0)[0]["label"] == "0 (estimate below 0)"
    assert "condition was estimated below 0 and is drawn as 0" in figure.note
    assert "drawn as 0" in figure.alt
    assert rows_of(figure, 0)[0]["variance"].startswith("−1.23")  # the table keeps the estimate


def test_positive_shares_are_those_of_the_finding(findings):
    figure = components_figure(findings[1])
    assert drawn_shares(findings[1].components) == pytest.approx([part.share for part in findings[1].components])
    assert [row["label"] for row in rows_of(figure, 0)] == ["52\u202f%", "48\u202f%"]
    assert figure.note == ""


def test_nothing_varies(findings):
    parts = [
        replace(part, variance=replace(part.variance, estimate=0.0, low=0.0, high=1.0))
        for part in findings[0].components
    ]
    assert drawn_shares(parts) == [0.0, 0.0]


def test_names_of_figures_differ_between_metrics_of_one_slug(findings):
    same = [findings[0], replace(findings[1], metric="Alignment!")]
    names = [figure.name for view in variance_views(same) for figure in view.figures]
    assert len(set(names)) == 4


def test_a_refused_design_has_no_means_and_no_tests(refused):
    (view,) = variance_views([refused])
    assert view.tests == ()
    assert len(view.pipelines.spec["layer"]) == 1  # points only
    assert [row["level"] for row in view.rows] == ["condition + pipeline seed", "stage seed"]


def test_the_page_shows_the_numbers_and_points_to_nothing_outside(findings, refused):
    html = render_variance([*findings, refused], source="table.csv")
    assert html == render_variance([*findings, refused], source="table.csv")
    page = Page(html)
    for word in (
        "F(4, 10) = 0.537",
        "F(4, 10) = 4.28",
        "F(2, 8) = 5.95",
        "1.51",
        "wrong: number 4",
        "no sign",
        "differ",
    ):
        assert word in page.text, word
    assert SHOWN in page.text
    assert HOSTILE not in html
    assert {tag for tag, _ in page.elements}.isdisjoint({"img", "iframe", "object", "embed", "form", "base"})
    assert all((attributes.get("href") or "#").startswith(("#", "data:,")) for _, attributes in page.elements)
    runnable = [text for attributes, text in page.scripts if attributes.get("type") != "application/json"]
    policy = next(item["content"] for item in page.all("meta") if item.get("http-equiv") == "Content-Security-Policy")
    assert policy == content_policy(runnable)
    assert set(page.specs()) == {item["data-chart"] for item in page.all("div") if "data-chart" in item}


@needs_chromium
def test_the_charts_draw(browser, tmp_path, findings, refused):
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "report.html").write_text(render_variance([*findings, refused], source="table.csv"))
    found = Opened(browser.new_context(), folder / "report.html")
    found.page.wait_for_function("document.documentElement.dataset.charts === 'drawn'", timeout=20_000)
    assert found.said == []
    assert [url for url in found.requests if not url.startswith("file:")] == []
    assert found.page.locator(".chart svg").count() == 6
    assert "evil_correct" in found.page.locator(".chart svg").first.text_content()
