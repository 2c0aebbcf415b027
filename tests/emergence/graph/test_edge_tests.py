import json
import math

import numpy as np
import polars as pl
import pytest
from linear_worlds import SCALES, chain_graph, simulate
from scipy import stats

from imprint.emergence import graph as causal
from imprint.emergence.graph import Observations
from imprint.errors import ConfigError, InputError

CHAIN = {("A", "B"): 2.0, ("B", "C"): -1.5}
ARMS = {"without A": {"A": -4.0}, "without B": {"B": -4.0}}


def only(findings, cause: str, effect: str):
    (found,) = findings.of(cause, effect)
    return found


def relabelled(seen: Observations, value: pl.Expr) -> Observations:
    return Observations(table=seen.table.with_columns(value=value), interventions=seen.interventions)


def test_the_effect_is_the_stratified_mean_of_pairs():
    seen = simulate(CHAIN, ARMS)
    found = only(causal.test_edges(chain_graph(), seen), "A", "C").found
    parts = seen.pairs("without A", "C").difference.reshape(3, 3)
    variance = parts.var(axis=1, ddof=1) / 3 / 9
    error = math.sqrt(variance.sum())
    freedom = variance.sum() ** 2 / (variance**2 / 2).sum()
    assert found.effect.estimate == pytest.approx(parts.mean())
    assert found.effect.high - found.effect.estimate == pytest.approx(stats.t.ppf(0.975, freedom) * error)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(parts.mean()) / error, freedom))
    assert found.p_sign_flip == 2 / 2**9  # every pair fell: the smallest p that 9 pairs can give
    assert found.p_scales == pytest.approx(stats.f_oneway(*parts).pvalue)
    assert [one.estimate for one in found.by_scale] == pytest.approx(parts.mean(axis=1).tolist())
    assert found.effect.n == 9


def test_time_forbids_backward_tests_and_signs_follow_the_intervention():
    findings = causal.test_edges(chain_graph(), simulate(CHAIN, ARMS))
    assert {(test.cause, test.effect) for test in findings.tests} == {("A", x) for x in "BCD"} | {
        ("B", x) for x in "CD"
    }
    assert only(findings, "A", "B").sign == "+"  # the arm lowers A, and B falls
    assert only(findings, "B", "C").sign == "-"
    assert only(findings, "A", "B").significant
    assert not only(findings, "A", "D").significant
    assert findings.table.height == 5
    json.dumps(findings.as_dict())


def test_turning_the_outcome_round_turns_the_sign():
    seen = simulate(CHAIN, ARMS)
    turned = relabelled(seen, pl.when(pl.col("node") == "C").then(-pl.col("value")).otherwise(pl.col("value")))
    before, after = (only(causal.test_edges(chain_graph(), one), "B", "C") for one in (seen, turned))
    assert after.found.effect.estimate == pytest.approx(-before.found.effect.estimate)
    assert after.found.p == pytest.approx(before.found.p)
    assert (before.sign, after.sign) == ("-", "+")


def test_changing_units_changes_nothing_but_units():
    seen = simulate(CHAIN, ARMS)
    scaled = relabelled(seen, pl.col("value") * 1000.0)
    before, after = (only(causal.test_edges(chain_graph(), one), "A", "C") for one in (seen, scaled))
    assert after.found.in_control_sd == pytest.approx(before.found.in_control_sd)
    assert after.q == pytest.approx(before.q)
    assert after.margin == pytest.approx(1000 * before.margin)


def test_permuted_arm_labels_leave_nothing():
    seen = simulate(CHAIN, ARMS)
    generator = np.random.default_rng(3)
    flips = {(s, n): generator.permutation(["control", *ARMS]) for s in SCALES for n in range(3)}
    names = ["control", *ARMS]
    arm = [flips[(row["scale"], row["seed"])][names.index(row["arm"])] for row in seen.table.iter_rows(named=True)]
    permuted = Observations(table=seen.table.with_columns(arm=pl.Series(arm)), interventions=seen.interventions)
    findings = causal.test_edges(chain_graph(), permuted)
    assert not any(test.significant for test in findings.tests)


def null_rate(test: str, designs: int = 200) -> float:
    """The share of designs without any effect in which something is found."""
    arms = {"without A": {"A": -4.0}, "without B": {"B": -4.0}}
    worlds = (simulate({}, arms, seed=number, scales=SCALES[:2]) for number in range(designs))
    return float(
        np.mean([any(t.significant for t in causal.test_edges(chain_graph(), w, test=test).tests) for w in worlds])
    )


