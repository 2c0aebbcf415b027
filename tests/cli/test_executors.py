"""`--executor local|ray` and `--address`: who computes, and every refusal."""

import socket
import sys
from contextlib import contextmanager, nullcontext

import pytest

from imprint.cli import attribute, executors
from imprint.cli.executors import chosen_executor
from imprint.corpus import byte_tokenizer
from imprint.errors import ConfigError
from imprint.models import Architecture
from imprint.runs import LocalExecutor, RayExecutor

SIZES = {"n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 16, "vocab_size": 256}
CONFIG = SIZES | {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.25}


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study.yaml").write_text("kind: mechanism\n")
    return tmp_path / "study.yaml"


def test_local_processes(monkeypatch):
    monkeypatch.setattr("imprint.studies.workers", lambda: 5)
    with chosen_executor("local", None, None) as one, chosen_executor("local", None, 3) as other:
        assert (one, other) == (LocalExecutor(workers=5), LocalExecutor(workers=3))


def test_a_cluster_of_ones_own_and_another_are_connected_for_the_whole_command(monkeypatch):
    log = []

    @contextmanager
    def connected(address, workers):
        log.append((address, workers))
        yield "ray"
        log.append("left")

    monkeypatch.setattr("imprint.runs.ray_executor.connected", connected)
    monkeypatch.setattr("imprint.studies.workers", lambda: 5)
    for address, processes in ((None, None), (None, 3), ("host:1", None), ("host:1", 3)):
        with chosen_executor("ray", address, processes) as chosen:
            log.append(chosen)
    mine, three = RayExecutor(workers=5), RayExecutor(workers=3)
    given, few = RayExecutor(address="host:1"), RayExecutor(address="host:1", workers=3)
    assert log == [
        *((None, 5), mine, "left"),
        *((None, 3), three, "left"),
        *(("host:1", None), given, "left"),
        *(("host:1", 3), few, "left"),
    ]


@pytest.mark.parametrize("verb", ["run", "train", "retrain", "demo"])
def test_an_address_without_ray(imprint, study, tmp_path, verb):
    arguments = {"demo": [], "retrain": [study, "--documents", study]}.get(verb, [study])
    answer = imprint(verb, *arguments, "--address", "host:6379", "--out", tmp_path / "out")
    assert answer.code == 2
    assert answer.complaint() == "--address host:6379 is that of a Ray cluster; add --executor ray, or leave it out"


def test_no_ray_and_no_cluster_are_one_sentence(imprint, study, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    fixed = ["train", study, "--executor", "ray", "--address", address, "--out", tmp_path / "out"]
    answer = imprint(*fixed)
    assert answer.code == 2
    assert answer.complaint().startswith(f"no Ray cluster at {address} (Connection refused): start one there")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install 'imprint[ray]'" in imprint(*fixed).complaint()


def test_an_executor_that_is_none(imprint, study):
    answer = imprint("run", study, "--executor", "slurm")
    assert answer.code == 2
    assert "slurm" in answer.complaint()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    Architecture(config=CONFIG).initialise(0).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def test_attribution_in_shards_writes_what_one_piece_writes(imprint, model, tmp_path, monkeypatch):
    (tmp_path / "text").mkdir()
    for number in range(6):
        (tmp_path / "text" / f"{number}.txt").write_text("a winter morning by the river " * 2 + str(number))
    asked = ["attribute", model, "--data", tmp_path / "text", "--head", "L1.H0", "--context", 16, "--factor-rows", 12]
    monkeypatch.setattr("imprint.attribution.engine.shards.SHARD_TOKENS", 17 * 8)
    chosen = []

    def alone(*options):
        chosen.append(options)
        return nullcontext(LocalExecutor(workers=1))

    monkeypatch.setattr(attribute, "chosen_executor", alone)
    whole = imprint(*asked, "--out", tmp_path / "whole", "--json")
    assert chosen == []
    spread = imprint(*asked, "--out", tmp_path / "spread", "--processes", 2, "--json")
    assert chosen == [("local", None, 2)]
    assert (spread.code, spread.out) == (0, whole.out)
    tables = [(tmp_path / name / "scores.parquet").read_bytes() for name in ("whole", "spread")]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("more", [["--queries", "x"], ["--head", "L0.H0", "--top-only", 3]])
def test_what_cannot_be_spread_says_so(imprint, model, tmp_path, more):
    answer = imprint("attribute", model, "--data", tmp_path, *more, "--executor", "ray", "--out", tmp_path / "out")
    assert answer.code == 2
    assert answer.complaint().endswith("spread the shards of --head; leave them out here")
    assert not (tmp_path / "out").exists()


def test_an_address_without_ray_in_the_library():
    with pytest.raises(ConfigError, match="--address"):
        executors.chosen_executor("local", "host:1", None).__enter__()
