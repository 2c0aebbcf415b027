import numpy as np
import polars as pl
import pytest
from linear_worlds import chain_graph

from imprint.emergence.graph import fit_dynamic
from imprint.errors import InputError

EDGES = (("A", "B", "+"), ("B", "C", "-"))


def panel(*, noise: float = 1.0, steps: int = 200, runs: int = 12, effect: float = 0.8) -> pl.DataFrame:
    """B_t = .5 B_{t-1} + effect A_{t-1}, C_t = .3 C_{t-1} - .6 B_{t-1}, each run with a level of its own."""
    generator, rows = np.random.default_rng(0), []
    for run in range(runs):
        level, a, b, c = generator.standard_normal() * 5, 0.0, 0.0, 0.0
        for step in range(steps):
            new_b = level + 0.5 * b + effect * a + noise * generator.standard_normal()
            new_c = -level + 0.3 * c - 0.6 * b + noise * generator.standard_normal()
            a, b, c = float(generator.standard_normal()), float(new_b), float(new_c)
            rows += [(f"r{run}", run, step * 10, name, value) for name, value in zip("ABC", (a, b, c), strict=True)]
    return pl.DataFrame(rows, schema=["run", "seed", "step", "node", "value"], orient="row")


def test_lagged_effects_are_found_beside_levels_of_runs():
    model = fit_dynamic(chain_graph(EDGES), panel())
    assert model.coefficient("A", "B").slope.estimate == pytest.approx(0.8, abs=0.03)
    assert model.coefficient("B", "B").slope.estimate == pytest.approx(0.5, abs=0.03)
    assert model.coefficient("B", "C").slope.estimate == pytest.approx(-0.6, abs=0.03)
    assert model.coefficient("C", "C").slope.estimate == pytest.approx(0.3, abs=0.03)
    assert model.long_run("A", "B") == pytest.approx(0.8 / 0.5, abs=0.1)
    assert (model.runs, model.steps) == (12, 200)
    assert model.bias == pytest.approx(1.5 / 200, abs=0.001)


def test_without_noise_after_the_start_the_answer_is_exact():
    model = fit_dynamic(chain_graph(EDGES), panel(noise=0.0, steps=30))
    assert model.coefficient("A", "B").slope.estimate == pytest.approx(0.8)
    assert model.coefficient("B", "C").slope.estimate == pytest.approx(-0.6)


def test_no_effect_gives_none():
    slope = fit_dynamic(chain_graph(EDGES), panel(effect=0.0)).coefficient("A", "B").slope
    assert not slope.excludes_zero


def test_short_runs_are_biased_as_said():
    model = fit_dynamic(chain_graph(EDGES), panel(steps=10, runs=150))
    assert model.coefficient("B", "B").slope.estimate < 0.5 - 0.02
    assert model.bias > 0.1


def test_order_of_rows_does_not_matter():
    table = panel(steps=20)
    before = fit_dynamic(chain_graph(EDGES), table)
    after = fit_dynamic(chain_graph(EDGES), table.sample(fraction=1, shuffle=True, seed=2))
    assert before.coefficient("A", "B").slope.estimate == pytest.approx(after.coefficient("A", "B").slope.estimate)


def test_bad_panels_are_refused():
    table, graph = panel(steps=8, runs=3), chain_graph(EDGES)
    for broken, said in (
        (table.drop("step"), "no column 'step'"),
        (table.filter(pl.col("node") != "B"), "does not measure 'B'"),
        (pl.concat([table, table.head(1)]), "several values of 'A' at step 0"),
        (table.filter((pl.col("node") != "C") | (pl.col("step") != 20)), "lacks a node at step 20"),
        (table.filter(pl.col("step") < 40), "has 4 steps"),
    ):
        with pytest.raises(InputError, match=said):
            fit_dynamic(graph, broken)
