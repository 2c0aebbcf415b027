import numpy as np
import pytest
from linear_world import ROWS, draw, influence, values

from imprint.attribution.validation import predicted_over_true, top_rows
from imprint.errors import InputError


def removal(count):
    """Predicted and true fall of every query without its own top rows by influence."""
    data = draw()
    scores, everything = influence(data), np.arange(ROWS)
    tops = [list(rows) for rows in top_rows(scores, count)]
    predicted = np.array([scores[query, rows].sum() for query, rows in enumerate(tops)])
    whole = values(data, everything)
    true = np.array([(whole - values(data, np.delete(everything, rows)))[query] for query, rows in enumerate(tops)])
    return predicted, true


def test_sums_promise_too_little_and_the_more_the_larger_the_group():
    """AT-IF-3 in closed form."""
    one, tenth, third = (predicted_over_true(*removal(count), seed=0).estimate for count in (1, 6, 20))
    assert 0.6 < one < 1.0
    assert third < tenth < one


def test_the_right_prediction_has_ratio_one_whatever_its_unit():
    true = np.random.default_rng(0).uniform(1, 3, 20)
    effect = predicted_over_true(true, true, seed=0)
    assert (effect.estimate, effect.low, effect.high) == pytest.approx((1.0, 1.0, 1.0))
    half = predicted_over_true(0.5 * true + 0.1 * np.random.default_rng(1).standard_normal(20), true, seed=0)
    assert half.low < 0.5 < half.high < 1
    assert predicted_over_true(-true, true, seed=0).estimate == pytest.approx(-1)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="cannot be paired"):
        predicted_over_true(np.ones(3), np.ones(4), seed=0)
    with pytest.raises(InputError, match="add up to 0"):
        predicted_over_true(np.ones(2), np.array([1.0, -1.0]), seed=0)
