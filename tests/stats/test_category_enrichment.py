import numpy as np
import pytest
from scipy import stats

from imprint.errors import InputError
from imprint.stats import category_enrichment, mass_enrichment


def drawn(seed, n=600, share=(0.5, 0.3, 0.2), weights=(1.0, 1.0, 1.0), top=0.1):
    """Categories a, b, c; a document of weight w is treated w times as often."""
    rng = np.random.default_rng(seed)
    categories = rng.choice(list("abc"), size=n, p=share)
    chance = np.array(weights)[np.searchsorted(list("abc"), categories)]
    treated = np.zeros(n, dtype=bool)
    treated[rng.choice(n, size=round(top * n), replace=False, p=chance / chance.sum())] = True
    return categories, treated


def test_numbers_by_hand():
    categories = np.array(["code"] * 10 + ["prose"] * 30)
    treated = np.zeros(40, dtype=bool)
    treated[[0, 1, 2, 10]] = True
    code, prose = category_enrichment(categories, treated, seed=0)
    assert (code.category, code.documents, code.treated) == ("code", 10, 3)
    assert code.enrichment.estimate == pytest.approx((3 / 4) / (10 / 40))
    assert prose.enrichment.estimate == pytest.approx((1 / 4) / (30 / 40))
    assert code.p == pytest.approx(prose.p)
    hypergeometric = stats.hypergeom(40, 10, 4)
    assert code.p == pytest.approx(hypergeometric.pmf(3) + hypergeometric.pmf(4))


def test_an_enriched_category_is_found_with_its_size():
    found = {row.category: row for row in category_enrichment(*drawn(0, n=6000, weights=(1, 1, 4)), seed=0)}
    expected = 4 / (0.5 + 0.3 + 0.8)
    assert found["c"].enrichment.low < expected < found["c"].enrichment.high
    assert found["c"].q < 0.05
    assert found["a"].enrichment.high < 1
    assert found["a"].q < 0.05


def test_random_documents_are_rarely_enriched():
    p = [row.p for seed in range(200) for row in category_enrichment(*drawn(seed, n=200), seed=0, draws=10)[:1]]
    assert np.mean(np.array(p) < 0.05) <= 0.07


def test_the_interval_covers():
    hits = [row.enrichment.low <= 1 <= row.enrichment.high
            for seed in range(200) for row in category_enrichment(*drawn(seed), seed=seed, draws=400)[2:]]  # fmt: skip
    assert 0.91 <= np.mean(hits) <= 0.99


def test_an_absent_category_keeps_a_width_and_its_estimate():
    categories, treated = np.array(["a"] * 50 + ["b"] * 50), np.arange(100) >= 90
    absent, present = category_enrichment(categories, treated, seed=0)
    assert absent.enrichment.estimate == absent.enrichment.low == 0
    assert 0.1 < absent.enrichment.high < 1
    assert 1 < present.enrichment.low < present.enrichment.estimate == 2 < present.enrichment.high


def test_a_whole_corpus_of_one_category_is_neither():
    (row,) = category_enrichment(np.array(["a"] * 20), np.arange(20) < 5, seed=0)
    assert (row.enrichment.estimate, row.p, row.q) == (1.0, 1.0, 1.0)


def test_the_share_of_a_sum_by_hand():
    found = mass_enrichment(np.array(["a", "a", "b", "b"]), np.array([3.0, 3.0, 2.0, 0.0]), seed=0)
    assert found["a"].estimate == pytest.approx((6 / 8) / 0.5)
    assert found["b"].estimate == pytest.approx((2 / 8) / 0.5)
    assert found["a"].low <= found["a"].estimate <= found["a"].high


def test_the_interval_of_the_sum_covers():
    hits = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        categories = rng.choice(["a", "b"], size=200, p=[0.3, 0.7])
        mass = rng.exponential(size=200) * np.where(categories == "a", 2.0, 1.0)
        found = mass_enrichment(categories, mass, seed=seed, draws=200)["a"]
        hits.append(found.low <= 2 / (0.3 * 2 + 0.7) <= found.high)
    assert 0.89 <= np.mean(hits) <= 0.99


def test_order_and_units_do_not_matter():
    categories, treated = drawn(3, weights=(1, 2, 3))
    mass, shuffle = np.random.default_rng(4).exponential(size=600), np.random.default_rng(5).permutation(600)
    assert category_enrichment(categories, treated, seed=0) == category_enrichment(
        categories[shuffle], treated[shuffle], seed=0
    )
    plain = mass_enrichment(categories, mass, seed=0)
    mixed, scaled = (
        mass_enrichment(categories[shuffle], mass[shuffle], seed=0),
        mass_enrichment(categories, 8 * mass, seed=0),
    )
    assert plain == mixed == scaled
    assert mass_enrichment(categories, mass, seed=1) != plain


def test_a_category_without_any_mass():
    found = mass_enrichment(np.array(["a"] * 10 + ["b"] * 10), np.repeat([1.0, 0.0], 10), seed=0)
    assert (found["b"].estimate, found["b"].low, found["b"].high) == (0.0, 0.0, 0.0)
    assert "same value" in found["b"].note


def test_refusals():
    categories = np.array(["a", "b"])
    with pytest.raises(InputError, match="2 categories do not fit 3"):
        category_enrichment(categories, np.zeros(3, dtype=bool), seed=0)
    with pytest.raises(InputError, match="needs both arms"):
        category_enrichment(categories, np.zeros(2, dtype=bool), seed=0)
    with pytest.raises(InputError, match="0 or more, and some positive"):
        mass_enrichment(categories, np.array([-1.0, 1.0]), seed=0)
    with pytest.raises(InputError, match="2 categories do not fit 3"):
        mass_enrichment(categories, np.ones(3), seed=0)
