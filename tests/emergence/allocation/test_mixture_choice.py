"""The chosen mixture, the interval of its predicted loss, and held-out ranks: planted losses, noise, and refusals."""

import numpy as np
import pytest

from imprint.emergence.allocation import Proxies, candidate_mixtures, choose_mixture
from imprint.errors import ConfigError

DOMAINS, LOSSES = ("books", "code", "web"), ("on books", "on code")


def planted(runs, seed, noise=0.02):
    """Two losses, each falling with the log of its own domain's share; the third domain helps neither."""
    rng = np.random.default_rng(seed)
    mixtures = rng.dirichlet([1.0, 1.0, 1.0], runs)
    return mixtures, 3.0 - 0.3 * np.log(mixtures[:, :2] + 0.02) + noise * rng.normal(size=(runs, 2))


@pytest.fixture(scope="module")
def chosen():
    mixtures, losses = planted(90, 0)
    among = candidate_mixtures(Proxies(mixtures=mixtures, losses=losses), 300, seed=1)
    return among, choose_mixture(Proxies(mixtures=mixtures, losses=losses), among, domains=DOMAINS, losses=LOSSES)


def test_it_chooses_what_the_planted_loss_makes_best(chosen):
    among, found = chosen
    truth = (3.0 - 0.3 * np.log(among[:, :2] + 0.02)).mean(1)
    shares = np.array([found.shares[name] for name in DOMAINS])
    measured = (3.0 - 0.3 * np.log(shares[:2] + 0.02)).mean()
    assert np.mean(truth < measured) <= 0.05
    assert shares.sum() == pytest.approx(1.0)
    assert found.mean_loss.low <= measured <= found.mean_loss.high
    assert found.mean_loss.estimate == pytest.approx(np.mean([one.estimate for one in found.losses]))
    assert found.mean_loss.rank_agreement.low > 0.9
    assert [one.loss for one in found.losses] == list(LOSSES)
    assert found.as_dict()["losses"][0]["held-out spearman"]["unit"] == "run"


def test_shuffled_losses_agree_with_nothing_and_say_so():
    mixtures, losses = planted(60, 0)
    shuffled = Proxies(mixtures=mixtures, losses=np.random.default_rng(2).permutation(losses))
    found = choose_mixture(shuffled, mixtures, domains=DOMAINS, losses=LOSSES)
    assert abs(found.mean_loss.rank_agreement.estimate) < 0.4
    assert found.mean_loss.high - found.mean_loss.low > 1.5 * losses.mean(1).std()


def test_candidates_lie_between_proxies():
    mixtures, losses = planted(30, 3)
    drawn = candidate_mixtures(Proxies(mixtures=mixtures, losses=losses), 200, seed=0)
    np.testing.assert_allclose(drawn.sum(1), 1.0)
    assert np.all(drawn >= mixtures.min(0) - 1e-12)
    assert np.all(drawn <= mixtures.max(0) + 1e-12)
    with pytest.raises(ConfigError, match="nothing to choose"):
        candidate_mixtures(Proxies(mixtures=mixtures, losses=losses), 0, seed=0)


def test_too_few_proxies_to_hold_any_out():
    mixtures, losses = planted(25, 0)
    with pytest.raises(ConfigError, match="too few to hold out"):
        choose_mixture(Proxies(mixtures=mixtures, losses=losses), mixtures, domains=DOMAINS, losses=LOSSES)
