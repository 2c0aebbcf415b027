"""The section on what the high-influence documents are: words, chart, table, both pages and the file."""

import re

import numpy as np
import pytest
from html_page import Page
from report_samples import HOSTILE, SHOWN, empty, poisoned, slim

from imprint.report import (
    CharacterRecord,
    ReportData,
    character_record,
    load_report_data,
    render_html,
    render_markdown,
    save_report_data,
    with_intervals,
)
from imprint.report.character import LABELS, MEANINGS, finding, label, views
from imprint.stats import category_enrichment, feature_differences, mass_enrichment
from imprint.studies import Character, PoolCharacter


def pool(name: str, seed: int) -> PoolCharacter:
    """Top documents have more tags everywhere and fewer digits only because of their domain; one domain is all top."""
    rng = np.random.default_rng(seed)
    domains = np.repeat(["novel repeats", "python", "licences", "html"], [60, 60, 60, 4])
    top = (rng.random(184) < np.where(domains == "python", 0.4, 0.1)) | (domains == "html")
    features = {
        "tags": rng.normal(size=184) + 2.0 * top,
        "digits": rng.normal(size=184) - 3.0 * (domains == "python"),
        "my own": rng.normal(size=184),
    }
    matchings = {
        "all other documents": np.zeros(184, dtype=int),
        "same domain": domains,
        "same domain, loss and length": domains,
    }
    return PoolCharacter(
        pool=name,
        documents=184,
        top=int(top.sum()),
        comparisons=feature_differences(features, top, matchings, seed=0, draws=300),
        domains=category_enrichment(domains, top, seed=0),
        influence=mass_enrichment(domains, np.abs(features["tags"]), seed=0),
    )


CHARACTER = Character(fraction=0.1, pools=(pool("all documents", 2), pool("natural documents", 3)))


def reported() -> ReportData:
    return slim().model_copy(update={"character": character_record(CHARACTER)})


@pytest.fixture(scope="module")
def html() -> str:
    return render_html(reported())


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def words(page: Page) -> str:
    return " ".join(page.text.split())


def test_the_record_says_what_the_study_found(tmp_path):
    record = character_record(CHARACTER)
    row = CHARACTER.pools[1].comparisons[1].features[0]
    shown = record.pools[1].comparisons[1].features[0]
    assert (shown.feature, shown.p, shown.q, shown.treated_mean) == (row.feature, row.p, row.q, row.treated_mean)
    assert shown.delta.model_dump() == row.delta.as_dict()
    assert record.pools[0].influence["html"].low == CHARACTER.pools[0].influence["html"].low
    save_report_data(reported(), tmp_path / "report.json")
    assert load_report_data(tmp_path / "report.json") == reported()


def test_findings_name_direction_size_and_what_had_no_control():
    everyone, same, _ = character_record(CHARACTER).pools[0].comparisons
    start, rest = finding(everyone).split(": ", 1)
    assert re.fullmatch(r"Against all other documents \(\d+ top documents\)", start)
    assert re.match(r"more tags \(δ \+0\.\d+\); less digits \(δ −0\.\d+\)\.", rest)
    assert "4 documents without such a control left out): more tags" in finding(same)
    assert "Against documents of the same domain" in finding(same)
    assert "digits" not in finding(same)


def test_a_finding_without_any_difference_or_any_control_says_so():
    same = character_record(CHARACTER).pools[0].comparisons[1]
    small = same.features[0].model_copy(
        update={"delta": same.features[0].delta.model_copy(update={"estimate": -0.09}), "q": 0.001}
    )
    tiny = finding(same.model_copy(update={"features": (same.features[0], small, small)}))
    assert re.search(r": more tags \(δ \+0\.\d+\); 2 differences too small to name \(\|δ\| < 0.1\)\.$", tiny)
    quiet = same.model_copy(update={"features": tuple(row.model_copy(update={"q": 0.06}) for row in same.features)})
    assert finding(quiet).endswith("no feature differs at q ≤ 0.05.")
    nothing = same.model_copy(update={"features": (), "treated": 0, "unmatched": 20})
    assert finding(nothing).endswith("nothing could be compared.")


