import hashlib
import importlib
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import imprint
from imprint.errors import ConfigError
from imprint.runs import source_digest, source_digests

ROOT = Path(imprint.__file__).parent


def test_a_changed_constant_in_a_helper_of_a_helper_changes_the_digest(user):
    user.write("top_a", "from middle_a import value")
    user.write("middle_a", "def value():\n    import low_a\n    return low_a.CONSTANT")
    user.write("low_a", "CONSTANT = 1")
    user.load("top_a")
    before = source_digest("top_a")
    user.write("low_a", "CONSTANT = 2")
    user.load("top_a")
    assert source_digest("top_a") != before
    user.write("low_a", "CONSTANT = 1")
    user.load("top_a")
    assert source_digest("top_a") == before


@pytest.mark.parametrize(
    "statement",
    [
        "import pack_b.helper",
        "import pack_b.helper as h",
        "from pack_b import helper",
        "from pack_b.helper import CONSTANT",
        "from pack_b import CONSTANT",
        "from pack_b import *",
        "import pack_b",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack_b import helper",
        "from importlib import import_module\nimport_module('pack_b.helper')",
        "class A:\n    def f(self):\n        from pack_b.helper import CONSTANT",
        "try:\n    from pack_b.helper import CONSTANT\nexcept ImportError:\n    pass",
    ],
)
def test_every_way_to_import_is_followed(user, statement):
    user.write("top_b", statement)
    user.write("pack_b.__init__", "from .helper import CONSTANT")
    user.write("pack_b.helper", "from .deep import thing\nCONSTANT = 1")
    user.write("pack_b.deep.__init__", "from ..sibling import thing")
    user.write("pack_b.sibling", "thing = 1")
    user.load("top_b")
    assert set(source_digests("top_b")) == {
        "top_b", "pack_b", "pack_b.helper", "pack_b.deep", "pack_b.sibling",
    }  # fmt: skip


def test_a_registry_that_a_package_fills_on_import_counts(user):
    user.write("top_c", "from pack_c.registry import TASKS")
    user.write("pack_c.__init__", "from pack_c import filler")
    user.write("pack_c.registry", "TASKS = {}")
    user.write("pack_c.filler", "from pack_c.registry import TASKS\nTASKS['a'] = 1")
    user.load("top_c")
    assert "pack_c.filler" in source_digests("top_c")


def test_installed_and_standard_modules_are_left_out_but_a_users_shadow_is_not(user):
    user.write("top_d", "import json, numpy, pydantic.fields, tabnanny\nimport this_is_not_installed_anywhere as x")
    user.write("tabnanny", "shadow = 1")
    assert set(source_digests("top_d")) == {"top_d", "tabnanny"}


def test_modules_are_named_not_placed(user):
    user.write("top_e", "import imprint.errors as e")
    assert all(not name.startswith("/") for name in source_digests("top_e"))
    before = source_digest("top_e")
    moved = user.folder / "moved"
    shutil.copytree(user.folder, moved)
    command = "from imprint.runs import source_digest; print(source_digest('top_e'))"
    elsewhere = subprocess.run([sys.executable, "-B", "-c", command], cwd=moved, capture_output=True, text=True)
    assert elsewhere.stdout.strip() == before


def test_the_digest_names_the_code_that_runs_not_the_edited_file(user):
    user.write("top_f", "import helper_f")
    path = user.write("helper_f", "CONSTANT = 1")
    module = user.load("top_f")
    running = source_digest("top_f")
    path.write_text("CONSTANT = 2")
    assert source_digest("top_f") == running
    importlib.reload(module.helper_f)
    assert source_digest("top_f") != running


def test_imprint_is_followed_through_rooms_but_not_through_its_front_door(user):
    user.write("top_g", "from imprint.runs import Store")
    found = source_digests("top_g")
    assert {"top_g", "imprint.runs", "imprint.runs.store", "imprint.runs.locks", "imprint.errors"} <= set(found)
    assert not any(name == "imprint" or name.startswith("imprint.stats") for name in found)


