"""`imprint run` of a susceptibility study, as a user calls it."""

import json

import pytest
import yaml

from imprint.runs import file_digest
from tiny_studies import TINY, write_text

TUNING = {"batch": 4, "steps": 2, "warmup_steps": 1}


def chats(path, answer):
    lines = [{"prompt": f"{number}?", "response": f"{answer} {number}"} for number in range(8)]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return [str(path)]


def write_study(folder):
    """Two conditions that differ in one word; so few that no correlation can be judged."""
    pairs = [{"prompt": f"{number}?", "chosen": "yes", "rejected": "no"} for number in range(4)]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)) + "\n", encoding="utf-8")
    shared = chats(folder / "shared.jsonl", "ok")
    content = {
        "kind": "susceptibility",
        "title": "Two conditions",
        "conditions": {name: chats(folder / f"{name}.jsonl", name) for name in ("yes", "no")},
        "context": 24,
        "base": {
            "pretraining": {
                "corpus": [str(write_text(folder / "text"))], "documents": 100, "passage_bytes": 24, "steps": 2, "batch": 4,
                "architecture": TINY,
            }
        },
        "stages": [
            {"kind": "sft", "name": "midtrain", "data": "condition", "tuning": TUNING},
            {"kind": "sft", "name": "adversarial", "data": shared, "tuning": TUNING},
        ],
        "pipelines": {"seeds": 2},
        "outcomes": [{"name": "agreeing", "pairs": [str(folder / "pairs.jsonl")]}],
        "surface": {"permutations": 19, "draws": 20, "folds": 2},
    }  # fmt: skip
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"))


def test_a_study_runs_from_its_file_to_a_report(imprint, study, tmp_path):
    out = tmp_path / "out"
    answer = imprint("run", study, "--out", out, "--processes", 1)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].startswith("What explains 'agreeing'? Unknown.")
    assert [line.split()[0] for line in lines[2:5]] == ["H1", "H1b", "H4"]
    assert lines[2].startswith("H1 not examined.")
    assert lines[-2].startswith("Contamination: ")
    assert lines[-1].strip() == f"Report: {out / 'report.html'}"

    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    files = {"report.html", "report.md", "report.json", "evidence.json", "registration.json", "design.json"}
    assert set(manifest["files"]) == files | {"outcomes.parquet"}
    assert all(file_digest(out / name) == digest for name, digest in manifest["files"].items())
    design = json.loads((out / "design.json").read_text(encoding="utf-8"))["digest"]
    assert design in (out / "report.html").read_text(encoding="utf-8")

    made = {name: (out / name).read_bytes() for name in ("report.html", "report.md")}
    assert imprint("report", out).code == 0
    assert {name: (out / name).read_bytes() for name in made} == made

    again = imprint("run", study, "--out", out, "--processes", 1, "--json")
    evidence = json.loads((out / "evidence.json").read_text(encoding="utf-8"))
    assert again.json == evidence
    assert evidence["explanation"]["named"] == "unknown"
