"""`imprint attribute --queries`: texts asked about through the whole model, layers, heads, and every refusal."""

import numpy as np
import polars as pl
import pytest

from imprint.corpus import byte_tokenizer
from imprint.models import Architecture

SIZES = {"n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 16, "vocab_size": 256}
CONFIG = SIZES | {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.25}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    Architecture(config=CONFIG).initialise(0).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    for domain, words in (("prose", "a winter morning by the river "), ("code", "return [x for x in y] ")):
        (folder / "data" / domain).mkdir(parents=True)
        for number in range(4):
            (folder / "data" / domain / f"{number}.txt").write_text(words * 2 + str(number))
    (folder / "asked.txt").write_text("winter morning by the river, ")
    return folder


def ask(imprint, model, files, out, *more):
    fixed = ["--context", 16, "--factor-rows", 12, "--out", out, "--queries", files / "asked.txt"]
    return imprint("attribute", model, "--data", files / "data", *fixed, *more)


@pytest.mark.parametrize(
    ("more", "part", "parts"),
    [
        ([], "transformer.h.0.attn.c_attn", 8),
        (["--layers", "1"], "transformer.h.1.mlp.c_proj", 4),
        (["--split", "head"], "L1.H0", 4),
        (["--precision", "bfloat16"], "transformer.h.1.attn.c_proj", 8),
    ],
)
def test_texts_are_attributed_and_split(imprint, model, files, tmp_path, more, part, parts):
    answer = ask(imprint, model, files, tmp_path / "out", *more)
    assert answer.code == 0, answer.err
    for words in ("highest influence on 2 queries", "Where it flows", "Self-checks:", "split_half"):
        assert words in " ".join(answer.out.split())
    table = pl.read_parquet(tmp_path / "out" / "scores.parquet")
    asked = [name for name in table.columns if name.startswith("query: ")]
    assert len(asked) == 2
    total = sum(table[name].to_numpy() for name in asked)
    np.testing.assert_allclose(table["all queries"].to_numpy(), total)
    (scores,) = (tmp_path / "out" / "store").glob("*/*/group_scores.npy")
    assert np.load(scores).shape[1] == parts
    assert part in (scores.parent / "scores.json").read_text()


def test_training_on_the_very_text_raises_its_likelihood(imprint, model, files, tmp_path):
    (files / "same").mkdir(exist_ok=True)
    (files / "same" / "asked.txt").write_text((files / "asked.txt").read_text())
    answer = ask(imprint, model, files, tmp_path / "out", "--data", files / "same", "--json", "--top", 100)
    assert answer.code == 0, answer.err
    own = [row["all queries"] for row in answer.json if "asked" in row["document"]]
    others = [row["all queries"] for row in answer.json if "asked" not in row["document"]]
    assert sum(own) / len(own) > max(0.0, sum(others) / len(others))


def test_tokens_and_a_single_head(imprint, model, files, tmp_path):
    answer = ask(imprint, model, files, tmp_path / "out", "--head", "L1.H0", "--tokens", "--json")
    assert answer.code == 0, answer.err
    (tokens,) = (tmp_path / "out" / "store").glob("*/*/token_scores.npy")
    assert np.load(tokens).shape[::2] == (2, 16)


class Killed(Exception):
    pass


def test_killed_and_asked_again_it_ends_with_the_same_bytes(imprint, model, files, tmp_path, monkeypatch):
    from imprint.attribution.engine import shards

    monkeypatch.setattr(shards, "SHARD_TOKENS", 64)
    monkeypatch.setattr("imprint.attribution.engine.memory._LARGEST_BATCH", 4)
    assert ask(imprint, model, files, tmp_path / "whole").code == 0
    real, seen = shards.score_pass, []

    def dies(*given, **more):
        seen.append(1)
        if len(seen) == 3:
            raise Killed
        return real(*given, **more)

    monkeypatch.setattr(shards, "score_pass", dies)
    with pytest.raises(Killed):
        ask(imprint, model, files, tmp_path / "killed")
    monkeypatch.setattr(shards, "score_pass", real)
    assert ask(imprint, model, files, tmp_path / "killed").code == 0
    one, other = (next((tmp_path / name / "store").glob("*/*/scores.npy")).read_bytes() for name in ("whole", "killed"))
    assert one == other


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--memory", "1MB"], "of memory cannot hold one row of 16 tokens"),
        (["--memory", "much"], "is not an amount of memory; write for example 4GB"),
        (["--layers", "7"], "has layers 0 to 1"),
        (["--head", "L1.H0", "--layers", "1"], "one head was asked for, so leave out layers"),
        (["--split", "head", "--embedding"], "the embedding belongs to no head"),
        (["--embedding"], "tied to the unembedding here"),
        (["--parts", "qk"], "--mechanism and --parts choose a head's probes"),
    ],
)
def test_refusals(imprint, model, files, tmp_path, more, sentence):
    answer = ask(imprint, model, files, tmp_path / "out", *more)
    assert answer.code == 2
    assert sentence in answer.err
    assert not (tmp_path / "out" / "scores.parquet").exists()


def test_options_of_queries_without_queries(imprint, model, files, tmp_path):
    answer = imprint(
        "attribute", model, "--data", files / "data", "--head", "L1.H0", "--tokens", "--out", tmp_path / "out"
    )
    assert answer.code == 2
    assert "--tokens belongs to --queries" in answer.err


def test_empty_query_file(imprint, model, files, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    answer = imprint(
        "attribute", model, "--data", files / "data", "--queries", tmp_path / "empty.txt", "--out", tmp_path / "out"
    )
    assert answer.code == 2
    assert "empty.txt" in answer.err or "hold no text" in answer.err
