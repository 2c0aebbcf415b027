"""The definition of emergence, against numbers worked out by hand."""

import numpy as np
import pytest

from imprint.emergence.trajectories import chance_corrected, emerged, threshold


def test_chance_correction_and_threshold_by_hand():
    assert chance_corrected(np.array([0.25, 0.625, 1.0]), np.full(3, 0.25)) == pytest.approx([0.0, 0.5, 1.0])
    error = np.sqrt(0.25 * 0.75 / 100)
    assert threshold(np.array([0.25]), np.array([100.0]))[0] == pytest.approx(2.576 * error / 0.75)
    assert threshold(np.array([0.25]), np.array([1e6]))[0] == pytest.approx(0.10)


@pytest.mark.parametrize(
    ("score", "items", "there"),
    [(0.33, 10_000, True), (0.32, 10_000, False), (0.33, 100, False), (0.37, 100, True), (0.1, 100, False)],
)
def test_both_conditions_count(score, items, there):
    assert emerged(np.array([score]), np.array([0.25]), np.array([float(items)]))[0] == there


def test_guessing_rarely_counts_as_emerged():
    generator = np.random.default_rng(0)
    scores = generator.binomial(100, 0.25, 20_000) / 100
    assert emerged(scores, np.full(20_000, 0.25), np.full(20_000, 100.0)).mean() < 0.01
