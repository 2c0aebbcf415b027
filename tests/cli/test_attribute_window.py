"""`imprint attribute` over many rows (--top-only) and over several checkpoints (--checkpoints)."""

import numpy as np
import polars as pl
import pytest

from imprint.corpus import byte_tokenizer
from imprint.models import Architecture

SIZES = {"n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 16, "vocab_size": 256}
CONFIG = SIZES | {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.25}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for seed in (0, 1):
        Architecture(config=CONFIG).initialise(seed).save_pretrained(folder / f"step_{seed}")
        byte_tokenizer().save_pretrained(folder / f"step_{seed}")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    rng = np.random.default_rng(0)
    for number in range(12):
        (folder / f"{number}.txt").write_text(" ".join(map(hex, rng.integers(0, 1 << 30, 4).tolist())))
    return folder


def ask(imprint, models, data, out, *more):
    fixed = ["--context", 16, "--factor-rows", 12, "--head", "L1.H0", "--out", out]
    return imprint("attribute", models / "step_0", "--data", data, *fixed, *more)


def test_top_only_names_the_rows_of_the_full_table(imprint, models, data, tmp_path):
    assert ask(imprint, models, data, tmp_path / "full").code == 0
    answer = ask(imprint, models, data, tmp_path / "few", "--top-only", 4, "--top", 2)
    assert answer.code == 0, answer.err
    for words in ("highest influence on L1.H0", "Self-checks:", "rows were scored; the 4 highest and lowest"):
        assert words in " ".join(answer.out.split())
    full = pl.read_parquet(tmp_path / "full" / "scores.parquet")
    few = pl.read_parquet(tmp_path / "few" / "extremes.parquet")
    assert few.columns == ["query", "end", "rank", "row", "document", "domain", "score"]
    assert len(few) == 6 * 2 * 4
    for query in ("contrastive", "attention/dot"):
        for end, descending in (("top", True), ("bottom", False)):
            kept = few.filter((pl.col("query") == query) & (pl.col("end") == end)).sort("rank")
            best = full.sort(query, descending=descending)[:4]
            np.testing.assert_allclose(kept["score"], best[query], rtol=1e-3)
            assert kept["document"].to_list() == best["document"].to_list()
    assert not list((tmp_path / "few" / "store").glob("*/*/token_scores.npy"))


def test_top_only_as_json(imprint, models, data, tmp_path):
    answer = ask(imprint, models, data, tmp_path, "--top-only", 4, "--top", 2, "--json")
    assert [(row["query"], row["rank"]) for row in answer.json] == [
        (query, rank) for query in ("log_prob", "contrastive", "attention") for rank in (1, 2)
    ]


def test_checkpoints_agree_with_themselves_and_less_with_others(imprint, models, data, tmp_path):
    more = ["--checkpoints", models / "step_1", "--json", "--top", 3]
    answer = ask(imprint, models, data, tmp_path, *more)
    assert answer.code == 0, answer.err
    assert [set(row) for row in answer.json["rows"]] == [
        {"document", "domain", "mean rank", "consensus at checkpoint 0", "consensus at checkpoint 1"}
    ] * 3
    pairs = {(pair["of"], pair["one"], pair["other"]): pair for pair in answer.json["agreement"]}
    assert len(pairs) == 3 + 3 + 4
    assert pairs["checkpoints by consensus", "0", "1"]["spearman"] < 0.95
    table = pl.read_parquet(tmp_path / "window.parquet")
    assert table["mean rank"].is_between(0, 1).all()


def test_the_same_checkpoint_twice_agrees_fully(imprint, models, data, tmp_path):
    answer = ask(imprint, models, data, tmp_path, "--checkpoints", models / "step_0")
    assert answer.code == 0, answer.err
    said = " ".join(answer.out.split())
    for words in ("highest mean rank on L1.H0", "Agreement (overlap of the top 10%", "Checkpoint 1:", "is a heuristic"):
        assert words in said
    table = pl.read_parquet(tmp_path / "window.parquet")
    assert table["consensus at checkpoint 0"].equals(table["consensus at checkpoint 1"], null_equal=True)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--top-only", 9999], "the top 9999 rows were asked for, but there are"),
        (["--top-only", 3, "--checkpoints", "."], "which --top-only does not keep; choose one"),
        (["--checkpoints", "nowhere"], "there is no folder 'nowhere'"),
        (["--checkpoints", ".", "--mechanism", "previous_token"], "leave --mechanism out"),
        (["--top-only", 3, "--layers", 1], "--layers belongs to --queries"),
        (["--top-only", 0], "Must be >= 1"),
    ],
)
def test_refusals(imprint, models, data, tmp_path, more, sentence):
    answer = ask(imprint, models, data, tmp_path / "out", *more)
    assert answer.code == 2
    assert sentence in " ".join(answer.err.split())


def test_not_with_queries(imprint, models, data, tmp_path):
    answer = ask(imprint, models, data, tmp_path, "--queries", data / "0.txt", "--top-only", 3)
    assert answer.code == 2
    assert "leave them out with --queries" in " ".join(answer.err.split())
