import re
from pathlib import Path

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


def test_the_pages_and_pictures_that_the_readme_links_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / target).exists(), f"README links {target}, which does not exist"


def test_python_examples_compile():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) >= 2
    for example in examples:
        compile(example, "README.md", "exec")
