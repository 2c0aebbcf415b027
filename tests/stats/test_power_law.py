import json
import time

import numpy as np
import pytest
from scipy import stats

from imprint.errors import InputError, SelfCheckFailed
from imprint.stats import concentration, fit_tail, hill, top_share
from imprint.stats.power_law import (
    Comparison,
    TailFit,
    _hill_interval,
    _log_exponential,
    _log_lognormal,
    _log_power,
    _share_effect,
    judge_tail,
    vuong,
)

ALPHA = 1 / (1 - np.log(0.5) / np.log(0.1))
LARGE = 1_000_000


def pareto(n, seed, alpha=ALPHA):
    return np.random.default_rng(seed).pareto(alpha, n) + 1


def quantiles(distribution):
    """A million evenly spaced quantiles: the distribution itself, without sampling noise."""
    return distribution.ppf((np.arange(LARGE) + 0.5) / LARGE)


def test_tail_index_that_gives_half_to_the_top_tenth():
    assert pytest.approx(1.4307, abs=1e-4) == ALPHA


@pytest.mark.parametrize(
    ("distribution", "share", "room"),
    [
        (stats.halfnorm(), 0.2585, 2e-4),
        (stats.expon(), 0.3303, 2e-4),
        (stats.lognorm(1.2816), 0.500, 5e-4),
        (stats.t(3), 0.351, 1e-3),
        (stats.t(2), 0.436, 2e-3),
        (stats.pareto(ALPHA), 0.500, 0.01),
    ],
)
def test_known_top_shares(distribution, share, room):
    assert top_share(np.abs(quantiles(distribution))) == pytest.approx(share, abs=room)


@pytest.mark.parametrize(("n", "spread"), [(1000, 0.066), (5000, 0.053)])
def test_share_varies_as_infinite_variance_makes_it(n, spread):
    shares = [top_share(pareto(n, seed)) for seed in range(400)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.035)
    assert np.std(shares) == pytest.approx(spread, abs=0.015)


@pytest.mark.parametrize(("n", "mean", "spread"), [(1000, 1.44, 0.15), (5000, 1.434, 0.061)])
def test_hill_at_the_known_index(n, mean, spread):
    found = [hill(pareto(n, seed)) for seed in range(200)]
    assert np.mean(found) == pytest.approx(mean, abs=0.03)
    assert np.std(found) == pytest.approx(spread, abs=0.015)