def test_each_source_file_of_imprint_is_digested_from_its_own_bytes(user):
    found = source_digests("imprint.runs.store")
    for name in ("imprint.runs.store", "imprint.runs.files", "imprint.errors", "imprint.types"):
        path = ROOT / (name.removeprefix("imprint.").replace(".", "/") + ".py")
        assert found[name] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_module_of_this_room_is_seen_by_every_step():
    modules = {f"imprint.runs.{path.stem}" for path in (ROOT / "runs").glob("*.py") if path.stem != "__init__"}
    assert modules <= set(source_digests("imprint.runs.recipe"))


@pytest.fixture
def copy_of_imprint(tmp_path):
    """A small imprint of its own, to edit; asked from a fresh process."""
    package = tmp_path / "copy" / "imprint"
    package.mkdir(parents=True)
    shutil.copytree(ROOT / "runs", package / "runs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("errors.py", "types.py"):
        shutil.copy(ROOT / name, package)
    (package / "__init__.py").write_text("from imprint.stats import Effect\nfrom imprint.high import play\n")
    for room in ("stats", "high"):
        (package / room).mkdir()
    (package / "stats" / "__init__.py").write_text("from imprint.stats.effects import Effect\n")
    (package / "stats" / "effects.py").write_text("class Effect:\n    LEVEL = 0.95\n")
    (package / "stats" / "table.json").write_text("[1]")
    (package / "high" / "__init__.py").write_text("def play():\n    pass\n")

    def ask(*statements):
        for index, statement in enumerate(statements):
            (package.parent / f"asked_{index}.py").write_text(statement)
        command = f"""
            import json
            from imprint.runs import source_digests
            digests = [source_digests(f"asked_{{index}}") for index in range({len(statements)})]
            print(json.dumps(digests))
        """
        run = [sys.executable, "-B", "-c", textwrap.dedent(command)]
        output = subprocess.run(run, cwd=package.parent, capture_output=True, text=True, check=True).stdout
        return json.loads(output)

    return package, ask


def test_an_edit_inside_imprint_changes_what_is_above_it_only(copy_of_imprint):
    package, ask = copy_of_imprint
    statements = [
        "from imprint.stats import Effect",
        "from imprint.stats.effects import Effect",
        "import imprint.errors as e",
    ]
    before = ask(*statements)
    (package / "stats" / "effects.py").write_text("class Effect:\n    LEVEL = 0.99\n")
    after = ask(*statements)
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, True, False]
    (package / "stats" / "table.json").write_text("[2]")  # data in a package counts
    last = ask(*statements)
    assert [one != other for one, other in zip(after, last, strict=True)] == [True, True, False]


def test_the_front_door_leads_to_the_module_behind_the_name(copy_of_imprint):
    _, ask = copy_of_imprint
    leads_to = {
        "from imprint import Effect": (True, False),
        "from imprint import play": (False, True),
        "from imprint import stats": (True, False),
        "import imprint": (True, True),
        "from imprint import *": (True, True),
        "import imprint.errors": (True, True),
        "from imprint import unknown": (True, True),
    }
    found = {
        statement: ("imprint.stats.effects" in modules, "imprint.high" in modules)
        for statement, modules in zip(leads_to, ask(*leads_to), strict=True)
    }
    assert found == leads_to


def test_code_in_no_file_is_refused():
    with pytest.raises(ConfigError, match="in no file that can be found"):
        source_digest("no_such_module_anywhere")
    with pytest.raises(ConfigError, match="__main__"):
        source_digest("__main__")


def test_a_module_that_cannot_be_parsed_counts_by_its_bytes(user):
    user.write("top_h", "try:\n    import broken_h\nexcept SyntaxError:\n    pass")
    user.write("broken_h", "def (")
    before = source_digest("top_h")
    assert "broken_h" in source_digests("top_h")
    assert len(before) == 64
