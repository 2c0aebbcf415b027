"""AT-EM-3: the chain A -> B -> C; and what sortability gives away."""

import builtins

import numpy as np
import polars as pl
import pytest
from linear_worlds import chain_graph

from imprint.emergence.graph import cross_check
from imprint.emergence.graph.discovery import Discovered, agreement, peter_clark
from imprint.emergence.graph.sort_regress import explained, r2_sort_regress, variance_sort_regress
from imprint.errors import ConfigError, InputError

NAMES = ("A", "B", "C")
TRUTH = [("A", "B"), ("B", "C")]


def chain(rows: int = 2000, *, set_b: bool = False) -> np.ndarray:
    generator = np.random.default_rng(0)
    a = generator.standard_normal(rows)
    b = 2 * a * (not set_b) + generator.standard_normal(rows)
    c = -1.5 * b + generator.standard_normal(rows)
    return np.c_[a, b, c]


def runs(values: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(values, schema=list(NAMES)).with_columns(scale=pl.lit(1e6))


def test_the_chain_has_the_known_correlations():
    r = np.corrcoef(chain(), rowvar=False)
    partial = (r[0, 2] - r[0, 1] * r[1, 2]) / np.sqrt((1 - r[0, 1] ** 2) * (1 - r[1, 2] ** 2))
    assert r[0, 2] == pytest.approx(-0.856, abs=0.01)
    assert abs(partial) < 0.06


def test_setting_b_breaks_the_dependence_of_c_on_a():
    """AT-EM-4, with B set at random."""
    assert abs(np.corrcoef(chain(set_b=True), rowvar=False)[0, 2]) < 0.06


def test_pc_finds_the_chain():
    pytest.importorskip("causallearn")
    plain = agreement(peter_clark(chain(), NAMES), TRUTH)
    assert plain.skeleton_distance == 0
    assert (plain.directed, plain.open) == (0, 2)  # a chain's directions cannot be told from data alone
    tiered = agreement(peter_clark(chain(), NAMES, graph=chain_graph()), TRUTH)
    assert tiered.distance == 0
    assert (tiered.precision, tiered.recall) == (1.0, 1.0)


def test_all_methods_are_set_beside_the_reference():
    pytest.importorskip("causallearn")
    found = cross_check(chain_graph(), runs(chain()))
    assert [one.method for one in found.agreement] == [
        "PC with tiers",
        "GES",
        "VarSortnRegress",
        "R2-SortnRegress",
        "tiered regression + BH",
    ]
    assert found.of("PC with tiers").distance == 0
    assert found.of("GES").skeleton_distance == 0
    assert found.left_out == ("D",)
    assert "never decides an edge" in found.caveat


def test_scale_gives_the_order_away_and_standardising_takes_it_back():
    values = chain()
    assert agreement(_drawn(variance_sort_regress(values)), TRUTH).distance == 0
    upside_down = values / values.std(0) * [3.0, 2.0, 1.0]
    assert agreement(_drawn(variance_sort_regress(upside_down)), TRUTH).precision == 0.0
    standard = values / values.std(0)
    assert np.array_equal(r2_sort_regress(values) != 0, r2_sort_regress(standard) != 0)
    assert explained(standard) == pytest.approx(explained(values))


def test_regression_in_tiers_needs_no_extra_and_noise_gives_nothing():
    found = cross_check(chain_graph(), runs(chain()), causal_learn=False)
    assert found.of("tiered regression + BH").distance == 0
    noise = np.random.default_rng(1).standard_normal((200, 3))
    empty = cross_check(chain_graph(), runs(noise), causal_learn=False)
    assert empty.of("tiered regression + BH").directed == 0
    assert empty.of("tiered regression + BH").precision is None


def test_differences_between_scales_are_taken_out():
    noise = np.random.default_rng(1).standard_normal((200, 3))
    table = runs(noise).with_columns(scale=pl.Series([1e5, 1e6] * 100))
    grown = table.with_columns(pl.col(*NAMES) + pl.when(pl.col("scale") == 1e6).then(50.0).otherwise(0.0))
    assert cross_check(chain_graph(), grown, causal_learn=False).of("tiered regression + BH").directed == 0


def test_distance_counts_pairs():
    found = Discovered(method="m", directed=(("B", "A"),), open=(("B", "C"),))
    told = agreement(found, TRUTH)
    assert (told.distance, told.skeleton_distance, told.precision, told.recall) == (2, 0, 0.0, 0.0)
    assert agreement(Discovered(method="m", directed=(("A", "C"),)), TRUTH).distance == 3


def test_too_few_runs_and_a_missing_extra_are_said(monkeypatch):
    with pytest.raises(InputError, match="4 complete runs for 3 nodes"):
        cross_check(chain_graph(), runs(chain(4)))
    original = builtins.__import__

    def without(name, *rest):
        if name.startswith("causallearn"):
            raise ImportError("no causal-learn", name="causallearn")
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="pip install 'imprint\\[causal\\]'"):
        cross_check(chain_graph(), runs(chain(50)))


def _drawn(weights: np.ndarray) -> Discovered:
    return Discovered(method="m", directed=tuple((NAMES[i], NAMES[j]) for i, j in np.argwhere(weights != 0)))
