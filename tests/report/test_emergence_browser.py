"""The page of an emergence study in a real Chromium: every chart is drawn, nothing is said, nothing leaves the file."""

from pathlib import Path

import pytest
from emergence_results import finished, report_of
from playwright.sync_api import Browser, expect
from report_browser import needs_chromium, opened

from imprint.report import write_report

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pages")
    write_report(report_of(finished()), made / "made")
    return made


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 400)])
def test_it_opens_silently_with_every_chart_drawn(browser: Browser, folder: Path, scheme: str, width: int):
    found = opened(browser, folder, "made", viewport={"width": width, "height": 900}, color_scheme=scheme)
    expect(found.page.locator("[data-chart]")).to_have_count(19)
    expect(found.page.locator("[data-chart] > svg, [data-chart] svg.marks")).to_have_count(19)
    expect(found.page.locator("svg.dag .node")).to_have_count(11)
    expect(found.page.locator("svg.dag path.edge")).to_have_count(9)
    assert found.said == []
    assert found.requests == [(folder / "made" / "report.html").as_uri()]
    over = found.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert over == 0
    names = found.page.locator("svg.dag text.name").evaluate_all(
        "texts => texts.every(text => text.getBBox().width <= text.parentNode.querySelector('path').getBBox().width - 6)"
    )
    assert names, "a name is wider than its box"
    found.page.context.close()


def test_an_arm_that_is_switched_off_leaves_every_trajectory(browser: Browser, folder: Path):
    found = opened(browser, folder, "made", viewport={"width": 1280, "height": 900})
    lines = found.page.locator('[data-chart^="curves-"] path[stroke="var(--arm-5)"]')
    before = lines.evaluate_all("paths => paths.filter(path => path.getAttribute('opacity') !== '0').length")
    found.page.get_by_role("button", name="slow training").click()
    after = lines.evaluate_all("paths => paths.filter(path => path.getAttribute('opacity') !== '0').length")
    assert (before, after) == (12, 0)
    found.page.context.close()
