import polars as pl
import pytest
from linear_worlds import simulate

from imprint.emergence.graph import Observations
from imprint.errors import ConfigError, InputError

ARMS = {"without A": {"A": -3.0}}


@pytest.fixture(scope="module")
def seen() -> Observations:
    return simulate({}, ARMS)


def altered(seen: Observations, table: pl.DataFrame, **changes) -> Observations:
    return Observations(table=table, interventions=changes.get("interventions", seen.interventions))


def test_pairs_are_by_seed_and_scale(seen: Observations):
    pairs = seen.pairs("without A", "C")
    assert pairs.scale.tolist() == [1e5] * 3 + [3e5] * 3 + [1e6] * 3
    assert pairs.seed.tolist() == [0, 1, 2] * 3
    shuffled = altered(seen, seen.table.sample(fraction=1, shuffle=True, seed=1))
    assert shuffled.pairs("without A", "C").difference.tolist() == pairs.difference.tolist()
    one = seen.table.filter((pl.col("scale") == 3e5) & (pl.col("seed") == 1) & (pl.col("node") == "C"))
    values = dict(zip(one["arm"], one["value"], strict=True))
    assert pairs.difference[4] == values["without A"] - values["control"]


def test_the_wide_table_has_one_row_a_run(seen: Observations):
    wide = seen.wide()
    assert wide.columns == ["run", "seed", "scale", "arm", "A", "B", "C", "D"]
    assert len(wide) == 18
    assert seen.wide(["control"])["arm"].unique().to_list() == ["control"]


def test_what_cannot_be_paired_is_refused(seen: Observations):
    table = seen.table
    first_run = table["run"] == table["run"][0]
    nan = table.with_columns(value=pl.when(pl.col("node") == "B").then(float("nan")).otherwise(pl.col("value")))
    cases = [
        (table.drop("scale"), "no column 'scale'"),
        (table.clear(), "empty"),
        (nan, "value=nan of node 'B'"),
        (pl.concat([table, table.head(1)]), "2 values of node 'A'"),
        (table.with_columns(arm=pl.col("arm").replace("control", "base")), "no arm 'control'"),
        (table.with_columns(arm=pl.col("arm").replace("without A", "other")), "arm 'other' is in the table"),
        (
            table.filter(~((pl.col("arm") == "control") & (pl.col("seed") == 2))),
            "seed 2 at scale 100000 but 'control' has none",
        ),
        (table.filter((pl.col("arm") == "control") | ((pl.col("seed") == 0) & (pl.col("scale") == 1e5))), "has 1 pair"),
        (table.with_columns(run=pl.when(first_run).then(pl.lit("again")).otherwise(pl.col("run"))), None),
        (
            pl.concat([table, table.filter(first_run).with_columns(run=pl.lit("again"))]),
            "arm control, scale .* has two runs",
        ),
    ]
    for broken, said in cases:
        if said is None:
            altered(seen, broken)
            continue
        with pytest.raises(InputError, match=said):
            altered(seen, broken)


def test_arms_must_set_something_that_is_there(seen: Observations):
    for interventions, said in (
        ({"without A": ()}, "name at least one node"),
        ({"without A": ("A",), "ghost": ("B",)}, "arm 'ghost' of the interventions has no runs"),
        ({"without A": ("A", "B")}, "needs an arm that sets one of A, B alone"),
    ):
        with pytest.raises(ConfigError, match=said):
            altered(seen, seen.table, interventions=interventions)
    with pytest.raises(ConfigError, match="unknown arm 'ghost'"):
        Observations(table=seen.table, interventions=seen.interventions, directions={"ghost": "raises"})
