"""A susceptibility study's report: what a reader is told, whatever the study found."""

import json
import re
from dataclasses import replace

import pytest
from html_page import Page
from susceptibility_results import ATTACK, LEVELS, NAMES, report_of, susceptibility_result

from imprint.report import (
    evidence,
    load_report_data,
    render_html,
    render_markdown,
    save_report_data,
    write_evidence,
)
from imprint.report.scalar_screens import screen_view
from imprint.report.susceptibility_view import susceptibility_view
from imprint.runs import file_digest
from imprint.stats import Undefined, Verdict
from imprint.studies.susceptibility import default_hypotheses


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("made")


@pytest.fixture(scope="module")
def few(folder):
    return susceptibility_result(folder, contaminated=2, deviations=("DPO ran for half as long.",))


@pytest.fixture(scope="module")
def nothing(folder):
    return susceptibility_result(folder, differ=False)


@pytest.fixture(scope="module")
def stopped(folder):
    registered = default_hypotheses("alignment", represented=True, removed=True)
    lax = tuple(one.model_copy(update={"alpha": 0.1}) if one.id == "H1" else one for one in registered)
    return susceptibility_result(folder, ranks=True, hypotheses=lax)


@pytest.fixture(scope="module")
def data(few):
    return report_of(few)


@pytest.fixture(scope="module")
def html(data):
    return render_html(data)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def squeezed(text):
    return " ".join(text.split())


def test_the_explanation_comes_first_and_every_hypothesis_has_a_line(few, nothing, stopped):
    assert few.explanation.named == "few conversations"
    lines = report_of(few).answer_lines
    assert lines[0].startswith("What explains 'alignment'? Few conversations. A few conversations hold")
    assert lines[1].startswith("Is there anything to explain? Yes (p")
    assert [line.split()[0] for line in lines[2:]] == ["H1", "H1b", "H4", "H2", "H3", "Contamination:"]
    assert "2 of 6 evaluation items" in lines[-1]

    lines = report_of(nothing).answer_lines
    assert lines[0].startswith("What explains 'alignment'? Nothing to explain.")
    assert lines[1].startswith("Is there anything to explain? No sign of it (p")
    assert lines[-2].startswith("H2, H3 not examined, by a registered rule: conditions do not differ")

    lines = report_of(stopped).answer_lines
    assert lines[0].startswith("What explains 'alignment'? Surface.")
    assert lines[-2].startswith("H2, H3 not examined, by a registered rule: the surface of the corpora already")


def test_verdicts_are_the_results(few, data, page):
    shown = {item.id: item for item in data.hypotheses}
    for found in few.examined:
        assert isinstance(found, Verdict)
        item = shown[found.id]
        assert (item.verdict, item.statistic, item.low, item.high, item.p) == (
            found.verdict, found.statistic, found.low, found.high, found.p,
        )  # fmt: skip
        assert found.reason in page.text
    assert [found.verdict for found in few.examined] == [
        "inconclusive",
        "refuted",
        "supported",
        "inconclusive",
        "supported",
    ]


def test_another_verdict_gives_another_page(few, html):
    changed = tuple(replace(found, verdict="refuted") if found.id == "H3" else found for found in few.examined)
    other = render_html(report_of(replace(few, examined=changed)))
    assert other != html
    assert other.count('class="hypothesis refuted"') == html.count('class="hypothesis refuted"') + 1


def test_what_a_rule_skipped_is_shown_as_not_examined(nothing):
    text = render_html(report_of(nothing))
    assert text.count('class="hypothesis not-examined"') == 2
    words = squeezed(Page(text).text)
    assert "The checkpoints before the last stage were not measured: conditions do not differ" in words
    assert "No conversation was removed: conditions do not differ" in words
    assert "none was noticed here" in words, "a registered rule is no deviation"


def test_contamination_stands_before_the_verdicts(html):
    places = [html.index(f'<section id="{name}"') for name in ("design", "contamination", "hypotheses", "variance")]
    assert places == sorted(places)


def test_deviations_told_and_noticed(page, folder):
    words = squeezed(page.text)
    assert "DPO ran for half as long." in words
    assert "2 evaluation items stand in training text" in words
    surface = {"scalars": ["js1.reference", "length", "js1.rest"]}
    other = susceptibility_result(folder, surface=surface)
    fewer = replace(
        other, table=other.table.filter(~((other.table["condition"] == "beta") & (other.table["pipeline"] == 1)))
    )
    found = report_of(fewer).susceptibility.noticed
    assert found == (
        "Registered surface scalars that were not measured: js1.rest.",
        "Registered surface scalars that are the same in all conditions, so that they explain nothing and are not corrected"
        " for: length.",
        "7 pipelines of 8 registered ones finished.",
    )  # fmt: skip


def test_a_hypothesis_that_could_not_be_examined_is_a_deviation(folder):
    constant = susceptibility_result(folder, surface={"scalars": ["length"]})
    assert isinstance(constant.surface.registered, Undefined)
    report = report_of(constant)
    assert report.hypotheses[0].verdict == "not examined"
    assert report.susceptibility.noticed[0].startswith(
        "H1 was registered and could not be examined: none of the 1 scalars"
    )
    assert any(line.startswith("H1 not examined.") for line in report.answer_lines)
    assert "Not computed: none of the 1 scalars" in squeezed(Page(render_html(report)).text)


def test_foreign_text_cannot_become_markup(page, html, data):
    assert data.susceptibility.removal.removals[0].conversations[0].messages[1] == ("assistant", ATTACK)
    assert ATTACK in page.text
    assert "<script>alert" not in html
    assert "onerror" not in {name for _, attributes in page.elements for name in attributes}
    markdown = render_markdown(data)
    assert "<script" not in markdown
    assert "alert(1)" in markdown


