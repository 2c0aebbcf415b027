"""Standardisation uses the training tokens' statistics, also for new tokens."""

import numpy as np
import pytest

from imprint.corpus.clusters import Standardiser
from imprint.errors import CorpusError


def test_training_states_get_mean_0_and_deviation_1():
    states = (np.random.default_rng(0).standard_normal((500, 4)) * [1, 10, 100, 1000] + 5).astype(np.float16)
    standard = Standardiser.fit(states).apply(states)
    np.testing.assert_allclose(standard.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(standard.std(0), 1, atol=1e-5)
    assert standard.dtype == np.float32


def test_new_states_are_measured_by_the_training_statistics():
    train, new = np.array([[0.0, 2.0], [2.0, 2.0]]), np.array([[5.0, 3.0]])
    np.testing.assert_array_equal(Standardiser.fit(train).apply(new), [[4.0, 1.0]])


def test_it_survives_saving(tmp_path):
    fitted = Standardiser.fit(np.random.default_rng(0).standard_normal((50, 3)))
    fitted.save(tmp_path)
    again = Standardiser.load(tmp_path)
    np.testing.assert_array_equal(again.mean, fitted.mean)
    np.testing.assert_array_equal(again.scale, fitted.scale)


def test_states_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(CorpusError, match="width 2 do not fit a standardiser of width 3"):
        Standardiser.fit(np.ones((4, 3))).apply(np.ones((4, 2)))
    with pytest.raises(CorpusError, match="point 1 holds NaN"):
        Standardiser.fit(np.array([[1.0], [np.inf]]))
    with pytest.raises(CorpusError, match="does not hold a standardiser"):
        Standardiser.load(tmp_path)
