"""Verdicts in the registered order, stopping rules, and which explanation may be named."""

import itertools

import numpy as np
import pytest

from imprint.errors import InputError
from imprint.stats import Effect, Nest, Verdict, judge_gate
from imprint.studies.susceptibility import NotExamined, default_hypotheses, examine, explain, judge_variance, supported
from imprint.studies.susceptibility.claims import draw_claims
from imprint.studies.susceptibility.correlation import judge_correlation, screened
from imprint.studies.susceptibility.options import DEFAULT_RULES

HYPOTHESES = default_hypotheses("x", represented=True, removed=True)
BY_ID = {one.id: one for one in HYPOTHESES}


def verdict(hypothesis, word):
    fields = {"statistic": 1.0, "p": 0.01, "low": 0.9, "high": 1.0, "n": 5, "unit": "pipeline seed", "power": None}
    return Verdict(**hypothesis.model_dump(), **fields, verdict=word, reason="")


def answered(words, rules=DEFAULT_RULES):
    asked = []

    def judge(hypothesis):
        asked.append(hypothesis.id)
        return verdict(hypothesis, words[hypothesis.id])

    return examine(HYPOTHESES, rules, judge), asked


def named(**words):
    found, _ = answered(dict.fromkeys(BY_ID, "refuted") | words)
    return explain(HYPOTHESES, found, "x")


def test_without_a_difference_nothing_is_examined_further_and_nothing_is_named():
    found, asked = answered({"H1": "supported", "H1b": "supported", "H4": "inconclusive"})
    assert asked == ["H1", "H1b", "H4"]
    assert [one.by_rule for one in found if isinstance(one, NotExamined)] == [True, True]
    assert explain(HYPOTHESES, found, "x").named == "nothing to explain"


def test_a_surface_that_explains_stops_the_costlier_ones():
    found, asked = answered({"H1": "supported", "H1b": "refuted", "H4": "supported"})
    assert asked == ["H1", "H1b", "H4"]
    assert explain(HYPOTHESES, found, "x").named == "surface"
    assert not any(supported(one) for one in found[3:])


def test_the_named_explanation():
    assert named(H4="supported").named == "unexplained"
    assert named(H4="supported", H2="supported").named == "representation"
    few = named(H4="supported", H2="supported", H3="supported")
    assert (few.named, few.also) == ("few conversations", ("representation",))
    assert named(H4="supported", H1b="supported").named == "unexplained", "telling corpora apart explains no outcome"


@pytest.mark.parametrize("words", list(itertools.product(["supported", "refuted", "inconclusive"], repeat=3)))
def test_whatever_the_others_say_nothing_is_named_without_the_gate(words):
    found = [verdict(BY_ID[name], word) for name, word in zip(("H1", "H2", "H3"), words, strict=True)]
    gate = verdict(BY_ID["H4"], "inconclusive")
    order = [BY_ID[name] for name in ("H1", "H2", "H3", "H4")]
    assert explain(order, [*found, gate], "x").named == "nothing to explain"
    assert explain(order[:3], found, "x").named == "unknown"


