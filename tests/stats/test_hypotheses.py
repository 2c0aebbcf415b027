import json

import numpy as np
import pytest
from pydantic import ValidationError

from imprint.errors import InputError
from imprint.stats import Effect, Hypothesis, judge, judge_paired, paired_permutation, paired_power, registration_digest

WHO = {"seed": 0, "unit": "pipeline seed", "control_name": "random deletion"}


def hypothesis(**changes):
    fields = {
        "id": "H1",
        "statement": "Deleting the top decile delays the head.",
        "metric": "onset",
        "threshold": 0.3,
        "direction": "greater",
        "test": "paired sign-flip permutation",
    }
    return Hypothesis(**(fields | changes))


def effect(low, high, **changes):
    fields = {"estimate": (low + high) / 2, "low": low, "high": high, "n": 5, "unit": "run", "control": "random"}
    return Effect(**(fields | changes))


@pytest.mark.parametrize(
    ("direction", "low", "high", "p", "word"),
    [
        ("greater", 0.4, 0.6, 0.03, "supported"),
        ("greater", 0.4, 0.6, 0.0625, "inconclusive"),
        ("greater", 0.2, 0.6, 0.03, "inconclusive"),
        ("greater", 0.1, 0.2, 0.9, "refuted"),
        ("greater", 0.3, 0.6, 0.03, "inconclusive"),
        ("less", 0.1, 0.2, 0.03, "supported"),
        ("less", 0.4, 0.6, 0.9, "refuted"),
        ("less", 0.2, 0.4, 0.01, "inconclusive"),
        ("absolute-less", -0.1, 0.2, 0.03, "supported"),
        ("absolute-less", -0.1, 0.2, 0.3, "inconclusive"),
        ("absolute-less", -0.4, 0.2, 0.03, "inconclusive"),
        ("absolute-less", 0.4, 0.5, 0.9, "refuted"),
        ("absolute-less", -0.5, -0.4, 0.9, "refuted"),
    ],
)
def test_verdicts(direction, low, high, p, word):
    assert judge(hypothesis(direction=direction), effect(low, high), p).verdict == word


def test_alpha_is_the_registered_one():
    seen = effect(0.4, 0.6, level=0.99)
    assert judge(hypothesis(), seen, 0.03).verdict == "supported"
    assert judge(hypothesis(alpha=0.01), seen, 0.03).verdict == "inconclusive"


def test_interval_without_width_does_not_refute():
    found = judge(hypothesis(), effect(0.0, 0.0, note="all equal"), 1.0)
    assert (found.verdict, found.power) == ("inconclusive", None)
    assert "saturation" in found.reason
    assert "all equal" in found.reason


def test_refuses_another_metric_a_bad_p_and_a_narrow_interval():
    with pytest.raises(InputError, match="registered for 'onset', the effect is of 'loss'"):
        judge(hypothesis(), effect(0.4, 0.6, metric="loss"), 0.01)
    with pytest.raises(InputError, match="not a p-value"):
        judge(hypothesis(), effect(0.4, 0.6), float("nan"))
    with pytest.raises(InputError, match="too narrow"):
        judge(hypothesis(alpha=0.01), effect(0.4, 0.6), 0.001)


def test_verdict_is_complete_json():
    found = judge(hypothesis(), effect(0.4, 0.6, metric="onset"), 0.03)
    record = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert {"id", "statement", "metric", "threshold", "verdict", "statistic", "p"} <= set(record)
    assert (record["statistic"], record["p"], record["n"]) == (0.5, 0.03, 5)
    assert 0 < record["power"] < 1


def test_power_reads_the_spread_back():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.5, 0.2, 5)
    found = judge_paired(hypothesis(), differences, np.zeros(5), **WHO)
    expected = paired_power(0.3, float(differences.std(ddof=1)), 5, alternative="greater")
    assert found.power == pytest.approx(expected)
    assert judge_paired(hypothesis(threshold=0.0), differences, np.zeros(5), **WHO).power is None


def test_p_is_that_of_the_registered_threshold():
    differences = np.array([0.9, 0.8, 0.7, 0.2, 0.1])
    p = judge_paired(hypothesis(), differences, np.zeros(5), **WHO).p
    assert p == paired_permutation(differences, np.zeros(5), seed=0, alternative="greater", null=0.3)
    assert p > 1 / 32  # what a test against zero would have given


def test_five_clear_pairs_support_one_direction_only():
    rng = np.random.default_rng(1)
    control = rng.normal(size=5)
    treated = control + 0.8 + 0.02 * rng.normal(size=5)
    found = judge_paired(hypothesis(), treated, control, **WHO)
    assert (found.verdict, found.p) == ("supported", 1 / 32)
    assert judge_paired(hypothesis(direction="less"), treated, control, **WHO).verdict == "refuted"
    assert judge_paired(hypothesis(), control, treated, **WHO).verdict == "refuted"
    same = judge_paired(hypothesis(direction="absolute-less"), control + 0.01 * rng.normal(size=5), control, **WHO)
    assert (same.verdict, same.p) == ("supported", 1 / 32)


def test_no_verdict_can_be_supported_with_four_pairs():
    found = judge_paired(hypothesis(), np.arange(4.0) + 50, np.zeros(4), **WHO)
    assert (found.verdict, found.p) == ("inconclusive", 1 / 16)
    assert "but p=0.0625 > 0.05" in found.reason


def test_false_support_is_rare_at_the_threshold():
    rng = np.random.default_rng(2)
    words = [judge_paired(hypothesis(), 0.3 + 0.2 * rng.normal(size=6), np.zeros(6), **WHO).verdict for _ in range(400)]
    assert words.count("supported") / 400 < 0.05
    assert words.count("refuted") / 400 < 0.05


def test_digest_is_stable_and_notices_everything():
    first, second = hypothesis(), hypothesis(id="H2", direction="less")
    digest = registration_digest([first, second])
    assert len(digest) == 64
    assert registration_digest([second, first]) == digest
    for change in ({"threshold": 0.2}, {"statement": "x"}, {"alpha": 0.1}, {"direction": "less"}, {"test": "t"}):
        assert registration_digest([hypothesis(**change), second]) != digest
    assert registration_digest([first]) != digest
    with pytest.raises(InputError, match="H1 registered twice"):
        registration_digest([first, first])


def test_digest_is_frozen():
    """A changed digest means that registrations written earlier no longer match: change it knowingly."""
    assert registration_digest([hypothesis()])[:16] == "cba64bc9b85009c0"


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": float("nan")},
        {"direction": "up"},
        {"alpha": 0.0},
        {"tresh": 1.0},
        {"id": ""},
        {"direction": "absolute-less", "threshold": -0.1},
    ],
)
def test_refuses_what_cannot_be_tested(change):
    with pytest.raises(ValidationError):
        hypothesis(**change)


def test_cannot_be_changed_after_registration():
    with pytest.raises(ValidationError):
        hypothesis().threshold = 0.0
