import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from linear_worlds import chain_graph, simulate

from imprint.emergence.graph import fit_sem
from imprint.emergence.graph.path_regression import clustered_covariance, least_squares
from imprint.errors import InputError

CHAIN = {("A", "B"): 2.0, ("B", "C"): -1.5, ("A", "C"): 0.5}
EDGES = (("A", "B", "+"), ("B", "C", "-"), ("A", "C", "?"))
ARMS = {"without A": {"A": -4.0}, "without B": {"B": -4.0}}


def test_clustered_errors_equal_statsmodels():
    generator = np.random.default_rng(0)
    design, groups = np.c_[generator.standard_normal((60, 2)), np.ones(60)], np.repeat(np.arange(6), 10)
    outcome = design @ [1.0, -2.0, 0.5] + generator.standard_normal(6)[groups] + generator.standard_normal(60)
    theirs = sm.OLS(outcome, design).fit(cov_type="cluster", cov_kwds={"groups": groups})
    found = least_squares(design, outcome)
    assert found == pytest.approx(theirs.params)
    mine = clustered_covariance(design, outcome - design @ found, groups)
    assert np.allclose(mine, theirs.cov_params())


def test_path_coefficients_and_indirect_effects_are_found():
    seen = simulate(CHAIN, ARMS, seeds=12, shared=1.0, noise=0.1, shift={1e6: 5.0})
    model = fit_sem(chain_graph(EDGES), seen.wide(), interventions=seen.interventions, draws=200)
    assert model.coefficient("A", "B").slope.estimate == pytest.approx(2.0, abs=0.15)
    assert model.coefficient("B", "C").slope.estimate == pytest.approx(-1.5, abs=0.15)
    found = model.effect("A", "C")
    assert found.direct.estimate == pytest.approx(0.5, abs=0.4)
    assert found.indirect.estimate == pytest.approx(
        model.coefficient("A", "B").slope.estimate * model.coefficient("B", "C").slope.estimate
    )
    assert found.total.estimate == pytest.approx(found.direct.estimate + found.indirect.estimate)
    assert found.total.estimate == pytest.approx(-2.5, abs=0.3)
    assert found.indirect.low < -3.0 < found.indirect.high
    assert model.runs == 3 * 3 * 12


def test_runs_that_set_a_node_must_stay_out_of_its_equation():
    seen = simulate(CHAIN, ARMS, seeds=12)
    graph = chain_graph(EDGES)
    right = fit_sem(graph, seen.wide(), interventions=seen.interventions, draws=2)
    wrong = fit_sem(graph, seen.wide(), draws=2)
    assert right.coefficient("A", "B").slope.estimate == pytest.approx(2.0, abs=0.15)
    assert abs(wrong.coefficient("A", "B").slope.estimate - 2.0) > 0.15


def test_without_effects_intervals_hold_zero():
    seen = simulate({}, ARMS, seeds=12)
    model = fit_sem(chain_graph(EDGES), seen.wide(), interventions=seen.interventions, draws=2)
    assert all(abs(one.slope.estimate) < 0.25 for one in model.coefficients)
    assert sum(not one.slope.excludes_zero for one in model.coefficients) >= 2


def test_few_seeds_are_marked_and_bad_tables_refused():
    seen = simulate(CHAIN, ARMS)
    graph = chain_graph(EDGES)
    model = fit_sem(graph, seen.wide(), interventions=seen.interventions, draws=2)
    assert "clustered by 3 seeds only" in model.coefficients[0].slope.note
    wide = seen.wide()
    for broken, said in (
        (wide.drop("seed"), "no column 'seed'"),
        (wide.drop("B"), "'B' has no column"),
        (wide.with_columns(C=pl.lit(0.25)), "'C' has no variation"),
        (wide.with_columns(seed=pl.lit(0)), "runs of 1 seed"),
        (wide.filter(pl.col("scale") == 1e5).head(3), "3 runs for 3"),
    ):
        with pytest.raises(InputError, match=said):
            fit_sem(graph, broken, draws=2)
