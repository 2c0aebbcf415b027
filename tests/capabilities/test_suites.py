import json

import pytest
from bench_files import LABELS, copa_xml, write, write_data

from imprint.capabilities import GROUPS, SUITES, suites_named
from imprint.capabilities.suites import instruction_prompt, suite_named, task_sources
from imprint.errors import ConfigError


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def test_abilities_are_their_suites_once():
    assert [suite.name for suite in suites_named(["language", "blimp", "control"])] == ["blimp", "wikitext", "winograd"]
    assert set(GROUPS) == {"reasoning", "in-context", "knowledge", "ethics", "language", "control"}
    assert sum(map(len, GROUPS.values())) == len(SUITES)


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_reads_its_files(data, name):
    for source in task_sources(suite_named(name), data):
        assert all(rows for rows in source.load().values())


def test_a_part_of_a_suite(data):
    assert [one.name for one in task_sources(suite_named("ethics:virtue"), data)] == ["ethics_virtue"]
    with pytest.raises(ConfigError, match="no task of suite 'ethics:nothing'"):
        task_sources(suite_named("ethics:nothing"), data)


def test_shots_of_copa_are_never_asked_nor_their_mirrors(tmp_path):
    write(tmp_path, "balanced_copa/balanced-copa-dev-all.xml", copa_xml(20))
    (source,) = task_sources(suite_named("copa"), tmp_path)
    splits = source.load()
    assert {row["group"] for row in splits["train"]} == {19, 20}
    assert {row["group"] for row in splits["validation"]} == set(range(1, 19))


def test_few_answers_make_a_choice_and_many_do_not(tmp_path):
    few = write(tmp_path, "few.json", json.dumps(LABELS))
    many = LABELS | {"Instances": [{"input": "a", "output": f"answer {n}"} for n in range(9)]}
    types = [
        task_sources(suite_named("super_ni"), path)[0].settings["output_type"]
        for path in (few, write(tmp_path, "many.json", json.dumps(many)))
    ]
    assert types == ["multiple_choice", "generate_until"]


def test_the_prompt_of_an_instruction_is_tk_instructs():
    shared = {"definition": "Good or bad?", "examples": LABELS["Positive Examples"]}
    assert instruction_prompt(shared, 1)({"input": "Fine"}) == (
        "Definition: Good or bad?\n\n Positive Example 1 -\nInput: Lovely.\n Output: good.\n\n"
        "Now complete the following example -\nInput: Fine.\nOutput:"
    )
    with pytest.raises(ConfigError, match="2 positive examples"):
        instruction_prompt(shared, 3)


@pytest.mark.parametrize(
    ("name", "said"),
    [("sst", "did you mean sst2?"), ("in_context", "did you mean in-context?"), ("zzz", "there are gsm8k, math")],
)
def test_unknown_suites(name, said):
    with pytest.raises(ConfigError) as caught:
        suite_named(name)
    assert said in str(caught.value)


def test_missing_folders_and_files(tmp_path):
    with pytest.raises(ConfigError, match="no such folder; suite 'mmlu' reads it"):
        task_sources(suite_named("mmlu"), tmp_path)
    (tmp_path / "mmlu").mkdir()
    with pytest.raises(ConfigError, match="no task of suite 'mmlu'"):
        task_sources(suite_named("mmlu"), tmp_path)