def test_without_effects_few_designs_find_any():
    # 3 standard errors of a share of .05 over 200 designs: at most .05 + 3 * .0154.
    assert null_rate("t") <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


def test_an_unpaired_test_would_lose_the_effect():
    seen = simulate({("A", "B"): 0.2}, {"more A": {"A": 3.0}}, shared=1.0, noise=0.02)
    generator = np.random.default_rng(0)
    order = {scale: generator.permutation(3) for scale in SCALES}
    seeds = [
        order[row["scale"]][row["seed"]] if row["arm"] == "control" else row["seed"]
        for row in seen.table.iter_rows(named=True)
    ]
    mispaired = Observations(table=seen.table.with_columns(seed=pl.Series(seeds)), interventions=seen.interventions)
    lost, kept = (only(causal.test_edges(chain_graph(), one), "A", "B") for one in (mispaired, seen))
    assert kept.significant
    assert not lost.significant
    assert lost.found.detectable > 3 * kept.found.detectable


def test_an_arm_that_does_not_move_its_node_does_not_count():
    seen = simulate(CHAIN, ARMS)
    restored = seen.table.join(
        seen.table.filter(pl.col("arm") == "control").select("seed", "scale", "node", pl.col("value").alias("was")),
        on=["seed", "scale", "node"],
    ).with_columns(
        value=pl.when((pl.col("arm") == "without A") & (pl.col("node") == "A"))
        .then(pl.col("was"))
        .otherwise(pl.col("value"))
    )
    findings = causal.test_edges(chain_graph(), Observations(table=restored, interventions=seen.interventions))
    assert [one.moved for one in findings.manipulations] == [False, True]
    assert not any(test.valid for test in findings.tests if test.cause == "A")
    assert all(test.q is None for test in findings.tests if test.cause == "A")
    assert any("did not move 'A'" in note for note in findings.notes)


def test_a_node_that_is_set_but_not_measured_needs_a_direction_for_signs():
    seen = simulate(CHAIN, ARMS)
    table = seen.table.filter(pl.col("node") != "A")
    silent = Observations(table=table, interventions=seen.interventions)
    told = Observations(table=table, interventions=seen.interventions, directions={"without A": "lowers"})
    assert only(causal.test_edges(chain_graph(), silent), "A", "B").sign == "?"
    assert only(causal.test_edges(chain_graph(), told), "A", "B").sign == "+"


def test_scales_are_told_apart():
    def world(shift):
        return only(causal.test_edges(chain_graph(), simulate(CHAIN, ARMS, shift=shift)), "B", "C")

    assert world(None).found.p_scales is not None
    same = simulate({("A", "B"): 1.0}, {"without A": {"A": -4.0}}, shared=0.1, noise=0.05)
    by_scale = same.table.with_columns(
        value=pl.when((pl.col("node") == "B") & (pl.col("arm") != "control") & (pl.col("scale") == 1e6))
        .then(pl.col("value") + 2.0)
        .otherwise(pl.col("value"))
    )
    differs = Observations(table=by_scale, interventions=same.interventions)
    assert only(causal.test_edges(chain_graph(), same), "A", "B").same_at_scales
    found = only(causal.test_edges(chain_graph(), differs), "A", "B")
    assert not found.same_at_scales
    assert "differs between scales" in found.scales_say


def test_one_seed_a_scale_pools_scales():
    seen = simulate(CHAIN, ARMS, seeds=1, scales=(1e5, 2e5, 4e5, 8e5))
    found = only(causal.test_edges(chain_graph(), seen), "A", "B").found
    expected = stats.ttest_1samp(seen.pairs("without A", "B").difference, 0).pvalue
    assert found.p == pytest.approx(expected)
    assert found.p_scales is None
    assert "pooled" in found.effect.note


def test_bad_margins_and_unknown_nodes_are_refused():
    seen = simulate(CHAIN, ARMS)
    with pytest.raises(ConfigError, match=r"margin=0\.0 must be positive"):
        causal.test_edges(chain_graph(), seen, margin=0.0)
    with pytest.raises(ConfigError, match="unknown node 'Z'"):
        causal.test_edges(chain_graph(), seen, margin={"Z": 1.0})
    stranger = Observations(
        table=seen.table.with_columns(node=pl.col("node").replace("D", "E")), interventions=seen.interventions
    )
    with pytest.raises(InputError, match="measures 'E'"):
        causal.test_edges(chain_graph(), stranger)
    other = Observations(table=seen.table, interventions={"without A": ("A",), "without B": ("Q",)})
    with pytest.raises(ConfigError, match="sets 'Q'"):
        causal.test_edges(chain_graph(), other)
