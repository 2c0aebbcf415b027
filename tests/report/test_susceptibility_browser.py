"""The page of a susceptibility study in a real Chromium: every chart is drawn, nothing is said, nothing leaves the file."""

from pathlib import Path

from playwright.sync_api import Browser, expect
from report_browser import needs_chromium, opened
from susceptibility_results import report_of, susceptibility_result

from imprint.report import write_report

pytestmark = needs_chromium


def test_it_opens_silently_with_every_chart_drawn(browser: Browser, tmp_path: Path):
    page = write_report(report_of(susceptibility_result(tmp_path, contaminated=2)), tmp_path / "few")
    found = opened(browser, tmp_path, "few", viewport={"width": 1280, "height": 900})
    expect(found.page.locator("[data-chart]")).to_have_count(11)
    expect(found.page.locator("[data-chart] svg")).to_have_count(11)
    expect(found.page.get_by_text("</div><script>alert(1)</script>").first).to_be_visible()
    assert found.said == []
    assert found.requests == [page.as_uri()]
    width = found.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width == 0
    found.page.context.close()