def test_the_page_asks_the_network_for_nothing(page):
    addresses = [
        value for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "href")
    ]
    assert addresses
    assert all(value.startswith(("#", "data:")) for value in addresses)


def test_every_chart_of_the_page_has_its_specification(page):
    asked = {attributes["data-chart"] for attributes in page.all("div") if "data-chart" in attributes}
    specs = page.specs()
    assert asked == set(specs)
    kinds = ("variance-pipelines", "divergence-1", "surface-scatter", "representation-scatter", "removal-zeta")
    assert all(any(name.startswith(kind) for name in asked) for kind in kinds)


@pytest.mark.parametrize("kind", ["few", "nothing", "stopped"])
def test_a_saved_report_comes_back_equal_and_renders_to_the_same_bytes(kind, request, tmp_path):
    data = report_of(request.getfixturevalue(kind))
    save_report_data(data, tmp_path / "report.json")
    loaded = load_report_data(tmp_path / "report.json")
    assert loaded == data
    assert render_html(loaded) == render_html(data)
    assert render_markdown(loaded) == render_markdown(data)


def test_clean_items_are_shown_apart(data, nothing):
    metrics = [view.finding.metric for view in susceptibility_view(data.susceptibility).variance]
    assert metrics == ["alignment", "alignment, clean items only"]
    assert len(susceptibility_view(report_of(nothing).susceptibility).variance) == 1


def test_flagged_conditions_have_their_own_names(few, data):
    record = data.susceptibility
    view = screen_view(record.surface.screen, record.means, NAMES, "surface")
    row = few.surface.registered.rows[0]
    expected = [NAMES[place] for place in row.correlation.flagged]
    assert expected == ["alpha"]
    pair = view.registered.pairs[0]
    assert all(name in pair.flagged for name in expected)
    assert not any(name in pair.flagged for name in set(NAMES) - set(expected))
    points = next(iter(view.figures[0].spec["datasets"].values()))
    hollow = {point["condition"] for point in points if point["fill"] == "var(--paper)"}
    assert hollow == set(expected)
    assert {point["condition"]: point["x"] for point in points} == record.surface.screen.scalars[row.scalar]


def test_registered_and_explored_scalars_stand_apart(data):
    view = susceptibility_view(data.susceptibility).surface
    assert [pair.row.scalar for pair in view.registered.pairs] == ["js1.reference"]
    assert {pair.row.scalar: pair.registered for pair in view.explored.pairs} == {
        "js1.reference": True,
        "js2.rest": False,
    }
    assert "corrected for 1 pair of" in view.registered.correction
    assert "corrected for 2 pairs of" in view.explored.correction
    assert "not among them: length" in view.explored.correction


def test_removal_shows_every_pipeline_and_the_distance(few, data):
    (high, figure, distance), _ = susceptibility_view(data.susceptibility).removals
    others = [level for name, level in LEVELS.items() if name != "zeta"]
    assert high.condition == "zeta"
    assert distance == pytest.approx((4 - sum(others) / 3) / few.removal.sd, rel=0.2)
    line, _, points = figure.spec["datasets"].values()
    assert line[0]["value"] == pytest.approx(sum(others) / 3, abs=0.3)
    drivers = [point["value"] for point in points if point["arm"] == "without the drivers"]
    assert drivers == few.removal.removals[0].outcomes["drivers"].tolist()
    assert [one.id for one in high.conversations] == ["zeta-0", "zeta-1", "zeta-40"]
    assert high.conversations[2].messages == (), "the file has no such conversation"


def test_limits_are_in_plain_words(page):
    words = squeezed(page.text)
    for part in (
        "not a cause",
        "Seeds of the last stage are not pipelines",
        "TracIn",
        "longer answers weigh more",
        "small model",
    ):
        assert part in words


def test_markdown_says_the_same(few, data):
    text = render_markdown(data)
    for item in data.hypotheses:
        assert re.search(rf"^\| {item.verdict} \| {item.id} \|", text, re.MULTILINE)
    assert text.index("## Evaluation items in training text") < text.index("## Hypotheses registered")
    assert "## Training and the phase change" not in text
    assert "- Told in the study's file: DPO ran for half as long." in text


def test_evidence_holds_the_results_numbers(few, nothing):
    found = evidence(few)
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    assert found["explanation"]["named"] == "few conversations"
    assert found["hypotheses"] == [one.as_dict() for one in few.examined]
    assert found["variance"] == [few.variance[0].as_dict()]
    assert found["surface"]["registered"] == few.surface.registered.as_dict()
    assert found["removal"]["conditions"][0]["shift"] == few.removal.removals[0].shift.as_dict()
    assert (
        found["removal"]["conditions"][0]["outcomes"]["random"] == few.removal.removals[0].outcomes["random"].tolist()
    )
    assert found["representation"]["sites"]["L1.resid_post"]["p"] == few.representation.directions["L1.resid_post"].p
    assert found["contamination"]["matches"] == few.contamination.matches
    assert found["deviations"] == ["DPO ran for half as long."]
    skipped = evidence(nothing)
    assert (skipped["removal"], skipped["representation"]) == (None, None)
    assert [one["verdict"] for one in skipped["hypotheses"]][-2:] == ["not examined", "not examined"]


def test_the_manifest_names_the_files(few, tmp_path):
    write_evidence(few, tmp_path, command="imprint run made-up.yaml")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert set(manifest["files"]) == {"evidence.json", "outcomes.parquet"}
    assert manifest["explanation"] == "few conversations"
    assert manifest["conditions"] == list(NAMES)
    assert manifest["files"]["outcomes.parquet"] == file_digest(tmp_path / "outcomes.parquet")