def test_the_page_shows_both_pools_and_says_that_it_is_association(page):
    text = words(page)
    for sentence in (*(one for view in views(character_record(CHARACTER)) for one in view.findings),
                     "association, rung 0", "Natural documents, planted ones left out", "0 no difference"):  # fmt: skip
        assert sentence in text
    for control, meaning in MEANINGS:
        assert f"{control}: {meaning}." in text
    assert {"features-0", "features-1", "character"} <= {item["id"] for _, item in page.elements if "id" in item}
    assert "#character" in [item["href"] for item in page.all("a")]


def test_every_feature_stands_beside_every_control(html):
    for name in ("tags", "digits", "my own"):
        assert html.count(f'<th scope="row">{name}</th>') == 2 * 3
    assert label("my own") == "my own"
    assert label("log_lines") == LABELS["log_lines"] == "log lines"


def test_the_charts_are_drawn_from_loosest_to_strictest(page):
    specs = page.specs()
    rows = specs["character-0"]["datasets"]["layer-1"]
    by_name = {row["feature"]: row for row in rows}
    comparisons = CHARACTER.pools[0].comparisons
    tags = comparisons[2].features[0].delta
    assert [by_name["tags"][key] for key in ("matched", "low", "high")] == [tags.estimate, tags.low, tags.high]
    assert by_name["digits"]["all"] == comparisons[0].features[1].delta.estimate
    sizes = [abs(row["matched"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert "character-1" in specs
    charts = [item["data-chart"] for _, item in page.elements if "data-chart" in item]
    assert sorted(charts) == sorted(specs)


def test_a_pool_without_controls_has_no_chart():
    record = character_record(CHARACTER)
    bare = [one.model_copy(update={"features": ()}) for one in record.pools[0].comparisons]
    alone = record.model_copy(update={"pools": (record.pools[0].model_copy(update={"comparisons": tuple(bare)}),)})
    assert views(alone)[0].figure is None
    text = words(Page(render_html(empty().model_copy(update={"character": alone}))))
    assert text.count("nothing could be compared.") == 3


def test_without_it_there_is_no_section():
    assert 'id="character"' not in render_html(empty())
    assert "high-influence documents are" not in render_markdown(empty())
    assert views(None) == ()


def test_markdown_has_the_same_facts():
    text = render_markdown(reported())
    assert "## What the high-influence documents are" in text
    assert "rung 0" in text
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1
    delta = CHARACTER.pools[0].comparisons[0].features[0].delta
    assert "| tags | all other documents | " in text
    assert f"+{delta.estimate:.3f}" in text
    assert "\n\n\n\n" not in text
    assert "<section" not in text


def test_hostile_names_are_text():
    record = CharacterRecord.model_validate(poisoned(character_record(CHARACTER).model_dump(mode="json")))
    data = empty().model_copy(update={"character": record})
    html = render_html(data)
    assert SHOWN in Page(html).text
    assert HOSTILE not in html
    assert "<script>alert" not in html
    assert "<script" not in render_markdown(data)


def test_domains_get_the_interval_of_their_influence():
    domains, record = slim().domains, character_record(CHARACTER)
    found = {domain.domain: domain for domain in with_intervals(domains, record)}
    influence = CHARACTER.pools[0].influence["python"]
    assert (found["python"].low, found["python"].high) == (influence.low, influence.high)
    untouched = next(domain for domain in domains if domain.domain == "boilerplate")
    assert found["boilerplate"] == untouched
    assert with_intervals(domains, None) == domains


def test_concentration_gives_both_shares_and_the_likelihood_ratios_on_both_pages(page):
    """AT-MDA-6: positive and absolute influence apart, the rivals of the power law, and that a share identifies none."""
    text, shown = render_markdown(slim()), words(page)
    for either in (text, shown):
        for fact in ("power law", "47", "36", "lognormal", "exponential", "−3.20", "+41"):
            assert fact in either, fact
        assert "large share alone does not identify a power law" in either
    assert "of the absolute influence, over all documents, the top 10" in shown
    assert "| of the positive influence | 47 % | 42 % to 52 % |" in text
