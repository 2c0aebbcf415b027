"""The report in a real Chromium, opened from disk as a reader opens it."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from report_browser import Opened, needs_chromium, opened
from report_samples import SHOWN, rendered

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reports")
    for name in ("full", "hostile", "empty"):
        (root / name).mkdir()
        (root / name / "report.html").write_text(rendered(name), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def report(browser: Browser, folder: Path) -> Opened:
    return opened(browser, folder, "full", viewport={"width": 1280, "height": 900})


def column(page: Page, table: str, place: int) -> list[str]:
    return page.locator(f"#{table} tbody tr:visible > :nth-child({place})").all_inner_texts()


@pytest.mark.parametrize("name", ["full", "hostile", "empty"])
def test_it_opens_silently_and_asks_for_nothing_but_itself(browser: Browser, folder: Path, name: str):
    found = opened(browser, folder, name)
    assert found.said == []
    assert found.requests == [(folder / name / "report.html").as_uri()]
    found.page.context.close()


def test_every_chart_is_drawn_with_its_sentence(report: Opened):
    charts = report.page.locator("[data-chart]")
    assert charts.count() == 17
    for chart in charts.all():
        assert chart.locator("svg").count() == 1
        assert chart.locator("svg path").count() > 0
        assert len(chart.get_attribute("aria-label")) > 20
        assert chart.get_attribute("role") == "img"
        assert chart.bounding_box()["height"] > 60


def test_hostile_documents_are_text(browser: Browser, folder: Path):
    found = opened(browser, folder, "hostile")
    text = found.page.locator(".document .text").nth(1)
    assert text.text_content().replace("␣", " ") == SHOWN
    assert found.page.locator("img, script[src]").count() == 0
    assert found.page.locator("#specs").evaluate("element => element.childElementCount") == 0
    assert found.page.title().endswith(SHOWN.split()[-1])
    assert found.said == []
    found.page.context.close()


def test_a_script_that_is_not_the_reports_own_does_not_run_and_cannot_fetch(browser: Browser, folder: Path):
    found = opened(browser, folder, "full")
    found.page.evaluate(
        "() => { const script = document.createElement('script'); script.textContent = 'window.stolen = 1';"
        "document.body.append(script); }"
    )
    assert found.page.evaluate("() => window.stolen") is None
    assert found.page.evaluate("() => fetch('https://example.org/').then(() => 'got it', () => 'refused')") == "refused"
    assert len(found.requests) == 1
    found.page.context.close()


def test_tables_sort_by_number_with_the_unmeasured_last(report: Opened):
    report.page.locator("#methods-table thead button", has_text="Value").click()
    values = [float(text) for text in column(report.page, "methods-table", 4)]
    assert values == sorted(values)
    cost = report.page.locator("#methods-table thead button", has_text="Cost")
    for direction in ("ascending", "descending"):
        cost.click()
        expect(report.page.locator("#methods-table th[aria-sort]")).to_have_attribute("aria-sort", direction)
        assert column(report.page, "methods-table", 8)[-2:] == ["–", "–"]
    assert column(report.page, "methods-table", 8)[0].startswith("1\u202fmin 14")


def test_tables_sort_by_words_from_the_keyboard(report: Opened):
    button = report.page.locator("#domains-table thead button", has_text="Domain").first
    button.focus()
    report.page.keyboard.press("Enter")
    names = [text.lower() for text in column(report.page, "domains-table", 1)]
    assert names == sorted(names)
    report.page.keyboard.press("Enter")
    assert [text.lower() for text in column(report.page, "domains-table", 1)] == names[::-1]


def test_tables_filter_by_every_word(report: Opened):
    box = report.page.get_by_label("Filter methods", exact=False)
    box.fill("boilerplate GRADIENT")
    assert sorted(column(report.page, "methods-table", 1)) == sorted(
        ["gradient dot, no curvature baseline", "gradient norm baseline"]
    )
    expect(report.page.locator("[data-tools-for=methods-table] output")).to_have_text("2 of 20")
    box.fill("nothing like this")
    assert column(report.page, "methods-table", 1) == []
    box.fill("")
    assert len(column(report.page, "methods-table", 1)) == 20


def test_details_of_evidence_and_documents_open(report: Opened):
    notes = report.page.locator(".evidence .notes").first
    expect(notes).to_be_hidden()
    report.page.locator(".evidence summary").first.click()
    expect(notes).to_be_visible()
    more = report.page.locator(".more .document").first
    expect(more).to_be_hidden()
    report.page.locator(".more > summary").click()
    expect(more).to_be_visible()
    more.locator("summary").click()
    expect(more.locator(".text")).to_be_visible()


def test_an_arm_can_be_switched_off_on_every_trajectory(report: Opened):
    button = report.page.locator("button.arm", has_text="delete random")
    lines = report.page.locator("[data-chart^=trajectory] path[stroke='var(--arm-2)'][opacity='0']")
    before = lines.count()
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert lines.count() >= before + 6 * 6
    button.click()
    assert lines.count() == before


def test_printing_opens_the_evidence_and_closes_it_again(report: Opened):
    closed = report.page.locator("details[data-print-open]:not([open])")
    before = closed.count()
    assert before > 0
    report.page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert closed.count() == 0
    report.page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    assert closed.count() == before


def test_paper_is_white_also_for_readers_in_the_dark(browser: Browser, folder: Path):
    found = opened(browser, folder, "full", color_scheme="dark")
    paper = "() => getComputedStyle(document.body).backgroundColor"
    assert found.page.evaluate(paper) == "rgb(22, 23, 24)"
    found.page.emulate_media(media="print")
    assert found.page.evaluate(paper) == "rgb(255, 255, 255)"
    expect(found.page.locator(".contents")).to_be_hidden()
    assert len(found.page.pdf()) > 50_000
    found.page.context.close()


@pytest.mark.parametrize("name", ["full", "hostile"])
def test_a_phone_never_scrolls_sideways(browser: Browser, folder: Path, name: str):
    found = opened(browser, folder, name, viewport={"width": 390, "height": 800})
    assert found.page.evaluate("() => document.documentElement.scrollWidth") == 390
    found.page.context.close()


def test_without_scripts_everything_but_the_charts_is_there(browser: Browser, folder: Path):
    found = opened(browser, folder, "full", java_script_enabled=False)
    expect(found.page.locator(".document .text .p4").first).to_be_visible()
    expect(found.page.locator("[data-chart] .waiting").first).to_contain_text("over training steps")
    assert found.page.locator("input").count() == 0
    assert found.page.locator("#methods-table tbody tr").count() == 20
    found.page.context.close()
