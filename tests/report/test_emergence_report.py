"""An emergence study's report: what a reader is told, whatever the study found."""

import json
import re
from dataclasses import replace

import polars as pl
import pytest
from emergence_results import ATTACK, emergence_result, finished, report_of, table, with_edges
from html_page import Page

from imprint.cli.conduct import conclude
from imprint.emergence.graph import Manipulation
from imprint.report import (
    evidence,
    load_report_data,
    render_html,
    render_markdown,
    save_report_data,
    write_evidence,
)
from imprint.runs import file_digest
from imprint.stats import Verdict
from imprint.studies.emergence import HISTORY_FILE, history, trained_runs


@pytest.fixture(scope="module")
def result():
    return finished()


@pytest.fixture(scope="module")
def flat():
    return emergence_result(rises=False, deviations=[])


@pytest.fixture(scope="module")
def data(result):
    return report_of(result)


@pytest.fixture(scope="module")
def html(data):
    return render_html(data)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def squeezed(text):
    return " ".join(text.split())


def test_five_lines_name_causes_graph_shape_forecast_and_policy(result, data):
    causes, graph, shape, forecast, policy = data.answer_lines
    assert causes.startswith("What makes them emerge? copy: novel repeats (+) and learning rate (+); sums:")
    assert causes.endswith("brackets: nothing that was varied, as far as these runs show.")
    counts = result.refined.counts
    assert counts == {"supported": 4, "added": 2, "dropped": 1, "undecided": 2}
    assert "Of 7 hypothesised edges 4 are supported, 1 dropped (neurons → copy) and 2 undecided; 2 are added" in graph
    assert shape.endswith("sums: abrupt in accuracy only at w16, smooth at w24, w40 and w80; brackets: never there.")
    assert "w80 was predicted before it was trained, 8 forecasts: AUC" in forecast
    assert "P1 inconclusive, P2 inconclusive." in forecast
    assert forecast.endswith("not predicted from the smaller ones: left out of this synthetic study.")
    assert "cheapest is freeze-thaw, at 1.40 times the oracle; A1 supported." in policy


def test_where_nothing_rises_it_says_so_and_names_no_cause(flat):
    report = report_of(flat)
    causes, graph, shape, forecast, policy = report.answer_lines
    assert "novel repeats" not in causes
    assert causes.endswith("copy, sums and brackets: nothing that was varied, as far as these runs show.")
    assert "0 are added" in graph
    assert shape.count("never there") == 3
    assert forecast.startswith("The next scale? Not predicted: no ability has emerged at any point. The largest")
    assert policy == "Where to spend compute? Not compared: no ability rises."
    words = squeezed(Page(render_html(report)).text)
    assert "Nothing was predicted: no ability has emerged at any point." in words
    assert "Policies could not be compared: no ability rises." in words
    assert [item.verdict for item in report.hypotheses] == ["not examined"] * 3
    assert report.emergence.noticed[0].startswith("P1 was registered and could not be examined: no ability has emerged")


def test_a_study_without_held_out_scale_or_allocation_says_so():
    alone = emergence_result(held_out=None, allocating=None)
    report = report_of(alone)
    assert report.hypotheses == ()
    assert report.answer_lines[3:] == (
        "The next scale? None was held out.",
        "Where to spend compute? Not compared.",
    )
    words = squeezed(Page(render_html(report)).text)
    assert "No scale was held out." in words
    assert "the study's file leaves them out" in words
    assert evidence(alone)["prediction"] is None
    assert "No scale was held out." in render_markdown(report)


def test_every_section_is_there_in_order(html, page):
    names = [
        "registered",
        "graph",
        "edges",
        "interventions",
        "beside",
        "curves",
        "forecast",
        "allocation",
        "hypotheses",
        "claims",
        "limits",
        "provenance",
    ]
    places = [html.index(f'<section id="{name}"') for name in names]
    assert places == sorted(places)
    links = [found["href"] for found in page.all("a") if found.get("href", "").startswith("#")]
    assert links[1:14] == ["#answer", *(f"#{name}" for name in names)]


def test_edges_stand_under_their_state_with_numbers_and_reason(result, html):
    text = html[html.index('<section id="edges"') : html.index('<section id="interventions"')]
    parts = re.split(r'<span class="chip edge-(\w+)">', text)
    sections = dict(zip(parts[1::2], map(squeezed, parts[2::2]), strict=True))
    assert list(sections) == ["supported", "added", "dropped", "undecided"]
    for edge in result.refined.edges:
        row = f'<th scope="row">{edge.cause} → {edge.effect}'
        assert [state for state, part in sections.items() if row in part] == [edge.state]
        words = squeezed(Page(sections[edge.state]).text)
        assert edge.reason.replace("+-", "±").rstrip(".") in words


def test_a_changed_state_changes_picture_table_and_answer(result, html):
    other = report_of(with_edges(result, "dropped", "undecided"))
    assert "0 dropped and 3 undecided" in other.answer_lines[1]
    changed = render_html(other)
    assert html.count('class="edge dropped"') == changed.count('class="edge dropped"') + 1
    assert html.count('class="edge undecided"') == changed.count('class="edge undecided"') - 1


def test_registered_arms_scales_thresholds_and_deviations_are_told(page, data):
    words = squeezed(page.text)
    for part in (
        "75 % of the heads at L0.z set to 0, drawn by each run's seed",
        "all neurons at L*.neurons multiplied by 0.5",
        "3.0 % of the rows are novel repeats instead of 25 %",
        "learning rate 0.001 instead of 0.003",
        "102, each of 1 000 updates and",
        "τ = 0.1",
        "One arm was trained⟨U+202E⟩ twice <b>as long</b>. told in the study's file",
        "2 hypothesised edges could not be tested, since no arm sets previous-token attention and induction attention alone.",
    ):
        assert part.replace(" ", " ") in words.replace(" ", " "), part
    assert [scale.held_out for scale in data.emergence.design.scales] == [False, False, False, True]


