import numpy as np
import pytest
from study_tables import dated, trajectories

from imprint.stats import Effect
from imprint.studies import judge_all, parse_study
from imprint.studies.mechanism.ranking_quality import MethodScore

SEEDS = range(5)
LATER = np.array([1.30, 1.25, 1.35, 1.28, 1.40])
"""How much later each seed emerges in an arm that is clearly delayed."""
FIFTEEN = 0.1398
BASE = {("keep", s): 400 + 10 * s for s in SEEDS}
TABLE_RUNS = {(arm, s): 400 for arm in ("keep", "delete_top", "delete_random") for s in SEEDS}


def study(metric="onset.delete_top_vs_delete_random", threshold=FIFTEEN, direction="greater", **changes):
    rule = {"id": "H", "statement": "It is so.", "metric": metric, "threshold": threshold, "direction": direction}
    return parse_study({"hypotheses": [rule | {"test": "sign flips"} | changes]}, where="x")


def scaled(arm, factors):
    return {(arm, s): BASE["keep", s] * float(factors[s]) for s in SEEDS}


def verdict(given, steps, methods=(), final=None):
    table = trajectories(TABLE_RUNS, final)
    (found,) = judge_all(given, table, dated(BASE | steps), methods, list(SEEDS))
    return found


NEAR = scaled("delete_random", [1.01, 0.99, 1.0, 1.02, 0.98])


def test_a_clear_delay_is_supported():
    found = verdict(study(), NEAR | scaled("delete_top", LATER))
    assert (found.verdict, found.p, found.n) == ("supported", 1 / 32, 5)
    assert found.statistic == pytest.approx(np.log(LATER).mean() - np.log([1.01, 0.99, 1.0, 1.02, 0.98]).mean())


def test_no_delay_is_refuted_and_a_small_one_undecided():
    assert verdict(study(), NEAR | scaled("delete_top", [1.0, 1.01, 0.99, 1.02, 1.0])).verdict == "refuted"
    assert verdict(study(), NEAR | scaled("delete_top", [1.0, 1.3, 1.1, 1.4, 1.05])).verdict == "inconclusive"


def test_a_shift_in_the_other_direction():
    earlier = study(direction="less", threshold=0.0)
    assert verdict(earlier, NEAR | scaled("delete_top", 1 / LATER)).verdict == "supported"
    assert verdict(earlier, NEAR | scaled("delete_top", LATER)).verdict == "refuted"


def test_no_difference_that_matters():
    same = study("onset.delete_random_vs_keep", direction="absolute-less")
    assert verdict(same, NEAR).verdict == "supported"
    assert verdict(same, scaled("delete_random", LATER)).verdict == "refuted"


def test_a_metric_at_the_last_checkpoint():
    final = {("delete_top", s): 0.5 + 0.01 * s for s in SEEDS} | {("delete_random", s): 0.02 * s for s in SEEDS}
    rises = study("icl.olsson.delete_top_vs_delete_random", threshold=0.0)
    found = verdict(rises, NEAR | scaled("delete_top", LATER), final=final)
    assert (found.verdict, found.statistic) == ("supported", pytest.approx(0.48))


def late(steps, arm, seeds):
    return steps | {(arm, s): (steps[arm, s],) for s in seeds}


def test_a_run_that_never_emerged_cannot_refute_a_delay():
    """All runs end shortly after the controls emerge: the delay looks small because nobody waited longer."""
    small = scaled("delete_top", [1.05, 1.06, 1.04, 1.05, 1.05])
    assert verdict(study(), NEAR | small).verdict == "refuted"
    found = verdict(study(), late(NEAR | small, "delete_top", [4]))
    assert found.verdict == "inconclusive"
    assert found.reason.startswith("1 of 5 runs of delete_top, 0 of 5 runs of delete_random ended before emergence; ")


def test_a_run_that_never_emerged_still_supports_a_delay():
    found = verdict(study(), late(NEAR | scaled("delete_top", LATER), "delete_top", SEEDS))
    assert found.verdict == "supported"


def test_a_control_that_never_emerged_supports_no_delay():
    assert verdict(study(), late(NEAR | scaled("delete_top", LATER), "delete_random", [0])).verdict == "inconclusive"


