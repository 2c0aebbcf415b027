"""The matrix in a real Chromium: cells open their evidence by mouse, keyboard and link; nothing leaves the file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from influence_samples import SAMPLES, influence_html
from playwright.sync_api import Browser, Page, expect
from report_browser import Opened, needs_chromium, opened

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("influence")
    for name in SAMPLES:
        (root / name).mkdir()
        (root / name / "report.html").write_text(influence_html(name), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def shared(browser: Browser, folder: Path) -> Opened:
    return opened(browser, folder, "influence_full", viewport={"width": 1280, "height": 900})


@pytest.fixture
def page(shared: Opened) -> Iterator[Page]:
    """The whole report with every panel closed before and no word on the console after."""
    shared.page.evaluate("() => document.querySelectorAll('details.cell').forEach((panel) => { panel.open = false; })")
    expect(shared.page.locator("[data-cell][aria-expanded=true]")).to_have_count(0)
    yield shared.page
    assert shared.said == []
    assert len(shared.requests) == 1


def tile(page: Page, anchor: str):
    return page.locator(f".phi:not(.strip) [data-cell={anchor}]")


def panel(page: Page, anchor: str):
    return page.locator(f"#{anchor}")


@pytest.mark.parametrize("name", SAMPLES)
def test_it_opens_silently_and_asks_for_nothing_but_itself(browser: Browser, folder: Path, name: str):
    found = opened(browser, folder, name)
    for cell in found.page.locator(".phi:not(.strip) [data-cell]").all()[:3]:
        cell.click()
        expect(panel(found.page, cell.get_attribute("data-cell"))).to_be_visible()
    expect(found.page.locator("details.cell[open] [data-lazy-chart]")).to_have_count(0)
    assert found.said == []
    assert found.requests == [(folder / name / "report.html").as_uri()]
    found.page.context.close()


def test_a_click_opens_the_evidence_draws_its_curves_and_a_second_closes_it(page: Page):
    cell = tile(page, "cell-code-copa")
    expect(panel(page, "cell-code-copa")).to_be_hidden()
    cell.click()
    expect(panel(page, "cell-code-copa")).to_be_visible()
    expect(cell).to_have_attribute("aria-expanded", "true")
    assert cell.get_attribute("role") == "button"
    assert cell.get_attribute("aria-controls") == "cell-code-copa"
    charts = panel(page, "cell-code-copa").locator(".chart")
    expect(charts.locator("svg")).to_have_count(4)
    for chart in charts.all():
        assert chart.locator("svg path").count() > 8
        assert chart.bounding_box()["height"] > 150
        assert chart.get_attribute("role") == "img"
        assert chart.get_attribute("aria-label").startswith("Dose curve of")
    expect(page).to_have_url(f"{page.url.split('#')[0]}#cell-code-copa")
    cell.click()
    expect(panel(page, "cell-code-copa")).to_be_hidden()
    expect(cell).to_have_attribute("aria-expanded", "false")
    assert page.url.endswith("#influence")


def test_one_panel_is_open_at_a_time(page: Page):
    tile(page, "cell-code-copa").click()
    tile(page, "cell-wiki-sst-2").click()
    expect(panel(page, "cell-wiki-sst-2")).to_be_visible()
    expect(panel(page, "cell-code-copa")).to_be_hidden()
    expect(page.locator("[data-cell][aria-expanded=true]")).to_have_count(1)
    assert "helps 'SST-2'" in panel(page, "cell-wiki-sst-2").locator(".reading").inner_text()


@pytest.mark.parametrize("key", ["Enter", " "])
def test_the_keyboard_walks_over_the_matrix_opens_and_closes(page: Page, key: str):
    tile(page, "cell-code-copa").focus()
    for arrow in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowLeft", "ArrowRight"):
        page.keyboard.press(arrow)
    expect(tile(page, "cell-arithmetic-sums-mod-5")).to_be_focused()
    page.keyboard.press(key)
    expect(panel(page, "cell-arithmetic-sums-mod-5")).to_be_visible()
    expect(tile(page, "cell-arithmetic-sums-mod-5")).to_be_focused()
    page.locator("details.cell[open] > summary").focus()
    page.keyboard.press("Escape")
    expect(panel(page, "cell-arithmetic-sums-mod-5")).to_be_hidden()
    expect(tile(page, "cell-arithmetic-sums-mod-5")).to_be_focused()


def test_arrows_stop_at_the_edges_of_the_matrix(page: Page):
    tile(page, "cell-code-copa").focus()
    for arrow in ("ArrowUp", "ArrowLeft"):
        page.keyboard.press(arrow)
        expect(tile(page, "cell-code-copa")).to_be_focused()


def test_a_link_to_a_cell_opens_it_and_shows_it(browser: Browser, folder: Path):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{(folder / 'influence_full' / 'report.html').as_uri()}#cell-dialogue-sst-2")
    expect(panel(page, "cell-dialogue-sst-2")).to_be_visible()
    expect(panel(page, "cell-dialogue-sst-2").locator(".reading")).to_be_in_viewport()
    expect(panel(page, "cell-dialogue-sst-2").locator(".chart svg")).to_have_count(4)
    page.evaluate("() => { location.hash = '#cluster-wiki'; }")
    expect(page.locator("#cluster-wiki")).to_be_visible()
    context.close()


def test_the_row_on_a_clusters_page_leads_to_the_same_evidence_every_time(page: Page):
    for _ in range(2):
        page.locator("#cluster-code .tile").first.click()
        expect(panel(page, "cell-code-copa")).to_be_visible()
        page.locator("details.cell[open] > summary").click()
        expect(panel(page, "cell-code-copa")).to_be_hidden()


def test_the_name_of_a_cluster_leads_to_its_page_also_after_it_was_closed(page: Page):
    for _ in range(2):
        page.locator(".phi a[href='#cluster-dialogue']").click()
        expect(page.locator("#cluster-dialogue")).to_be_visible()
        page.locator("details.cluster:has(#cluster-dialogue) > summary").click()
        expect(page.locator("#cluster-dialogue")).to_be_hidden()


def test_the_validation_table_sorts_by_number_and_filters(page: Page):
    page.locator("#validation-table thead button", has_text="Loss on the cluster").click()
    cells = page.locator("#validation-table tbody tr > :nth-child(4)")
    values = [float(value) for value in cells.evaluate_all("cells => cells.map((cell) => cell.dataset.value)")]
    assert len(values) == 80
    assert values == sorted(values)
    box = page.get_by_label("Filter perturbations", exact=False)
    box.fill("dialogue failed")
    assert page.locator("#validation-table tbody tr:visible").count() == 5
    box.fill("")


def test_the_cells_in_numbers_sort_by_influence(page: Page):
    page.locator("#cells-table thead button", has_text="Φ").click()
    first = page.locator("#cells-table tbody tr").first
    assert first.locator("th").all_inner_texts() == ["wiki", "SST-2"]


def test_printing_opens_the_clusters_and_keeps_the_open_cell(page: Page):
    tile(page, "cell-code-copa").click()
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.cluster:not([open])").count() == 0
    page.emulate_media(media="print")
    expect(panel(page, "cell-code-copa")).to_be_visible()
    expect(page.locator("details.cell:visible")).to_have_count(1)
    assert len(page.pdf()) > 50_000
    page.emulate_media(media="screen")
    page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.cluster:not([open])").count() == 4


@pytest.mark.parametrize("name", SAMPLES)
def test_a_phone_never_scrolls_sideways(browser: Browser, folder: Path, name: str):
    found = opened(browser, folder, name, viewport={"width": 390, "height": 800})
    for cell in found.page.locator(".phi:not(.strip) [data-cell]").all()[:1]:
        cell.click()
    assert found.page.evaluate("() => document.documentElement.scrollWidth") == 390
    found.page.context.close()


def test_without_scripts_every_cell_can_be_opened_and_read(browser: Browser, folder: Path):
    found = opened(browser, folder, "influence_full", java_script_enabled=False)
    page = found.page
    assert page.locator("details.cell > summary:visible").count() == 20
    tile(page, "cell-code-copa").click()
    expect(panel(page, "cell-code-copa")).to_be_visible()
    expect(panel(page, "cell-code-copa").locator(".waiting").first).to_contain_text("Harm by dose")
    numbers = panel(page, "cell-code-copa").locator(".numbers-table").first
    numbers.locator("summary").click()
    assert numbers.locator("tbody tr:visible").count() == 4
    page.context.close()
