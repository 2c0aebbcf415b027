"""The validation sheet in a real Chromium: hostile text stays text, and what was filled in comes back as CSV."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

from imprint.corpus import Corpus, Document
from imprint.corpus.clusters import SheetOptions, document_excerpts, domains, draw_sheet, read_labels

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: install the package 'chromium'")
HOSTILE = "</pre><script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"


@pytest.fixture(scope="module")
def page():
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running.new_page()
        running.close()


@pytest.mark.parametrize("labels", [(), ("=code", "prose")])
def test_what_is_filled_in_comes_back(page, tmp_path, labels):
    documents = tuple(Document(id=str(n), text=f"{HOSTILE} {n}", domain=f"{HOSTILE}{n % 2}") for n in range(4))
    corpus = Corpus(documents=documents)
    sheet = draw_sheet(domains(corpus), document_excerpts(corpus, seed=0), SheetOptions(labels=labels))
    sheet.save(tmp_path)
    said, asked = [], []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "sheet.html").as_uri())
    assert page.title() == "Validation sheet"
    assert page.locator("pre").all_inner_texts() == [item.text for item in sheet.items]
    page.fill("#annotator", 'Ann, "A"')
    for place, field in enumerate(page.locator(".label").all()[:3]):
        answer = labels[place % 2] if labels else "=code, odd"
        field.select_option(answer) if labels else field.fill(answer)
    with page.expect_download() as caught:
        page.click("#save")
    caught.value.save_as(tmp_path / "labels.csv")
    assert page.locator("#done").inner_text() == "3 of 4 labelled"
    found = read_labels([tmp_path / "labels.csv"], sheet)
    expected = [labels[place % 2] if labels else "=code, odd" for place in range(3)]
    assert found == {('Ann, "A"', item.item): one for item, one in zip(sheet.items, expected, strict=False)}
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "blob:"))] == []
