import copy
import json
import pickle
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pydantic
import pytest
from pydantic import Field

from imprint.errors import ConfigError
from imprint.runs import Context, Step, digest, versions


class Kind(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Part:
    weight: float
    step: Step | None = None


class Inert(Step):
    """A step that does nothing."""

    def execute(self, folder: Path, context: Context) -> None:
        return None


class Base(Inert):
    seed: int = 0
    rate: float = 0.1


class Other(Inert):
    seed: int = 0
    rate: float = 0.1


class Upper(Inert):
    base: Step
    arms: list[Step] = Field(default=[])
    named: dict[str, Step] = Field(default={})
    part: Part = Part(weight=1.0)
    kind: Kind = Kind.RED


class Anything(Inert):
    value: Any


class Reads(Inert):
    corpus: Path


def test_the_key_is_the_digest_of_the_recipe_with_all_defaults():
    step = Upper(base=Base())
    recipe = step.recipe()
    assert step.key == digest(recipe) == digest(json.loads(json.dumps(recipe)))
    assert len(step.key) == 64
    assert recipe["step"] == f"{__name__}.Upper"
    assert recipe["fields"]["base"]["fields"] == {"seed": 0, "rate": 0.1}
    assert recipe["versions"] == versions()
    assert set(versions()) == {"python", "numpy", "scikit-learn", "scipy", "tokenizers", "torch", "transformers"}


def test_writing_a_default_out_changes_nothing():
    assert Base().key == Base(seed=0, rate=0.1).key


@pytest.mark.parametrize(
    "other",
    [
        Upper(base=Base(seed=1)),
        Upper(base=Other()),
        Upper(base=Base(), arms=[Base()]),
        Upper(base=Base(), named={"a": Base()}),
        Upper(base=Base(), part=Part(weight=1.0, step=Base())),
        Upper(base=Base(), part=Part(weight=1.5)),
        Upper(base=Base(), kind=Kind.BLUE),
        Upper(base=Upper(base=Base())),
    ],
)
def test_every_field_counts_at_any_depth(other):
    assert Upper(base=Base()).key != other.key


def test_versions_count(monkeypatch):
    before = Base().key
    monkeypatch.setattr("imprint.runs.recipe.versions", lambda: {**versions(), "torch": "0.0"})
    assert Base().key != before


def test_upstream_finds_steps_wherever_fields_hold_them():
    one, two, three, four = (Base(seed=seed) for seed in range(4))
    step = Upper(base=one, arms=[two], named={"a": three}, part=Part(weight=1, step=four))
    assert step.upstream() == [one, two, three, four]
    assert one.upstream() == []


def test_a_copy_with_other_fields_has_another_key_and_is_validated():
    step = Base()
    assert step.key == step.model_copy().key == copy.copy(step).key == pickle.loads(pickle.dumps(step)).key
    assert step.model_copy(update={"seed": 1}).key == Base(seed=1).key != step.key
    with pytest.raises(pydantic.ValidationError):
        step.model_copy(update={"sede": 1})
    with pytest.raises(pydantic.ValidationError):
        step.model_copy(update={"seed": "one"})


def test_fields_are_frozen_and_known():
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Base().seed = 1
    with pytest.raises(pydantic.ValidationError, match="sede"):
        Base(sede=1)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "Anything.value is nan"),
        ({"a": [float("inf")]}, r"Anything.value.a\[0\] is inf"),
        (len, "a builtin_function_or_method"),
        ({1.5: 0}, "the key 1.5"),
        (b"x", "is a bytes"),
    ],
)
def test_what_a_recipe_cannot_name_is_refused_with_its_field(value, words):
    with pytest.raises(ConfigError, match=words):
        _ = Anything(value=value).key


def test_sets_have_no_order():
    assert Anything(value={"a", "b", "c"}).key == Anything(value={"c", "b", "a"}).key


def test_an_input_counts_by_content_and_name_not_by_place(tmp_path):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "corpus.txt").write_text("text")
    here, there = Reads(corpus=tmp_path / "here/corpus.txt"), Reads(corpus=tmp_path / "there/corpus.txt")
    assert here.key == there.key
    assert str(tmp_path) not in json.dumps(here.recipe())
    (tmp_path / "there/corpus.txt").write_text("TEXT")
    assert here.key != there.key
    whole = Reads(corpus=tmp_path / "here")
    before = whole.key
    (tmp_path / "here" / "more.txt").write_text("more")
    assert whole.key != before


def test_a_missing_input_is_named():
    with pytest.raises(ConfigError, match=r"Reads\.corpus is 'nowhere\.txt', and there is no such file"):
        _ = Reads(corpus=Path("nowhere.txt")).key


def test_a_path_written_as_text_is_refused_because_its_content_would_not_count(tmp_path):
    with pytest.raises(ConfigError, match="declare the field as a Path"):
        _ = Anything(value=str(tmp_path)).key
    assert Anything(value="/no/such/thing").key != Anything(value="/").key


def test_a_step_inside_a_function_is_refused():
    class Local(Inert):
        pass

    with pytest.raises(ConfigError, match="inside a function"):
        _ = Local().key


def test_a_step_in_the_main_script_is_refused(user):
    user.write(
        "script_a",
        """
        from imprint.runs import Step

        class Mine(Step):
            def execute(self, folder, context):
                pass

        try:
            Mine().key
        except Exception as error:
            print(type(error).__name__, error)
        """,
    )
    output = user.run("script_a.py")
    assert output.startswith("ConfigError step Mine is defined in the script that is run (__main__)")


def test_hidden_state_is_refused():
    with pytest.raises(AssertionError, match="private attributes would not count"):

        class Hidden(Inert):
            _secret: int = 1


EDITS = {
    "default": ("number: int = 1", "number: int = 2"),
    "execute": ("self.number + CONSTANT", "self.number - CONSTANT"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_step_has_another_key(user, edit):
    text = """
        from imprint.runs import Step
        CONSTANT = 3
        class Mine(Step):
            number: int = 1
            def execute(self, folder, context):
                (folder / "a").write_text(str(self.number + CONSTANT))
        """
    user.write("steps_a", text)
    before = user.load("steps_a").Mine().key
    user.write("steps_a", text.replace(*EDITS[edit]))
    assert user.load("steps_a").Mine().key != before
    user.write("steps_a", text)
    assert user.load("steps_a").Mine().key == before


def test_a_step_keeps_the_key_of_the_code_that_was_loaded(user):
    text = "from imprint.runs import Step\nclass Mine(Step):\n    def execute(self, folder, context):\n        pass\n"
    user.write("steps_b", text)
    module = user.load("steps_b")  # the key is first asked for after the edit
    user.write("steps_b", text.replace("pass", "folder.mkdir()"))
    late = module.Mine().key
    user.write("steps_b", text)
    assert user.load("steps_b").Mine().key == late


def test_a_step_of_another_module_passed_as_a_field_brings_its_code(user):
    user.write("steps_c", "from imprint.runs import Step\nclass C(Step):\n    def execute(self, f, c): pass\n")
    before = Upper(base=user.load("steps_c").C()).key
    user.write("steps_c", "from imprint.runs import Step\nclass C(Step):\n    def execute(self, f, c): return\n")
    assert Upper(base=user.load("steps_c").C()).key != before
