import numpy as np
import pytest

from imprint.emergence.allocation import Proxies, best_mixtures, predict_losses, transfer
from imprint.errors import ConfigError


def planted(runs, seed, noise=0.0):
    """Two losses, each falling with the log of its own domain's share; the third domain helps neither."""
    rng = np.random.default_rng(seed)
    mixtures = rng.dirichlet([1.0, 1.0, 1.0], runs)
    losses = 3.0 - 0.3 * np.log(mixtures[:, :2] + 0.02) + noise * rng.normal(size=(runs, 2))
    return mixtures, losses


def test_proxies_rank_unseen_mixtures():
    mixtures, losses = planted(120, 0, noise=0.02)
    unseen, truth = planted(60, 1)
    predicted = predict_losses(Proxies(mixtures=mixtures, losses=losses), unseen)
    for loss in (0, 1):
        found = transfer(predicted[:, loss], truth[:, loss])
        assert found.estimate > 0.95
        assert found.low < found.estimate < found.high
    best = best_mixtures(predicted)[0]
    assert truth[best].mean() <= np.quantile(truth.mean(1), 0.1)
    assert unseen[best, 2] < 0.3
    only_first = best_mixtures(predicted, np.array([1.0, 0.0]))[0]
    assert unseen[only_first, 0] > unseen[best, 0]


def test_shuffled_losses_predict_next_to_nothing():
    mixtures, losses = planted(120, 0)
    unseen, truth = planted(200, 1)
    shuffled = np.random.default_rng(2).permutation(losses)
    predicted = predict_losses(Proxies(mixtures=mixtures, losses=shuffled), unseen)
    assert np.all(predicted.std(0) < 0.5 * truth.std(0))


def test_bad_mixtures_are_refused():
    mixtures, losses = planted(30, 0)
    with pytest.raises(ConfigError, match="too few"):
        Proxies(mixtures=mixtures[:5], losses=losses[:5])
    with pytest.raises(ConfigError, match="sum to 1"):
        Proxies(mixtures=2 * mixtures, losses=losses)
    with pytest.raises(ConfigError, match="candidates of 2 domains"):
        predict_losses(Proxies(mixtures=mixtures, losses=losses), mixtures[:, :2])