def test_missing_runs_and_arms_that_failed_are_noticed(result):
    fewer = result.table.filter(~((pl.col("scale") == "w16") & (pl.col("seed") == 4) & (pl.col("arm") == "control")))
    failed = Manipulation(arm="few repeats", node="novel repeats", found=None, moved=False, raised=None)
    findings = replace(result.findings, manipulations=(failed, *result.findings.manipulations))
    noticed = report_of(replace(result, table=fewer, findings=findings)).emergence.noticed
    assert noticed[0] == "Arm 'few repeats' did not move 'novel repeats', the node it sets, so its tests do not count."
    assert noticed[-1] == "101 runs of 102 registered ones finished."


def test_foreign_text_cannot_become_markup(page, html, data):
    assert ATTACK in page.text
    assert "<script>alert" not in html
    assert "onerror" not in {name for _, attributes in page.elements for name in attributes}
    assert "\u202e" not in html
    assert "<script" not in render_markdown(data)


def test_the_page_asks_the_network_for_nothing_and_every_chart_has_its_specification(page):
    addresses = [value for _, found in page.elements for name, value in found.items() if name in ("src", "href")]
    assert addresses
    assert all(value.startswith(("#", "data:")) for value in addresses)
    asked = {found["data-chart"] for found in page.all("div") if "data-chart" in found}
    assert asked == set(page.specs())
    assert len(asked) == 2 + 3 + 12 + 2
    assert "http" not in json.dumps(page.specs())


def test_every_table_has_a_caption_and_every_header_a_scope(page):
    names = [name for name, _ in page.elements]
    assert names.count("caption") == names.count("table")
    assert all(found.get("scope") in ("col", "row") for found in page.all("th"))


@pytest.mark.parametrize("kind", ["result", "flat"])
def test_a_saved_report_comes_back_equal_and_renders_to_the_same_bytes(kind, request, tmp_path):
    data = report_of(request.getfixturevalue(kind))
    save_report_data(data, tmp_path / "report.json")
    loaded = load_report_data(tmp_path / "report.json")
    assert loaded == data
    assert render_html(loaded) == render_html(data)
    assert render_markdown(loaded) == render_markdown(data)


def test_verdicts_are_the_results(result, data):
    for found, shown in zip(result.examined, data.hypotheses, strict=True):
        assert isinstance(found, Verdict)
        assert (shown.verdict, shown.statistic, shown.p) == (found.verdict, found.statistic, found.p)


def test_limits_are_in_plain_words(page):
    words = squeezed(page.text)
    for part in ("measures its total effect", "Undecided is not dropped", "stays at chance", "world is planted"):
        assert part in words


def test_markdown_says_the_same(result, data):
    text = render_markdown(data)
    for edge in result.refined.edges:
        assert f"| {edge.cause} → {edge.effect} |" in text
    for item in data.hypotheses:
        assert re.search(rf"^\| {item.verdict} \| {item.id} \|", text, re.MULTILINE)
    assert "### Dropped: 1" in text
    assert "w16: floor, w24: floor, w40: floor" in text
    assert "| brackets | few neurons | 90" in text
    assert "## Training and the phase change" not in text
    assert "- Told in the study's file: One arm was trained⟨U+202E⟩ twice" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows
    assert all(line.endswith("|") for line in rows)


def test_evidence_holds_the_results_numbers(result, flat):
    found = evidence(result)
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    assert set(found) == {
        "claims", "hypotheses", "registration", "seconds", "deviations", "effects", "graph", "beside", "abruptness", "prediction",
        "backtest", "foretold",
        "allocation",
    }  # fmt: skip
    assert found["effects"] == result.findings.as_dict()
    assert found["graph"] == result.refined.as_dict()
    assert found["beside"] == result.beside.as_dict()
    assert found["prediction"] == result.prediction.as_dict()
    assert found["backtest"] == {"undefined": "left out of this synthetic study"}
    assert found["allocation"]["saving"] == result.allocation.saving.as_dict()
    assert found["hypotheses"] == [one.as_dict() for one in result.examined]
    assert found["claims"] == [claim.as_dict() for claim in result.claims]
    assert evidence(flat)["prediction"] == {"undefined": "no ability has emerged at any point"}


def test_the_manifest_names_scales_arms_and_files(result, tmp_path):
    history(table(trained_runs(result.study))).write_parquet(tmp_path / HISTORY_FILE)
    write_evidence(result, tmp_path, command="imprint run made-up.yaml")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert set(manifest["files"]) == {"evidence.json", "outcomes.parquet", HISTORY_FILE}
    assert (manifest["scales"], manifest["held_out"]) == (["w16", "w24", "w40"], "w80")
    assert manifest["arms"] == [arm.name for arm in result.study.interventions]
    assert manifest["files"]["outcomes.parquet"] == file_digest(tmp_path / "outcomes.parquet")
    assert pl.read_parquet(tmp_path / "outcomes.parquet").equals(result.table)


def test_a_finished_study_is_concluded_with_a_page_that_renders_again(result, tmp_path):
    page = conclude(result, tmp_path)
    assert page.read_text(encoding="utf-8") == render_html(load_report_data(tmp_path / "report.json"))
    assert {"report.md", "evidence.json", "manifest.json", "outcomes.parquet"} <= {
        one.name for one in tmp_path.iterdir()
    }