def test_hill_by_hand():
    values = np.array([8.0, 4.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert hill(values, 0.2) == pytest.approx(1 / np.mean(np.log([4.0, 2.0])))


def test_hill_interval_is_exact_for_pareto():
    hits = 0
    for seed in range(400):
        estimate, low, high = _hill_interval(pareto(200, seed), 0.1)
        hits += low <= ALPHA <= high
        assert estimate == hill(pareto(200, seed))
    assert 0.925 <= hits / 400 <= 0.975


def test_share_ignores_scale_and_order_but_not_sign():
    values = np.random.default_rng(0).standard_normal(500)
    assert top_share(7 * values[::-1]) == pytest.approx(top_share(values))
    assert top_share(np.ones(50)) == pytest.approx(0.1)
    spike = np.zeros(50)
    spike[3] = 2.0
    assert top_share(spike) == 1.0
    with pytest.raises(InputError, match="None of 50"):
        top_share(-spike)


def test_three_shares_of_a_symmetric_score():
    found = concentration(quantiles(stats.norm())[::100].copy(), seed=0, draws=20)
    assert found.share_positive.estimate == pytest.approx(0.2585, abs=2e-3)
    assert found.share_absolute.estimate == pytest.approx(0.2585, abs=2e-3)
    of_all = stats.norm.pdf(stats.norm.ppf(0.9)) / stats.norm.pdf(0)
    assert found.share_of_positive_mass.estimate == pytest.approx(of_all, abs=2e-3)
    assert (found.share_positive.n, found.share_absolute.n) == (5000, 10_000)


def test_share_interval_covers_light_tails_and_admits_heavy_ones():
    hits = 0
    for seed in range(150):
        sample = np.random.default_rng(seed).exponential(size=500)
        found = _share_effect(sample, 0.1, seed, "document", 200, "")
        hits += found.low <= 0.3303 <= found.high
    assert hits / 150 > 0.89
    assert "too narrow for heavy tails" in found.note


def slow_fit(values):
    """Every value as xmin, straight from the formulas."""
    best = None
    for xmin in np.unique(values)[: values.size - 49]:
        tail = np.sort(values[values >= xmin])
        alpha = tail.size / np.log(tail / xmin).sum()
        ks = stats.kstest(tail, stats.pareto(alpha, scale=xmin).cdf).statistic
        best = min(best or (np.inf,), (ks, xmin, alpha))
    return best


def test_fit_equals_the_slow_search():
    values = np.random.default_rng(1).lognormal(0, 1.2816, 300)
    ks, xmin, alpha = slow_fit(values)
    found = fit_tail(values)
    assert (found.ks, found.xmin, found.tail_index) == pytest.approx((ks, xmin, alpha))
    assert found.count == np.sum(values >= xmin * (1 - 1e-12))


def test_fit_finds_where_the_tail_starts():
    rng = np.random.default_rng(2)
    body, tail = rng.uniform(0.01, 1.0, 4000), rng.pareto(2.0, 2000) + 1
    found = fit_tail(np.concatenate([body, tail]))
    assert found.xmin == pytest.approx(1.0, abs=0.25)
    assert found.tail_index == pytest.approx(2.0, abs=0.15)


def test_fit_ignores_units():
    values = pareto(1000, 3)
    plain, scaled = fit_tail(values), fit_tail(1e-6 * values)
    assert scaled.xmin == pytest.approx(1e-6 * plain.xmin)
    assert scaled.tail_index == pytest.approx(plain.tail_index)
    assert scaled.versus_lognormal.normalised == pytest.approx(plain.versus_lognormal.normalised, abs=1e-3)


def test_lognormal_rival_is_the_best_cut_normal():
    y = stats.truncnorm(-0.5, np.inf, loc=1.0, scale=2.0).rvs(3000, random_state=4)
    mine = _log_lognormal(y, floor=-5.0).sum()
    grid = [
        stats.truncnorm(-centre / spread, np.inf, loc=centre, scale=spread).logpdf(y).sum()
        for centre in np.linspace(-1, 2, 31)
        for spread in np.linspace(1.5, 2.8, 27)
    ]
    assert max(grid) - 1e-6 <= mine <= max(grid) + 0.5


def test_densities_are_those_of_the_fitted_models():
    values = 2.0 * pareto(500, 8)
    excess, over = np.log(values / values.min()), values - values.min()
    power = stats.pareto(1 / excess.mean(), scale=values.min()).logpdf(values)
    exponential = stats.expon(scale=over.mean()).logpdf(over)
    assert _log_power(excess) - _log_exponential(excess) == pytest.approx(power - exponential)


def verdicts(draw, n, worlds=15):
    return [judge_tail(fit_tail(draw(np.random.default_rng(seed), n)))[0] for seed in range(worlds)]


@pytest.mark.parametrize("n", [1000, 5000])
def test_pareto_is_recognised(n):
    found = verdicts(lambda rng, n: rng.pareto(ALPHA, n) + 1, n)
    assert found.count("power law") >= 14


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.lognormal(0, 1.2816, n),
        lambda rng, n: rng.lognormal(0, 3.0, n),
        lambda rng, n: rng.exponential(1, n),
        lambda rng, n: np.abs(rng.standard_normal(n)),
    ],
    ids=["lognormal 1.28 (also 50 %)", "lognormal 3", "exponential", "half-normal"],
)
@pytest.mark.parametrize("n", [300, 1000, 5000])
def test_others_are_never_called_power_law(draw, n):
    assert verdicts(draw, n).count("power law") <= 1


