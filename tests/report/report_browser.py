"""A report in a real Chromium, and all that the page said and asked for."""

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

CHROMIUM = shutil.which("chromium")
IN_CI = os.environ.get("CI", "").lower() == "true"

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not IN_CI, reason="no chromium on this machine: install the package 'chromium' to run these"
)


class Opened:
    """A page with all that it said and asked for."""

    def __init__(self, context: BrowserContext, path: Path) -> None:
        self.page = context.new_page()
        self.said: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())


def opened(browser: Browser, folder: Path, name: str, **settings) -> Opened:
    found = Opened(browser.new_context(**settings), folder / name / "report.html")
    if settings.get("java_script_enabled", True):
        found.page.wait_for_function("document.documentElement.dataset.charts === 'drawn'", timeout=20_000)
    return found
