"""The curve posterior: exact on a grid it owns, sure where the data are, modest where they are not."""

import numpy as np
import pytest

from imprint.emergence.predictor.curve_posterior import fit_prior, forecast, log_likelihood, shape_grid, sigmoids
from imprint.emergence.trajectories import curves, first_points, trajectories
from planted_curves import planted_table


@pytest.fixture(scope="module")
def known():
    return curves(trajectories(planted_table(tasks=16)), "params")


@pytest.fixture(scope="module")
def prior(known):
    return fit_prior(known)


def test_sigmoids_by_hand():
    shapes = np.array([[0.8, 9.0, 0.5, 0.1], [0.0, 0.0, 1.0, 0.05]])
    assert sigmoids(shapes, np.array([9.0, 30.0])) == pytest.approx(np.array([[0.5, 0.9], [0.05, 0.05]]))


def test_the_likeliest_shape_is_the_one_the_curve_was_drawn_from(known):
    shapes = shape_grid(7.0, 10.0)
    exact = first_points(known[0], 7)
    truth = shapes[1234]
    fits = log_likelihood(shapes, type(exact)(**{**_fields(exact), "z": sigmoids(truth[None], exact.x)[0]})).sum(1)
    assert fits[1234] == pytest.approx(0.0)
    assert fits.max() == pytest.approx(0.0)


def _fields(curve):
    return {name: getattr(curve, name) for name in curve.__dataclass_fields__}


def test_a_curve_half_way_up_will_be_there_and_a_flat_one_is_uncertain(known, prior):
    rising = next(curve for curve in known if curve.emerged[3] and not curve.emerged[0])
    flat = next(curve for curve in known if not curve.emerged.any())
    said = [
        forecast(prior, first_points(c, 4), [c.x[4]], threshold=c.threshold[3], error=c.se[3])[0]
        for c in (rising, flat)
    ]
    assert said[0].p > 0.95
    assert said[1].p < 0.3
    assert said[1].sd > 0.02


def test_weights_are_a_distribution_for_every_domain(prior):
    assert prior.weights.sum() == pytest.approx(1.0)
    assert all(weights.sum() == pytest.approx(1.0) and (weights >= 0).all() for weights in prior.by_domain.values())


def test_probabilities_never_fall_as_the_threshold_falls(known, prior):
    seen = first_points(known[0], 3)
    said = [forecast(prior, seen, [9.5], threshold=t, error=0.02)[0].p for t in (0.5, 0.3, 0.1)]
    assert said == sorted(said)
