"""`imprint train --intervene`, as a user calls it."""

import copy
import json
import sys
from pathlib import Path

import pytest
import yaml

from imprint.runs import file_digest
from tiny_studies import bytes_of, tiny_content, write_text

sys.path.insert(0, str(Path(__file__).parents[1] / "studies" / "emergence"))
from tiny_emergence import CONTENT

ALONE = ("--processes", 1)
PLAN = {
    "interventions": [
        {"name": "no first heads", "edits": [{"action": "ablate", "sites": ["L0.z"]}]},
        {"name": "slow", "optimisation": {"learning_rate": 0.001}},
    ]
}


def written(path, content):
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def mechanism(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mechanism")
    return written(folder / "study.yaml", tiny_content(write_text(folder / "text")))


@pytest.fixture(scope="module")
def emergence(tmp_path_factory):
    return written(tmp_path_factory.mktemp("emergence") / "study.yaml", copy.deepcopy(CONTENT))


def test_a_mechanism_study_is_trained_under_interventions_of_a_file(imprint, mechanism, tmp_path):
    plan = written(tmp_path / "plan.yaml", PLAN)
    out = tmp_path / "out"
    answer = imprint("train", mechanism, "--intervene", plan, "--out", out, *ALONE, "--json")
    assert answer.code == 0, answer.err
    arms = {(one["arm"], one["metric"]) for one in answer.json}
    assert {arm for arm, _ in arms} == {"no first heads", "slow"}
    assert {"onset", "loss.heldout", "previous_token"} <= {metric for _, metric in arms}
    assert all(one["n"] == 2 and one["unit"] == "pipeline seed" and one["p"] <= one["q"] for one in answer.json)
    slow = next(one for one in answer.json if (one["arm"], one["metric"]) == ("slow", "loss.heldout"))
    assert slow["estimate"] > 0
    before = bytes_of(out / "store", manifests=True)
    shown = imprint("train", mechanism, "--intervene", plan, "--out", out, *ALONE)
    assert bytes_of(out / "store", manifests=True) == before
    assert "Interventions on training against the untouched runs" in shown.out
    untouched = imprint("train", mechanism, "--out", out, *ALONE, "--json")
    assert len(untouched.json) == 2


def test_an_emergence_study_is_trained_under_its_own_interventions(imprint, emergence, tmp_path):
    named = imprint("train", emergence, "--intervene", "no heads", "--out", tmp_path, *ALONE, "--json")
    assert named.code == 0, named.err
    assert {row["arm"] for row in named.json} == {"control", "no heads"}
    assert {row["scale"] for row in named.json} == {"s", "m"}
    everything = imprint("train", emergence, "--out", tmp_path, *ALONE, "--intervene")
    assert everything.code == 0, everything.err
    assert "few repeats" in everything.out
    plain = imprint("train", emergence, "--out", tmp_path, *ALONE)
    assert "control" in plain.out
    assert "few repeats" not in plain.out
    _runs_to_a_report(imprint, emergence, tmp_path)


def _runs_to_a_report(imprint, emergence, out):
    """`imprint run` goes on from the trained arms, and its report renders again to the same bytes."""
    answer = imprint("run", emergence, "--out", out, *ALONE)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].startswith("What makes them emerge?")
    page = (out / "report.html").read_bytes()
    evidence = json.loads((out / "evidence.json").read_text())
    assert {"graph", "prediction", "allocation", "beside"} <= set(evidence)
    files = json.loads((out / "manifest.json").read_text())["files"]
    assert {"history.parquet", "outcomes.parquet", "design.json", "registration.json"} <= set(files)
    assert files["report.html"] == file_digest(out / "report.html")
    again = imprint("report", out)
    assert again.code == 0, again.err
    assert (out / "report.html").read_bytes() == page


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (None, "cannot be read"),
        ({"interventions": []}, "lists no intervention"),
        ([{"name": "x"}], "changes nothing; give edits or optimisation"),
        ([{"name": "keep", "optimisation": {"beta1": 0.5}}], "means the untouched runs"),
        ([{"name": "x", "edits": [{"action": "ablate", "sites": ["the head"]}]}], "not the address of a component"),
        ([{"name": "x", "edits": [{"action": "melt", "sites": ["L0.z"]}]}], "Input should be 'ablate', 'clamp'"),
        (2 * [{"name": "x", "optimisation": {"beta1": 0.5}}], "same name"),
        ([{"name": "x", "optimisation": {"warmup_steps": 1.5}}], "warmup_steps"),
        ([{"name": "x", "edits": [{"action": "ablate", "sites": ["L0.z"], "first": 40}]}], "update 40 of 40, so never"),
    ],
)
def test_plans_that_say_nothing_are_refused(imprint, mechanism, tmp_path, plan, words):
    path = tmp_path / "plan.yaml"
    if plan is not None:
        written(path, plan)
    answer = imprint("train", mechanism, "--intervene", path, "--out", tmp_path / "out", *ALONE)
    assert answer.code == 2
    assert words in answer.complaint()


def test_interventions_that_a_study_or_model_does_not_have(imprint, emergence, mechanism, tmp_path):
    answer = imprint("train", emergence, "--intervene", "no tails", "--out", tmp_path / "a", *ALONE)
    assert answer.code == 2
    assert "the study has the interventions few repeats, no heads" in answer.complaint()
    answer = imprint("train", mechanism, "--out", tmp_path / "b", *ALONE, "--intervene")
    assert answer.code == 2
    assert "give one YAML file" in answer.complaint()
