"""`imprint predict`: from files to files, and one sentence for every bad input."""

import json

import polars as pl
import pytest

from planted_curves import asked, planted_table

LIMIT = 3e8


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    table = planted_table(families=2, tasks=16, sizes=7, seed=2)
    table.filter(pl.col("params") <= LIMIT).write_parquet(folder / "H.parquet")
    asked(table, limit=LIMIT).drop("answer").write_parquet(folder / "Q.parquet")
    return folder


def test_predicts_from_files_to_a_file(imprint, files, tmp_path):
    out = tmp_path / "P.parquet"
    answer = imprint(
        "predict", "--history", files / "H.parquet", "--questions", files / "Q.parquet", "--out", out, "--json"
    )
    assert answer.code == 0
    found = pl.read_parquet(out)
    assert json.loads(answer.out)["questions"] == found.height == pl.read_parquet(files / "Q.parquet").height
    assert found.columns == ["question_id", "p", "p_low", "p_high", "model"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop("chance"), "no column 'chance'"),
        (lambda t: pl.concat([t, t.head(2)]), "duplicate rows"),
        (lambda t: t.with_columns(score=pl.lit(0.5), chance=pl.lit(0.5)), "varies with scale"),
        (lambda t: t.with_columns(params=pl.lit(None, dtype=pl.Float64)), "no scale"),
    ],
)
def test_a_bad_history_is_one_sentence_and_exit_code_2(imprint, files, tmp_path, change, sentence):
    bad = tmp_path / "bad.parquet"
    change(pl.read_parquet(files / "H.parquet")).write_parquet(bad)
    answer = imprint("predict", "--history", bad, "--questions", files / "Q.parquet", "--out", tmp_path / "P.parquet")
    assert answer.code == 2
    assert sentence in answer.err
    assert not (tmp_path / "P.parquet").exists()
