"""AT-EM-6: a feature that looks into the future is found, and the shipped features do not."""

import numpy as np
import pytest

from imprint.emergence.predictor import LeakageError, audit
from imprint.emergence.predictor.features import NAMES, Sight, question_features
from imprint.emergence.predictor.leakage import require_past
from imprint.emergence.trajectories import History, curves, first_points, trajectories
from planted_curves import planted_table


@pytest.fixture(scope="module")
def known():
    return curves(trajectories(planted_table()), "params")


def shipped(curves_, index, count):
    seen = first_points(curves_[index], count)
    return question_features(Sight(history=History.of(curves_), curve=seen), [seen.x[-1] + 1.0])[0]


def test_the_shipped_features_do_not_change_with_the_future(known):
    audit(shipped, known, checks=20)


def test_an_injected_future_score_is_found(known):
    def leaking(curves_, index, count):
        return np.append(shipped(curves_, index, count), curves_[index].z[-1])

    with pytest.raises(LeakageError, match=f"feature number {len(NAMES)} .* looks into the future"):
        audit(leaking, known)


def test_the_error_of_the_score_to_come_is_a_leak(known):
    """The reference's prototype reads it: it is computed from the answer."""

    def leaking(curves_, index, count):
        return np.array([curves_[index].se[count]])

    with pytest.raises(LeakageError):
        audit(leaking, known)


def test_the_skill_of_kin_beyond_the_origin_is_a_leak(known):
    def leaking(curves_, index, count):
        return History.of(curves_).skills[curves_[index].line].total

    with pytest.raises(LeakageError):
        audit(leaking, known)


def test_a_curve_that_goes_on_is_refused(known):
    with pytest.raises(LeakageError, match="cut the curve at the origin"):
        require_past(known[0], float(known[0].x[2]))
    require_past(first_points(known[0], 3), float(known[0].x[2]))