def test_rejection_is_reachable_on_data():
    assert verdicts(lambda rng, n: rng.exponential(1, n), 5000).count("not a power law") >= 4


def fit(lognormal, exponential):
    rivals = {"versus_lognormal": lognormal, "versus_exponential": exponential}
    return TailFit(xmin=1.0, count=99, tail_index=1.4, ks=0.1, **rivals)


def test_verdict_needs_both_rivals():
    win = Comparison(log_likelihood_ratio=9.0, normalised=3.0, p=0.003)
    tie = Comparison(log_likelihood_ratio=1.0, normalised=0.3, p=0.76)
    loss = Comparison(log_likelihood_ratio=-9.0, normalised=-3.0, p=0.003)
    assert judge_tail(fit(win, win))[0] == "power law"
    assert judge_tail(fit(tie, win)) == ("not identified", "the 99 tail values do not tell it from lognormal")
    assert judge_tail(fit(win, tie))[0] == "not identified"
    assert judge_tail(fit(loss, win)) == ("not a power law", "lognormal fits the 99 tail values better")
    assert judge_tail(None)[0] == "not identified"


def test_vuong_signs_and_null():
    rng = np.random.default_rng(5)
    points = rng.standard_normal(400)
    right, wrong = stats.norm.logpdf(points), stats.norm.logpdf(points, 0.5)
    found, back = vuong(right, wrong), vuong(wrong, right)
    assert found.normalised > 3
    assert found.normalised == pytest.approx(-back.normalised)
    assert found.p == pytest.approx(2 * stats.norm.sf(found.normalised))
    assert vuong(right, right) == Comparison(log_likelihood_ratio=0.0, normalised=0.0, p=1.0)
    null = []
    for _ in range(500):
        draw = rng.standard_normal(200)
        null.append(vuong(stats.norm.logpdf(draw, 0.5), stats.norm.logpdf(draw, -0.5)).p)
    assert stats.kstest(null, "uniform").pvalue > 0.01
    with pytest.raises(InputError, match="same points"):
        vuong(right, wrong[:10])


def test_five_thousand_values_in_a_second():
    values = np.random.default_rng(6).lognormal(0, 1.2816, 5000)
    start = time.process_time()
    fit_tail(values)
    assert time.process_time() - start < 1.0


def test_result_survives_json_and_repeats():
    values = np.random.default_rng(7).standard_t(3, 400)
    found = concentration(values, seed=1)
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["verdict"] == found.verdict
    assert found == concentration(values, seed=1)
    assert found != concentration(values, seed=2)


def test_degenerate_scores_get_no_tail_but_a_result():
    binary = np.repeat([0.0, 1.0], [300, 100])
    found = concentration(binary, seed=0, draws=50)
    assert (found.hill, found.hill_low, found.tail, found.verdict) == (None, None, None, "not identified")
    assert found.share_positive.estimate == pytest.approx(0.1)
    json.dumps(found.as_dict(), allow_nan=False)
    few = concentration(pareto(20, 0), seed=0, draws=50)
    assert few.tail is None
    assert few.hill > 0


def test_refusals():
    with pytest.raises(InputError, match="3 of 400 scores are positive"):
        concentration(np.repeat([-1.0, 1.0], [397, 3]), seed=0)
    with pytest.raises(SelfCheckFailed, match="not finite"):
        concentration(np.array([np.nan] + [1.0] * 50), seed=0)
    with pytest.raises(InputError, match="fraction"):
        top_share(np.ones(5), 10.0)
    with pytest.raises(InputError, match="must be positive"):
        hill(np.array([1.0, -1.0, -2.0, -3.0]), 0.5)
    with pytest.raises(InputError, match="equal"):
        hill(np.ones(40))
    with pytest.raises(InputError, match="positive values only"):
        fit_tail(np.array([0.0, 1.0]))
