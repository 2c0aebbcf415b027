"""The stack: a fixed mean of what members say, moved by how far the history ends before the horizon."""

import dataclasses

import numpy as np
import pytest

from imprint.emergence.predictor.examples import USED
from imprint.emergence.predictor.stack import BEYOND, WEIGHTS, AskedRows, Stack, later
from imprint.emergence.predictor.views import LEVELS, PLAIN, RELATIVE_COLUMNS, plain, relative, relative_and_shots


def asked(*, frequency=0.5, curve=0.5, beyond=0.0, questions=3):
    features = np.random.default_rng(0).uniform(0, 1, (questions, len(USED)))
    features[:, USED.index("curve_p")] = curve
    whole = np.full(questions, 1.0)
    return AskedRows(
        features=features, threshold=0.1 * whole, last=0 * whole, frequency=frequency * whole, beyond=beyond * whole
    )


def says(p):
    return lambda features, threshold, last: np.full(len(threshold), p)


def test_the_answer_is_the_weighted_mean():
    stack = Stack(members={"boosted": says(0.2), "process": says(0.8)})
    weights = [WEIGHTS[name] for name in ("boosted", "process", "frequency", "curve")]
    expected = np.average([0.2, 0.8, 0.3, 0.6], weights=weights)
    found = stack.predict(asked(frequency=0.3, curve=0.6))
    assert found[:, 0] == pytest.approx(expected)
    assert ((found[:, 1] < found[:, 0]) & (found[:, 0] < found[:, 2])).all()


def test_a_frequency_that_is_not_known_has_no_voice():
    stack = Stack(members={"boosted": says(0.2)})
    expected = np.average([0.2, 0.5], weights=[WEIGHTS["boosted"], WEIGHTS["curve"]])
    assert stack.predict(asked(frequency=float("nan")))[:, 0] == pytest.approx(expected)


def test_members_that_disagree_give_a_wider_interval():
    agree = Stack(members={"boosted": says(0.5), "process": says(0.5)}).predict(asked())
    differ = Stack(members={"boosted": says(0.02), "process": says(0.98)}).predict(asked())
    assert differ[0, 2] - differ[0, 1] > agree[0, 2] - agree[0, 1]


def test_within_the_history_nothing_is_moved_and_beyond_it_the_odds_rise_by_decades():
    assert later(0.2, 0.0) == pytest.approx(0.2)
    assert np.log(later(0.2, 1.0) / (1 - later(0.2, 1.0))) == pytest.approx(np.log(0.25) + BEYOND)
    assert later(0.2, 1.5) == later(0.2, 9.0)
    stack = Stack(members={"boosted": says(0.2)})
    near, far = stack.predict(asked()), stack.predict(asked(beyond=1.0))
    assert (far[:, 0] > near[:, 0]).all()


def test_the_rise_beyond_the_history_does_not_reorder_questions_of_one_horizon():
    stack = Stack(members={"boosted": lambda features, threshold, last: features[:, 0]})
    near, far = (stack.predict(asked(beyond=beyond, questions=20))[:, 0] for beyond in (0.0, 0.7))
    assert np.array_equal(np.argsort(near), np.argsort(far))


def test_questions_can_be_taken_apart():
    whole = asked(questions=5)
    part = whole.take(np.array([3, 1]))
    assert len(part) == 2
    assert np.array_equal(part.features, whole.features[[3, 1]])
    assert {field.name for field in dataclasses.fields(part)} == {
        "features",
        "threshold",
        "last",
        "frequency",
        "beyond",
    }


def test_the_plain_view_has_scores_and_not_margins():
    features = asked().features
    seen = plain(features)
    assert seen.shape[1] == len(PLAIN) + len(LEVELS)
    margin, bar = features[:, USED.index("best_margin")], features[:, USED.index("threshold")]
    assert seen[:, len(PLAIN)] == pytest.approx(margin + bar)


def test_the_relative_view_does_not_say_where_a_question_lies():
    features = asked().features
    moved = features.copy()
    for name in ("x_origin", "x_horizon", "size", "tokens_axis"):
        moved[:, USED.index(name)] += 3.0
    assert np.array_equal(relative(features), relative(moved))
    assert np.array_equal(relative_and_shots(features), relative_and_shots(moved))
    assert relative(features).shape[1] == len(RELATIVE_COLUMNS)
