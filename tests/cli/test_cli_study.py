import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from imprint.corpus import Corpus
from imprint.runs import Store, file_digest
from imprint.studies import corpora, load_study
from imprint.studies.mechanism import attributed
from tiny_studies import bytes_of, tiny_content, write_text

SMALL = {"interventions": {"natural": False, "duplicate": False}}
ALONE = ["--processes", 1]
SCRIPT = """
import sys
from imprint.cli import main
from imprint.studies.mechanism import attributed

attributed.LEAST_STRENGTH = 0.0
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("corpus") / "text")


@pytest.fixture(scope="module")
def study(text, tmp_path_factory):
    return written(tmp_path_factory.mktemp("studies") / "tiny.yaml", text)


def written(path, text, **changes):
    path.write_text(yaml.safe_dump(tiny_content(text, **SMALL | changes)), encoding="utf-8")
    return path


@pytest.fixture
def any_head_will_do(monkeypatch):
    monkeypatch.setattr(attributed, "LEAST_STRENGTH", 0.0)


@pytest.fixture
def run(imprint, any_head_will_do, study, finished_folder):
    """A finished run, made by the first test that asks for it."""
    if not (finished_folder / "manifest.json").exists():
        answer = imprint("run", study, "--out", finished_folder, *ALONE)
        assert answer.code == 0, answer.err
        (finished_folder.parent / "said.txt").write_text(answer.out)
    return finished_folder


@pytest.fixture(scope="module")
def finished_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("finished") / "run"


def test_no_head_is_one_sentence_and_exit_code_one(imprint, study, tmp_path, monkeypatch):
    """In the default folder, which is named after the study."""
    monkeypatch.chdir(tmp_path)
    answer = imprint("run", study, *ALONE)
    assert answer.code == 1
    assert answer.complaint().startswith("no induction head formed in the reference run")
    folder = tmp_path / "runs" / "tiny"
    assert {path.name for path in folder.iterdir()} == {"registration.json", "seconds.json", "store"}
    assert imprint("runs", "verify", folder).code == 0


def test_run_ends_with_five_lines_and_the_report(run):
    lines = (run.parent / "said.txt").read_text().splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("Which data?")
    assert lines[4].startswith("How far?")
    assert lines[5] == f"Report: {run / 'report.html'}"


def test_run_leaves_everything_promised(run):
    assert {path.name for path in run.iterdir()} == {
        "evidence.json",
        "manifest.json",
        "registration.json",
        "report.html",
        "report.json",
        "report.md",
        "seconds.json",
        "store",
        "trajectories.parquet",
    }
    manifest = json.loads((run / "manifest.json").read_text())
    assert {name: file_digest(run / name) for name in manifest["files"]} == manifest["files"]


def test_changed_hypotheses_are_refused(imprint, run, text, tmp_path):
    rule = {"id": "H1", "statement": "Something else.", "metric": "onset.delete_top_vs_keep", "threshold": 0.0}
    other = written(tmp_path / "other.yaml", text, hypotheses=[rule | {"direction": "greater", "test": "sign flips"}])
    before = bytes_of(run, manifests=True)
    for verb in ("run", "train"):
        answer = imprint(verb, other, "--out", run, *ALONE)
        assert answer.code == 2
        assert "was registered with other hypotheses; choose another --out folder" in answer.complaint()
    assert bytes_of(run, manifests=True) == before


@pytest.mark.parametrize("verb", ["run", "train", "retrain"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("corpsu: {}", "unknown key 'corpsu'; did you mean 'corpus'?"),
        ("training: {setps: 4}", "unknown key 'training.setps'; did you mean 'steps'?"),
        ("kind: other", "kind 'other' is not a study"),
        ("ranking: best", "ranking 'best' is not known"),
        ("{", "is not valid YAML"),
    ],
)
def test_bad_study_files_write_nothing(imprint, tmp_path, monkeypatch, verb, content, message):
    (tmp_path / "bad.yaml").write_text(content)
    monkeypatch.chdir(tmp_path)
    more = ["--documents", "ids.txt"] if verb == "retrain" else []
    answer = imprint(verb, "bad.yaml", *more)
    assert answer.code == 2
    assert message in answer.complaint()
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_a_corpus_that_is_empty(imprint, tmp_path):
    (tmp_path / "text").mkdir()
    answer = imprint("run", written(tmp_path / "s.yaml", tmp_path / "text"), "--out", tmp_path / "out", *ALONE)
    assert answer.code == 2
    assert "is empty: no document was found" in answer.complaint()
    assert not (tmp_path / "out" / "registration.json").exists()


def test_a_study_file_or_corpus_that_is_not_there(imprint, tmp_path):
    assert "No such file" in imprint("run", tmp_path / "absent.yaml").complaint()
    answer = imprint("run", written(tmp_path / "s.yaml", tmp_path / "absent"), "--out", tmp_path / "out", *ALONE)
    assert answer.code == 2
    assert "no such file or folder" in answer.complaint()


def test_an_output_that_cannot_be_written(imprint, study, tmp_path):
    (tmp_path / "file").write_text("mine")
    answer = imprint("run", study, "--out", tmp_path / "file" / "run", *ALONE)
    assert answer.code == 2
    assert "cannot be written" in answer.complaint()


def test_a_disk_that_is_full_at_the_very_end(imprint, study, run, monkeypatch):
    """All is computed; the report does not fit. The old one stays whole; the same command goes on, and --json is the evidence."""
    page = (run / "report.html").read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        answer = imprint("run", study, "--out", run, *ALONE)
    assert answer.code == 2
    assert "the disk is full" in answer.complaint()
    assert (run / "report.html").read_bytes() == page
    again = imprint("run", study, "--out", run, "--json", *ALONE)
    assert again.code == 0
    assert again.json == json.loads((run / "evidence.json").read_text())


def test_report_renders_again(imprint, run, tmp_path):
    page = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    answer = imprint("report", run)
    assert (answer.code, answer.out) == (0, f"Report: {run / 'report.html'}\n")
    assert (run / "report.html").read_bytes() == page
    elsewhere = imprint("report", run, "--out", tmp_path / "new" / "page.html")
    assert elsewhere.code == 0
    assert (tmp_path / "new" / "page.html").read_bytes() == page


def test_report_of_what_is_no_run(imprint, tmp_path):
    answer = imprint("report", tmp_path)
    assert answer.code == 2
    assert "report.json is missing" in answer.complaint()
    (tmp_path / "report.json").write_text('{"title": "x"}')
    answer = imprint("report", tmp_path)
    assert answer.code == 2
    assert "not the data of a report" in answer.complaint()
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_report_into_a_folder(imprint, run, tmp_path):
    answer = imprint("report", run, "--out", tmp_path)
    assert answer.code == 2
    assert "is a folder; name the HTML file to write" in answer.complaint()


def test_train_reuses_the_runs(imprint, study, run):
    before = bytes_of(run / "store", manifests=True)
    answer = imprint("train", study, "--out", run, *ALONE, "--json")
    assert (answer.code, answer.err) == (0, "")
    assert bytes_of(run / "store", manifests=True) == before
    assert [set(one) for one in answer.json] == 2 * [
        {"seed", "folder", "emerged", "onset", "strength", "copy_accuracy"}
    ]
    shown = imprint("train", study, "--out", run, *ALONE)
    for words in ("A tiny study", "emergence step", "Checkpoints of seed 1:"):
        assert words in shown.out


def test_retrain_named_documents(imprint, study, run, tmp_path):
    corpus = Store(run / "store").get(corpora(load_study(study)).train.corpus) / "corpus.jsonl"
    (tmp_path / "ids.txt").write_text("\n".join(Corpus.load(corpus).ids[:9]))
    answer = imprint("retrain", study, "--documents", tmp_path / "ids.txt", "--out", run, *ALONE, "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["rows"] == 9
    for effect in answer.json["effects"]:
        assert {"arm", "control", "metric", "estimate", "low", "high", "n", "unit", "p", "bound", "is_control"} <= set(
            effect
        )
    shown = imprint("retrain", study, "--documents", tmp_path / "ids.txt", "--out", run, *ALONE)
    assert "9 rows edited in steps 20..40" in shown.out


@pytest.mark.parametrize(
    ("content", "message"),
    [("prose-1#0\nnobody\n", "no document 'nobody' among"), ("", "is empty; write one document id")],
)
def test_retrain_documents_that_are_not_there(imprint, study, run, tmp_path, content, message):
    (tmp_path / "ids.txt").write_text(content)
    answer = imprint("retrain", study, "--documents", tmp_path / "ids.txt", "--out", run, *ALONE)
    assert answer.code == 2
    assert message in answer.complaint() or "no document" in answer.complaint()


def results(store, *, manifests=False):
    """The files of finished results, without locks and unfinished attempts."""
    found = bytes_of(store, manifests=manifests)
    return {name: content for name, content in found.items() if len(name.split("/")[0]) == 2}


def test_a_killed_study_comes_to_the_same_bytes(imprint, study, run, tmp_path):
    """SIGKILL while the arms are trained, then the same command: claims, verdicts, table and results are equal."""
    out = tmp_path / "killed"
    command = [sys.executable, "-c", SCRIPT, "run", str(study), "--out", str(out), "--processes", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 120
    while len(list(out.glob("store/??/*"))) < 18 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    errors = process.communicate()[1].decode()
    assert process.returncode == -signal.SIGKILL, errors
    assert not (out / "evidence.json").exists()
    kept = shutil.copytree(out / "store", tmp_path / "kept")
    answer = imprint("run", study, "--out", out, *ALONE)
    assert answer.code == 0
    mine, whole = (results(folder / "store") for folder in (out, run))
    assert set(mine) <= set(whole)
    assert {name: whole[name] for name in mine} == mine
    assert len(mine) > 60
    before, after = (results(folder, manifests=True) for folder in (kept, out / "store"))
    assert before
    assert {name: after[name] for name in before} == before
    for name in ("trajectories.parquet", "registration.json"):
        assert (out / name).read_bytes() == (run / name).read_bytes()
    one, other = (json.loads((folder / "evidence.json").read_text()) for folder in (out, run))
    assert one["claims"] == other["claims"]
    assert one["hypotheses"] == other["hypotheses"]
    assert imprint("runs", "verify", out).code == 0
