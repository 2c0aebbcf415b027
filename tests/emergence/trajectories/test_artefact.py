"""AT-EM-5: a product of smooth probabilities bends, the log-probability of the same model does not."""

import numpy as np
import pytest

from imprint.emergence.trajectories import bend, metric_artefact
from imprint.errors import InputError

X = np.linspace(7, 11, 12)


def test_exact_match_bends_and_log_probability_does_not():
    token = np.linspace(0.1, 0.95, 12)
    noise = 0.005 * np.random.default_rng(0).standard_normal(12)
    assert bend(X, token**5 + noise).found
    assert not bend(X, np.log(token) + noise).found
    assert not bend(X, token + noise).found
    assert metric_artefact(X, token**5 + noise, np.log(token) + noise)


def test_a_true_break_shows_in_both_metrics():
    level = np.maximum(X - 9, 0) * 0.3 + 0.01 * np.random.default_rng(1).standard_normal(12)
    assert bend(X, level).at == pytest.approx(9, abs=0.2)
    assert not metric_artefact(X, level, level)


def test_noise_does_not_bend():
    generator = np.random.default_rng(2)
    assert np.mean([bend(X, generator.standard_normal(12)).found for _ in range(200)]) < 0.05


def test_few_points_are_refused():
    with pytest.raises(InputError, match="at least 6 points"):
        bend(X[:4], X[:4])
