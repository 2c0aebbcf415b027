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


def some_task(table):
    """A task that is asked about."""
    return pl.col("task") == table["task"][0]


def checkpoints(table, steps, tokens):
    """Two checkpoints a model, at these steps and tokens."""
    return pl.concat([table.with_columns(step=pl.lit(a), tokens=pl.lit(b)) for a, b in zip(steps, tokens, strict=True)])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop("chance"), "no column 'chance'"),
        (lambda t: pl.concat([t, t.head(2)]), "duplicate rows"),
        (lambda t: t.with_columns(score=pl.lit(0.5), chance=pl.lit(0.5)), "varies with scale"),
        (lambda t: t.with_columns(params=pl.lit(None, dtype=pl.Float64)), "no scale"),
        (lambda t: t.with_columns(chance=pl.lit(None, dtype=pl.Float64)), "no row has a chance level"),
        (
            lambda t: t.with_columns(chance=pl.when(some_task(t)).then(None).otherwise("chance")),
            "without a chance level",
        ),
        (lambda t: t.with_columns(score=1 - 1e-9 * pl.col("params").rank()), "one class only"),
        (lambda t: t.with_columns(score=pl.col("chance") + 1e-9 * pl.col("params").rank()), "one class only"),
        (lambda t: checkpoints(t, (1.0, 2.0), (2e9, 1e9)), "steps are not monotone"),
        (lambda t: t.with_columns(score=pl.col("score") * 100), "give accuracies as shares"),
    ],
)
def test_a_bad_history_is_one_sentence_and_exit_code_2(imprint, files, tmp_path, change, sentence):
    bad = tmp_path / "bad.parquet"
    change(pl.read_parquet(files / "H.parquet")).write_parquet(bad)
    answer = imprint("predict", "--history", bad, "--questions", files / "Q.parquet", "--out", tmp_path / "P.parquet")
    assert answer.code == 2
    assert sentence in answer.err
    assert not (tmp_path / "P.parquet").exists()


def test_what_the_history_has_nothing_of_is_abstained_on(imprint, files, tmp_path):
    """An unseen family, task and source, each with a probability between never and always; the known ones are answered."""
    known = pl.read_parquet(files / "Q.parquet").head(4)
    new = {"family": "never seen", "task": "never_seen", "source": "never/seen"}
    changed = [
        known.with_columns(pl.lit(value).alias(name), question_id=pl.col("question_id") + name)
        for name, value in new.items()
    ]
    pl.concat([known, *changed]).write_parquet(tmp_path / "Q.parquet")
    out = tmp_path / "P.csv"
    answer = imprint("predict", "--history", files / "H.parquet", "--questions", tmp_path / "Q.parquet", "--out", out)
    assert answer.code == 0
    found = pl.read_csv(out)
    assert found["model"].to_list() == ["imprint-stack-1"] * 4 + ["abstain"] * 8 + ["imprint-stack-1"] * 4
    assert found["p"].is_between(0.001, 0.999).all()


def test_a_question_whose_task_only_another_source_has_is_answered(imprint, files, tmp_path):
    history = pl.read_parquet(files / "H.parquet")
    tasks = sorted(set(history["task"]))
    other = history.with_columns(
        source=pl.when(pl.col("task").is_in(tasks[:8])).then(pl.lit("a/b")).otherwise("source")
    )
    other.write_parquet(tmp_path / "H.parquet")
    asked_about = pl.read_parquet(files / "Q.parquet").filter(pl.col("task").is_in(tasks[:8])).head(3)
    asked_about.write_parquet(tmp_path / "Q.parquet")
    out = tmp_path / "P.parquet"
    history_, questions = tmp_path / "H.parquet", tmp_path / "Q.parquet"
    assert imprint("predict", "--history", history_, "--questions", questions, "--out", out).code == 0
    assert pl.read_parquet(out).height == asked_about.height
