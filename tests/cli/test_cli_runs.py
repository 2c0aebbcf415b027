import json
import shutil

import pytest

from imprint.corpus import PackedCorpus, PlantedWorld, WorldRows
from imprint.corpus.steps import FileCorpus
from imprint.runs import Store


@pytest.fixture
def run(tmp_path):
    """A run's folder with three results, one of which builds on another."""
    (tmp_path / "text.txt").write_text("a text that is long enough to give a row of tokens\n" * 3)
    store = Store(tmp_path / "run" / "store")
    store.get(PackedCorpus(corpus=FileCorpus(paths=(tmp_path / "text.txt",)), context=16))
    store.get(WorldRows(world=PlantedWorld(context=12), rows=4))
    return tmp_path / "run"


def keys(imprint, run):
    return {entry["step"].rpartition(".")[2]: entry["key"] for entry in imprint("runs", "list", run, "--json").json}


def files(run):
    return {path for path in run.rglob("*") if path.is_file()}


def test_list(imprint, run):
    answer = imprint("runs", "list", run)
    assert answer.code == 0
    for words in ("3 stored results", "FileCorpus", "PackedCorpus", "WorldRows"):
        assert words in answer.out
    assert imprint("runs", "list", run / "store").out == answer.out


def test_list_as_json_is_the_manifests(imprint, run):
    found = imprint("runs", "list", run, "--json").json
    assert [entry["step"].rpartition(".")[2] for entry in found] == ["FileCorpus", "PackedCorpus", "WorldRows"]
    for entry in found:
        manifest = run / "store" / entry["key"][:2] / entry["key"] / "manifest.json"
        assert json.loads(manifest.read_text()) == entry


def test_show(imprint, run):
    key = keys(imprint, run)["WorldRows"]
    answer = imprint("runs", "show", run, key[:8])
    assert (answer.code, answer.json["key"]) == (0, key)
    assert answer.json["recipe"]["fields"]["rows"] == 4
    missing = imprint("runs", "show", run, "zz")
    assert missing.code == 2
    assert "no result in" in missing.complaint()


def test_verify(imprint, run):
    answer = imprint("runs", "verify", run)
    assert (answer.code, answer.out) == (0, "3 stored results verified\n")
    assert imprint("runs", "verify", run, "--json").json == []


def test_verify_finds_a_flipped_byte(imprint, run):
    key = keys(imprint, run)["WorldRows"]
    path = run / "store" / key[:2] / key / "tokens.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    answer = imprint("runs", "verify", run)
    assert answer.code == 1
    assert answer.out.startswith(f"{key[:12]} tokens.npy: its bytes changed")
    assert answer.err.splitlines()[-1] == "imprint: 1 problems in 3 stored results; prune them and run again"
    asked = imprint("runs", "verify", run, "--json")
    assert asked.code == 1
    assert [(problem["key"], problem["file"]) for problem in asked.json] == [(key, "tokens.npy")]


@pytest.mark.parametrize("name", ["manifest.json", "lengths.npy"])
def test_verify_finds_a_missing_file(imprint, run, name):
    key = keys(imprint, run)["WorldRows"]
    (run / "store" / key[:2] / key / name).unlink()
    answer = imprint("runs", "verify", run)
    assert answer.code == 1
    assert name in answer.out


def test_prune_asks_first(imprint, run):
    before = files(run)
    answer = imprint("runs", "prune", run)
    assert answer.code == 2
    assert answer.complaint().endswith("add --yes to do it")
    assert files(run) == before


def test_prune_keeps_what_is_named_and_what_it_builds_on(imprint, run):
    named = keys(imprint, run)
    answer = imprint("runs", "prune", run, named["PackedCorpus"][:10], "--yes")
    assert (answer.code, answer.out) == (0, f"deleted {named['WorldRows'][:12]}\n")
    assert set(keys(imprint, run)) == {"FileCorpus", "PackedCorpus"}
    assert imprint("runs", "prune", run, "--yes").code == 0
    assert imprint("runs", "list", run, "--json").json == []


@pytest.mark.parametrize("verb", ["list", "verify"])
def test_folders_that_hold_no_results(imprint, tmp_path, verb):
    """Nobody may hear that all is well because the folder was the wrong one."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("nothing")
    for place in ("notes", "absent", "notes/todo.txt"):
        answer = imprint("runs", verb, tmp_path / place)
        assert answer.code == 2
        assert answer.complaint().endswith("is not the folder of a run or of a store")


def test_an_empty_store_is_one(imprint, tmp_path, run):
    (tmp_path / "fresh" / "store").mkdir(parents=True)
    assert imprint("runs", "list", tmp_path / "fresh", "--json").json == []
    shutil.rmtree(run / "store")
    (run / "store").mkdir()
    assert imprint("runs", "verify", run).out == "0 stored results verified\n"
