import errno
import json
import os

import numpy as np
import polars as pl
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, T5Config, T5ForConditionalGeneration

from imprint.corpus import byte_tokenizer
from imprint.models import Architecture

SIZES = {"n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 16, "vocab_size": 256}
CONFIG = SIZES | {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.25}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A saved model with its tokenizer, as anybody's would be."""
    folder = tmp_path_factory.mktemp("model") / "model"
    Architecture(config=CONFIG).initialise(0).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def text(tmp_path):
    folder = tmp_path / "text"
    for domain, words in (("prose", "a winter morning by the river "), ("code", "return [x for x in y] ")):
        (folder / domain).mkdir(parents=True)
        for number in range(4):
            (folder / domain / f"{number}.txt").write_text(words * 2 + str(number))
    return folder


def asked(imprint, model, text, out, *more):
    fixed = ["--context", 16, "--factor-rows", 12, "--out", out]
    return imprint("attribute", model, "--data", text, "--head", "L1.H0", *fixed, *more)


def test_locate(imprint, model, tmp_path):
    answer = imprint("locate", model, "--context", 24, "--rows", 4, "--out", tmp_path / "out")
    assert answer.code == 0
    for words in ("strongest of 4 heads", "L1.H0", "Copy accuracy", "95 % of null maxima"):
        assert words in answer.out
    found = json.loads((tmp_path / "out" / "location.json").read_text())
    assert [head["head"] for head in found["heads"]] == ["L0.H0", "L0.H1", "L1.H0", "L1.H1"]
    assert all(head["ablation"] is not None for head in found["heads"])


def test_locate_as_json(imprint, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = imprint("locate", model, "--context", 24, "--rows", 4, "--ablate", 1, "--json")
    assert (answer.code, answer.err) == (0, "")
    assert sum(head["ablation"] is not None for head in answer.json["heads"]) == 1
    assert answer.json["copy_chance"] == 1 / 95
    assert list(tmp_path.iterdir()) == []
    again = imprint("locate", model, "--context", 24, "--rows", 4, "--ablate", 1, "--json")
    assert again.out == answer.out


def test_locate_shows_as_many_heads_as_asked(imprint, model):
    answer = imprint("locate", model, "--context", 24, "--rows", 4, "--top", 1)
    assert "The 1 strongest of 4 heads" in answer.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--context", 40], "40 tokens is longer than the model's context of 32"),
        (["--dtype", "float12"], "dtype 'float12' is not one of"),
    ],
)
def test_locate_refuses(imprint, model, arguments, message):
    answer = imprint("locate", model, *arguments, "--json")
    assert answer.code == 2
    assert message in answer.complaint()


def test_locate_what_is_not_there(imprint, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text('{"model_type": "gpt2"}')
    for name, message in (
        ("absent", "no such folder"),
        ("empty", "no config.json"),
        ("half", "no *.safetensors weights"),
    ):
        answer = imprint("locate", tmp_path / name, "--json")
        assert answer.code == 2
        assert message in answer.complaint()


BERT = {"vocab_size": 256, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
T5 = {"vocab_size": 256, "d_model": 16, "d_kv": 8, "d_ff": 8, "num_heads": 2, "num_layers": 2}


@pytest.mark.parametrize(
    "build",
    [
        lambda: BertForMaskedLM(BertConfig(**BERT, max_position_embeddings=32)),
        lambda: T5ForConditionalGeneration(T5Config(**T5, decoder_start_token_id=0)),
    ],
    ids=["bert", "t5"],
)
def test_models_that_predict_no_next_token(imprint, build, text, tmp_path):
    build().save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")
    found = imprint("locate", tmp_path / "model", "--context", 24, "--json")
    scored = asked(imprint, tmp_path / "model", text, tmp_path / "out", "--json")
    for answer in (found, scored):
        assert answer.code == 2
        assert "does not predict the next token" in answer.complaint()


def test_attribute(imprint, model, text, tmp_path):
    answer = asked(imprint, model, text, tmp_path / "out")
    assert answer.code == 0
    for words in ("highest influence on L1.H0", "consensus", "Self-checks:", "scores.parquet"):
        assert words in answer.out
    table = pl.read_parquet(tmp_path / "out" / "scores.parquet")
    assert set(table["domain"]) == {"prose", "code"}
    assert set(table["document"]) == {f"{domain}/{number}.txt" for domain in ("prose", "code") for number in range(4)}
    assert len(table) > 8
    names = ("log_prob", "contrastive", "attention")
    assert table.columns[2:9] == ["consensus", *names, *(f"{name}/dot" for name in names)]
    assert np.isfinite(table.select(pl.col(pl.Float64)).to_numpy()).all()


def test_attribute_again_is_served_from_the_store(imprint, model, text, tmp_path):
    first = asked(imprint, model, text, tmp_path / "out", "--json")
    written = (tmp_path / "out" / "scores.parquet").read_bytes()
    stored = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "store").rglob("*.npy")}
    second = asked(imprint, model, text, tmp_path / "out", "--json")
    assert first.code == second.code == 0
    assert first.err == ""
    assert first.json == second.json
    assert (tmp_path / "out" / "scores.parquet").read_bytes() == written
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "store").rglob("*.npy")} == stored


