import polars as pl
import pytest

from imprint.emergence.allocation import read_history, task_worlds
from imprint.errors import ConfigError

COLUMNS = {"task": "piqa", "chance": 0.5, "n": 400.0}


def table(*rows):
    return pl.DataFrame(
        [
            COLUMNS | {"model": model, "params": params, "tokens": tokens, "score": score}
            for model, params, tokens, score in rows
        ]
    )


GOOD = table(("a", 10.0, 1.0, 0.5), ("a", 10.0, 2.0, 0.75), ("b", 20.0, 1.0, 0.6), ("b", 20.0, 2.0, 0.9))


def test_scores_are_corrected_for_chance_and_costs_are_six_n_d():
    (world,) = task_worlds(GOOD)
    assert [arm.name for arm in world.world.arms] == ["a", "b"]
    assert world.world.scores[0].tolist() == [0.0, 0.5]
    assert world.world.arms[1].cost.tolist() == [120.0, 240.0]
    assert world.world.stderrs[0][0] == pytest.approx((0.25 / 400) ** 0.5 / 0.5)
    assert world.top == pytest.approx(0.8)
    assert world.world.cheapest(0.5) == 120.0
    assert world.world.first_crossing(0, 0.6) is None


def test_flops_go_before_six_n_d():
    (world,) = task_worlds(GOOD.with_columns(flops=pl.col("tokens") * 3))
    assert world.world.arms[1].cost.tolist() == [3.0, 6.0]


def test_rows_that_cannot_be_used_are_counted():
    (world,) = task_worlds(pl.concat([GOOD, table(("a", 10.0, None, 0.6))]))
    assert world.dropped == 1


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (GOOD.drop("chance"), "no column 'chance'"),
        (GOOD.with_columns(chance=pl.lit(None, dtype=pl.Float64)), "without a chance level"),
        (pl.concat([GOOD, GOOD]), "more than one score of arm 'a' at 1"),
        (GOOD.with_columns(score=pl.lit(0.5)), "nothing is there to allocate for"),
        (GOOD.filter(pl.col("model") == "a"), "nothing is there to allocate for"),
        (GOOD.drop("tokens"), "neither 'tokens' nor 'step'"),
        (GOOD.rename({"model": "name"}), "no column 'model'"),
    ],
)
def test_a_table_that_cannot_be_replayed_is_refused(broken, says):
    with pytest.raises(ConfigError, match=says):
        task_worlds(broken)


def test_an_unknown_task_is_named():
    with pytest.raises(ConfigError, match="no task 'copa'"):
        task_worlds(GOOD, tasks=["copa"])


def test_reading(tmp_path):
    GOOD.write_csv(tmp_path / "h.csv")
    GOOD.write_parquet(tmp_path / "h.parquet")
    assert read_history(tmp_path / "h.csv").height == 4
    assert read_history(tmp_path / "h.parquet", {"model": "a"}).height == 2
    for where, says in (({"model": "c"}, "is left by model=c"), ({"kind": "c"}, "no column 'kind'")):
        with pytest.raises(ConfigError, match=says):
            read_history(tmp_path / "h.csv", where)
    with pytest.raises(ConfigError, match="no table"):
        read_history(tmp_path / "none.csv")
