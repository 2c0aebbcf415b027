import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import imprint

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def test_every_public_name_can_be_used():
    for name in imprint.__all__:
        value = getattr(imprint, name)
        assert value.__doc__, name
    assert dir(imprint) == imprint.__all__ == sorted(imprint.__all__)
    assert len(imprint.__all__) <= 30


def test_the_door_says_the_same_to_people_and_to_type_checkers():
    """Three lists name what is public: where it lives, `__all__`, and the imports that mypy reads."""
    tree = ast.parse(Path(imprint.__file__).read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("imprint.")
        for alias in node.names
    }
    assert seen == {name: f"imprint.{home}" for name, home in imprint._HOME.items()}
    assert sorted(seen) == imprint.__all__


def test_unknown_names():
    with pytest.raises(AttributeError, match="module 'imprint' has no attribute 'atribute_head'"):
        _ = imprint.atribute_head
    assert not hasattr(imprint, "nothing")


def test_importing_it_is_instant():
    """No name is used, so nothing heavy is imported."""
    script = (
        "import imprint, sys; print([m for m in ('torch', 'transformers', 'numpy', 'pydantic') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_the_command_is_installed_under_its_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"imprint": "imprint.cli:main"}


@pytest.mark.skipif(not README.exists(), reason="there is no README yet")
def test_the_readme_s_python_is_python():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        tree = ast.parse(block)
        used = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("im", "imprint")
        }
        assert used <= set(imprint.__all__)
        compile(tree, "README.md", "exec")