def test_a_control_that_never_emerged_cannot_refute_that_the_arm_is_earlier():
    earlier = study(direction="less", threshold=0.0)
    treated = NEAR | scaled("delete_top", LATER)
    assert verdict(earlier, late(treated, "delete_random", [0])).verdict == "inconclusive"
    assert verdict(earlier, late(treated, "delete_top", [0])).verdict == "refuted"
    assert verdict(earlier, late(NEAR | scaled("delete_top", 1 / LATER), "delete_top", [0])).verdict == "inconclusive"


@pytest.mark.parametrize("arm", ["keep", "delete_random"])
def test_no_difference_needs_every_run_to_have_emerged(arm):
    same = study("onset.delete_random_vs_keep", direction="absolute-less")
    found = verdict(same, late(BASE | NEAR, arm, [2]))
    assert found.verdict == "inconclusive"


def test_a_difference_is_refuted_by_a_bound_on_the_right_side_only():
    same = study("onset.delete_random_vs_keep", direction="absolute-less")
    delayed = BASE | scaled("delete_random", LATER)
    assert verdict(same, late(delayed, "delete_random", [1])).verdict == "refuted"
    assert verdict(same, late(delayed, "keep", [1])).verdict == "inconclusive"


def test_censoring_does_not_touch_other_metrics():
    rises = study("icl.olsson.delete_top_vs_delete_random", threshold=0.0)
    final = {("delete_top", s): 0.5 + 0.01 * s for s in SEEDS}
    steps = late(NEAR | scaled("delete_top", LATER), "delete_random", SEEDS)
    assert verdict(rises, steps, final=final).verdict == "supported"


def method(low, estimate, high, name="consensus", question="novel repeats against all other documents"):
    effect = Effect(estimate=estimate, low=low, high=high, n=500, unit="document", control="chance 0.5", metric="AUC")
    return MethodScore(method=name, question=question, metric="AUC", value=estimate, effect=effect, baseline=False)


@pytest.mark.parametrize(
    ("interval", "word"),
    [((0.93, 0.95, 0.97), "supported"), ((0.88, 0.92, 0.96), "inconclusive"), ((0.6, 0.7, 0.8), "refuted")],
)
def test_the_auc_of_the_planted_cause(interval, word):
    found = verdict(study("auc.novel_repeats", threshold=0.9), NEAR | scaled("delete_top", LATER), [method(*interval)])
    assert (found.verdict, found.statistic, found.unit) == (word, interval[1], "document")


def test_the_auc_is_that_of_the_registered_ranking_against_all_other_documents():
    methods = [
        method(0.1, 0.2, 0.3, name="log_prob"),
        method(0.1, 0.2, 0.3, question="novel repeats against boilerplate"),
        method(0.93, 0.95, 0.97),
    ]
    found = verdict(study("auc.novel_repeats", threshold=0.9), NEAR | scaled("delete_top", LATER), methods)
    assert found.statistic == 0.95


def test_a_stricter_alpha_widens_the_interval_of_the_auc():
    """At alpha .05 the interval .91 to .99 supports > .9; at alpha .001 it is .883 to 1.017 and does not."""
    methods, steps = [method(0.91, 0.95, 0.99)], NEAR | scaled("delete_top", LATER)
    assert verdict(study("auc.novel_repeats", threshold=0.9), steps, methods).verdict == "supported"
    strict = verdict(study("auc.novel_repeats", threshold=0.9, alpha=0.001), steps, methods)
    assert strict.verdict == "inconclusive"
    assert (strict.low, strict.high) == pytest.approx(
        (0.95 - 0.04 * 3.2905 / 1.96, 0.95 + 0.04 * 3.2905 / 1.96), abs=1e-4
    )


def test_verdicts_come_in_the_order_of_registration():
    given = parse_study({"interventions": {"natural": False, "duplicate": False}}, where="x")
    table = trajectories(TABLE_RUNS)
    steps = dated(BASE | NEAR | scaled("delete_top", LATER))
    found = judge_all(given, table, steps, [method(0.93, 0.95, 0.97)], list(SEEDS))
    assert [item.id for item in found] == ["H1", "H2", "H3", "H6"]
    assert [item.verdict for item in found] == ["supported", "supported", "supported", "inconclusive"]