def test_another_checkpoint_under_the_same_name_is_scored_anew(imprint, text, tmp_path):
    tops = []
    for seed in (0, 1):
        Architecture(config=CONFIG).initialise(seed).save_pretrained(tmp_path / "model")
        byte_tokenizer().save_pretrained(tmp_path / "model")
        tops.append(asked(imprint, tmp_path / "model", text, tmp_path / "out", "--json").json)
    assert tops[0] != tops[1]


def test_attribute_as_json_gives_the_top_in_order(imprint, model, text, tmp_path):
    rows = asked(imprint, model, text, tmp_path / "out", "--json", "--top", 3).json
    table = pl.read_parquet(tmp_path / "out" / "scores.parquet")
    assert [row["consensus"] for row in rows] == sorted(table["consensus"], reverse=True)[:3]


def test_attribute_a_previous_token_head(imprint, model, text, tmp_path):
    rows = asked(
        imprint, model, text, tmp_path / "out", "--mechanism", "previous_token", "--parts", "qk", "--json"
    ).json
    assert [row["previous_token"] for row in rows] == sorted((row["previous_token"] for row in rows), reverse=True)
    assert "consensus" not in rows[0]


def test_attribute_values_and_outputs_only(imprint, model, text, tmp_path):
    rows = asked(imprint, model, text, tmp_path / "out", "--parts", "vo", "--json").json
    assert "attention" not in rows[0]
    assert "consensus" in rows[0]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("L9.H0", "layers 0 to 1"),
        ("L1.H7", "heads 0 to 1"),
        ("nonsense", "nonsense"),
        ("L1.mlp", "L1.mlp"),
    ],
)
def test_attribute_a_head_that_is_not_there(imprint, model, text, tmp_path, head, message):
    fixed = ["--context", 16, "--factor-rows", 12, "--out", tmp_path / "out", "--json"]
    answer = imprint("attribute", model, "--data", text, "--head", head, *fixed)
    assert answer.code == 2
    assert message in answer.complaint()
    assert not (tmp_path / "out" / "scores.parquet").exists()


def test_attribute_rows_beyond_the_context(imprint, model, text, tmp_path):
    answer = imprint(
        "attribute", model, "--data", text, "--head", "L1.H0", "--context", 40, "--out", tmp_path / "out", "--json"
    )
    assert answer.code == 2
    assert "40 tokens is longer than the model's context of 32" in answer.complaint()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jsonl", b"", "is empty: no document was found"),
        ("picture.txt", b"\x89PNG\r\n\x00\x00\x1a", "picture.txt"),
        ("latin.txt", b"caf\xe9 au lait, and more of it\n", "latin.txt"),
        ("lines.jsonl", b'{"text": "one of them is good"}\n{"text": broken}\n', "lines.jsonl:2 is not valid JSON"),
        ("lines.jsonl", b'{"text": "fine enough"}\n[1, 2]\n', "lines.jsonl:2 holds"),
        ("keys.jsonl", b'{"body": "no text under this key"}\n', "'body'"),
        ("short.txt", b"abc", "no document has 8 tokens"),
    ],
)
def test_data_that_cannot_be_read(imprint, model, tmp_path, name, content, message):
    path = write(tmp_path / "data" / name, content)
    answer = imprint("attribute", model, "--data", path, "--head", "L1.H0", "--out", tmp_path / "out", "--json")
    assert answer.code == 2
    assert message in answer.complaint()
    assert not (tmp_path / "out" / "scores.parquet").exists()


def test_data_or_a_model_that_is_not_there(imprint, model, text, tmp_path):
    for place, data, words in (
        (model, tmp_path / "absent", "no such file or folder"),
        (tmp_path / "absent", text, "no such folder; give the folder of a saved model"),
    ):
        answer = asked(imprint, place, data, tmp_path / "out", "--json")
        assert answer.code == 2
        assert words in answer.complaint()


def test_an_output_that_cannot_be_written(imprint, model, text, tmp_path):
    write(tmp_path / "file", b"mine")
    answer = asked(imprint, model, text, tmp_path / "file", "--json")
    assert answer.code == 2
    assert "cannot be written" in answer.complaint()
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_full_disk_is_said_and_the_same_command_goes_on(imprint, model, text, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        answer = asked(imprint, model, text, tmp_path / "out", "--json")
    assert answer.code == 2
    assert "the disk is full: free some space and run the same command again" in answer.complaint()
    assert not (tmp_path / "out" / "scores.parquet").exists()
    assert asked(imprint, model, text, tmp_path / "out", "--json").code == 0


def test_the_model_is_left_as_it_was(imprint, model, text, tmp_path):
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    state = torch.random.get_rng_state()
    asked(imprint, model, text, tmp_path / "out", "--json")
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before
    assert torch.equal(torch.random.get_rng_state(), state)
