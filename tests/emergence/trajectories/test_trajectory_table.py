"""Tables: what is read, and one sentence for each table that cannot be used."""

import numpy as np
import polars as pl
import pytest

from imprint.emergence.trajectories import read_table, trajectories
from imprint.emergence.trajectories.checks import require_chance
from imprint.errors import InputError
from planted_curves import planted_table, row


@pytest.fixture(scope="module")
def table():
    return planted_table(families=2, tasks=3, sizes=4)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_reads_both_kinds_of_file_alike(table, tmp_path, suffix):
    path = tmp_path / f"t.{suffix}"
    table.write_csv(path) if suffix == "csv" else table.write_parquet(path)
    found = trajectories(read_table(path))
    assert found["score"].to_list() == pytest.approx(table["score"].to_list())
    assert found["shots"].dtype == pl.Float64


def test_missing_columns_are_filled_and_unknown_items_are_500():
    plain = pl.DataFrame({"task": ["t", "t"], "score": [0.3, 0.4], "chance": [0.25, 0.25], "params": [1e7, 1e8]})
    found = trajectories(plain)
    assert found["n"].to_list() == [500.0, 500.0]
    assert found["family"].to_list() == ["", ""]


def test_rows_of_other_metrics_are_set_aside(table):
    more = pl.concat([table, table.with_columns(metric=pl.lit("ppl"), score=pl.lit(99.0))])
    assert trajectories(more).height == table.height


def test_a_missing_file_and_a_broken_file_are_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_text("no table")
    with pytest.raises(InputError, match="neither a readable Parquet"):
        read_table(tmp_path / "bad.parquet")


BAD = {
    "has no column 'chance'": lambda t: t.drop("chance"),
    "no row has a chance level": lambda t: t.with_columns(chance=pl.lit(None, dtype=pl.Float64)),
    "has duplicate rows": lambda t: pl.concat([t, t.head(1)]),
    "varies with scale": lambda t: t.with_columns(score=pl.col("score").first().over("task", "family")),
    "is not between 0 and 1": lambda t: t.with_columns(score=pl.col("score") * 100),
    "has no scale": lambda t: t.with_columns(params=pl.lit(None, dtype=pl.Float64)),
    "no row with a score": lambda t: t.with_columns(score=pl.lit(None, dtype=pl.Float64)),
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_tables_are_refused_in_one_sentence(table, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        trajectories(BAD[sentence](table))
    assert len(str(caught.value).splitlines()) == 1


def test_steps_that_run_against_tokens_are_refused():
    rows = [row(model="m", step=s, tokens=t, score=v) for s, t, v in ((1, 1e9, 0.3), (2, 3e9, 0.4), (3, 2e9, 0.5))]
    with pytest.raises(InputError, match="steps are not monotone"):
        trajectories(pl.DataFrame(rows))


def test_the_order_of_rows_does_not_matter(table):
    shuffled = table[np.random.default_rng(0).permutation(table.height)]
    assert (
        trajectories(shuffled)
        .sort("family", "task", "params")
        .equals(trajectories(table).sort("family", "task", "params"))
    )


def test_a_task_without_chance_is_refused_only_where_it_is_asked_about(table):
    part = table.with_columns(chance=pl.when(pl.col("task") == "skill0_0").then(None).otherwise(pl.col("chance")))
    checked = trajectories(part)
    require_chance(checked, ["skill1_1"], "t")
    with pytest.raises(InputError, match="task 'skill0_0' has rows without a chance level"):
        require_chance(checked, ["skill0_0"], "t")


def test_minimal_pairs_have_a_known_chance_level():
    rows = [row(task="blimp_island", params=size, chance=None, n=None, score=0.5 + size / 1e10) for size in (1e7, 1e9)]
    found = trajectories(pl.DataFrame([*rows, row(task="other", score=0.4)]))
    assert found.filter(pl.col("task") == "blimp_island")["chance"].to_list() == [0.5, 0.5]
    assert found.filter(pl.col("task") == "blimp_island")["n"].to_list() == [1000.0, 1000.0]