def nest(shift, seeds=4, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    values = shift * np.repeat(np.arange(5), seeds) + noise * rng.standard_normal(5 * seeds)
    return Nest(values=values, conditions=np.repeat(list("abcde"), seeds), pipelines=np.tile(np.arange(seeds), 5))


def test_variance_is_judged_by_whole_pipelines():
    assert judge_variance(BY_ID["H4"], nest(3.0), seed=0).verdict == "supported"
    assert judge_variance(BY_ID["H4"], nest(0.0), seed=0).verdict != "supported"
    saturated = judge_variance(BY_ID["H4"], nest(1.0, noise=0.0), seed=0)
    assert isinstance(saturated, NotExamined)
    assert "nothing varies" in saturated.reason
    with pytest.raises(InputError, match="one pipeline seed in each"):
        judge_variance(BY_ID["H4"], nest(3.0, seeds=1), seed=0)


def test_a_design_that_cannot_answer_is_not_taken_for_no_difference():
    values = np.array([0.0, 0.1, 0.2, 100.0, 100.1, 100.2])
    small = Nest(values=values, conditions=np.repeat(["a", "b"], 3), pipelines=np.tile(np.arange(3), 2))
    found = judge_variance(BY_ID["H4"], small, seed=0)
    assert isinstance(found, NotExamined)
    assert "this design cannot tell" in found.reason
    examined = examine(HYPOTHESES, DEFAULT_RULES, lambda one: found if one.id == "H4" else verdict(one, "refuted"))
    assert explain(HYPOTHESES, examined, "x").named == "unknown"
    assert {one.reason for one in examined[3:]} == {"H4 was not examined"}


def test_the_seed_is_a_block_where_conditions_share_it():
    rng = np.random.default_rng(1)
    effects, blocks = 1.2 * np.repeat(np.arange(5), 4), 8 * np.tile(rng.standard_normal(4), 5)
    values = effects + blocks + rng.standard_normal(20)
    shared = Nest(values=values, conditions=np.repeat(list("abcde"), 4), pipelines=np.tile(np.arange(4), 5))
    assert judge_variance(BY_ID["H4"], shared, seed=0).verdict == "supported"
    apart = Nest(values=values, conditions=shared.conditions, pipelines=np.arange(20))
    assert judge_variance(BY_ID["H4"], apart, seed=0).verdict != "supported"


def test_claims_stand_on_nothing_without_the_gate():
    words = {"H1": "supported", "H1b": "refuted", "H2": "refuted", "H3": "refuted"}
    for gate, rung in (("supported", 0), ("inconclusive", None)):
        found, _ = answered(words | {"H4": gate}, rules=())
        first = draw_claims(HYPOTHESES, found, explain(HYPOTHESES, found, "x"), None)[0]
        assert first.rung == rung


def test_few_false_alarms_of_the_gate():
    hits = sum(supported(judge_variance(BY_ID["H4"], nest(0.0, seed=seed), seed=seed)) for seed in range(60))
    assert hits <= 3


def test_correlations_are_corrected_for_all_registered_scalars():
    names, outcome = list("abcde"), {"x": dict(zip("abcde", [1.0, 2.0, 3.0, 4.0, 5.0], strict=True))}
    alone = {"js": dict(zip(names, [2.0, 4.0, 6.0, 8.0, 9.0], strict=True))}
    found = judge_correlation(BY_ID["H1"], screened(alone, outcome, seed=0))
    assert (found.verdict, found.n, round(found.p, 4)) == ("supported", 5, round(2 / 120, 4))
    rng = np.random.default_rng(0)
    many = alone | {f"s{k}": dict(zip(names, rng.standard_normal(5).tolist(), strict=True)) for k in range(5)}
    corrected = judge_correlation(BY_ID["H1"], screened(many, outcome, seed=0))
    assert corrected.p > found.p
    assert corrected.verdict == "inconclusive", "six scalars over five conditions reach no corrected .05"


def test_too_few_conditions_leave_a_correlation_unexamined():
    values = {"a": 1.0, "b": 2.0, "c": 3.0}
    found = judge_correlation(BY_ID["H1"], screened({"js": values}, {"x": values}, seed=0))
    assert isinstance(found, NotExamined)
    assert not found.by_rule


def test_a_perfect_order_of_few_conditions_is_no_certainty():
    outcome = {"x": dict(zip("abcde", [1.0, 2.0, 3.0, 4.0, 5.0], strict=True))}
    found = judge_correlation(BY_ID["H1"], screened({"js": outcome["x"]}, outcome, seed=0))
    assert found.statistic == 1
    assert 0 <= found.low < 0.5


def test_a_gate_needs_both_the_threshold_and_a_small_p():
    def of(estimate, low, high, p):
        effect = Effect(estimate=estimate, low=low, high=high, n=5, unit="condition", control="c")
        return judge_gate(BY_ID["H1"], effect, p).verdict

    assert of(0.9, 0.2, 1.0, 0.04) == "supported"
    assert of(0.9, 0.2, 1.0, 0.06) == "inconclusive"
    assert of(0.6, 0.2, 0.9, 0.01) == "inconclusive"
    assert of(0.1, -0.2, 0.4, 0.5) == "refuted"
    with pytest.raises(InputError, match="must lie in"):
        of(0.9, 0.2, 1.0, 1.2)
