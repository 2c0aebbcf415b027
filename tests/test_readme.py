import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _tree():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```\nsrc/imprint/\n(.*?)```", text, re.DOTALL).group(1)
    folder, found = "", set()
    for line in block.splitlines():
        name = line.split()[0]
        if line.startswith("    "):
            found.add(f"{folder}{name}")
        elif name.endswith("/"):
            folder = name
        else:
            found.add(name)
    return found


def test_the_tree_names_every_file_and_no_other():
    source = ROOT / "src" / "imprint"
    files = {str(path.relative_to(source)) for path in source.rglob("*.py")}
    packages = {name for name in files if name.endswith("/__init__.py")}
    assert _tree() == files - packages


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _anchors(page):
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL), re.M
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_exists(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), f"{page.name} links {target}, which does not exist"
        assert not anchor or anchor in _anchors(linked), (
            f"{page.name} links {target}#{anchor}, which has no such heading"
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_examples_compile(page):
    examples = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) >= (2 if page.name == "README.md" else 0)
    for example in examples:
        compile(example, str(page), "exec")


def test_every_page_is_linked_from_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lonely = [page for page in PAGES[1:] if str(page.relative_to(ROOT)) not in text and page.parent.name != "results"]
    assert not lonely
