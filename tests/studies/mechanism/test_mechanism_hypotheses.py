import pytest

from imprint.errors import ConfigError
from imprint.stats import Hypothesis
from imprint.studies.mechanism.hypotheses import applicable_hypotheses, check_hypotheses, default_hypotheses
from imprint.studies.mechanism.metrics import CAUSE_AUC, FINAL_METRICS, LOG_ONSET, parse_metric

ARMS = ("keep", "delete_top", "delete_random")


def about(metric, **changes):
    fields = {"id": "X", "statement": "It does.", "threshold": 0.0, "direction": "greater", "test": "sign flips"}
    return Hypothesis.model_validate({**fields, "metric": metric, **changes})


@pytest.mark.parametrize("metric", [LOG_ONSET, *FINAL_METRICS])
def test_metrics_are_read_back(metric):
    assert parse_metric(f"{metric}.delete_top_vs_keep") == (metric, "delete_top", "keep")


@pytest.mark.parametrize(
    "name", ["", "onset", CAUSE_AUC, "onset.", "onset.a", "icl.a_vs_b", "a_vs_b", "onset.x.delete_top_vs_keep"]
)
def test_metrics_that_are_not(name):
    with pytest.raises(ConfigError, match=f"metric '{name}' is not known; write auc.novel_repeats or"):
        parse_metric(name)


def test_default_hypotheses_can_be_judged_by_the_demo_and_only_there():
    arms = (*ARMS, "delete_natural", "delete_random_natural", "duplicate_top", "duplicate_random")
    check_hypotheses(default_hypotheses(), arms, planted=True)
    assert applicable_hypotheses(arms, planted=True) == default_hypotheses()
    assert [item.id for item in applicable_hypotheses(ARMS, planted=False)] == ["H2", "H3", "H6"]
    with pytest.raises(ConfigError, match="H4 cannot be judged: the study has no arm 'duplicate_top'"):
        check_hypotheses(default_hypotheses(), ARMS, planted=True)
    with pytest.raises(ConfigError, match=r"H1 cannot be judged: auc\.novel_repeats needs planted documents"):
        check_hypotheses(default_hypotheses(), arms, planted=False)


def test_an_arm_of_the_control_counts_too():
    with pytest.raises(ConfigError, match="no arm 'delete_loss'"):
        check_hypotheses([about("onset.delete_top_vs_delete_loss")], ARMS, planted=True)
