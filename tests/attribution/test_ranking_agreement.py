"""Agreement of two rankings: exact on small ones, chance on unrelated ones."""

import numpy as np
import pytest
from scipy.stats import hypergeom

from imprint.attribution import agree, all_pairs, expected_overlap, top_mask
from imprint.errors import InputError, SelfCheckFailed

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=2000)


def test_with_itself():
    found = agree(SCORES, SCORES, fraction=0.1)
    assert (found.spearman, found.overlap, found.chance, found.rows) == (pytest.approx(1), 1, 0.1, 2000)
    assert found.p < 1e-100


def test_by_hand():
    one, other = np.array([4.0, 3, 2, 1]), np.array([4.0, 1, 3, 2])
    found = agree(one, other, fraction=0.5, names=("a", "b"))
    assert (found.one, found.other, found.overlap, found.chance) == ("a", "b", 0.5, 0.5)
    assert found.spearman == pytest.approx(1 - 6 * 6 / (4 * 15))
    assert found.p == pytest.approx(5 / 6)  # of 6 tops of two rows, all but one share a row with the first


def test_shuffled_rows_agree_as_chance_has_it():
    found = [agree(SCORES, RNG.permutation(SCORES), fraction=0.1) for _ in range(40)]
    assert abs(np.mean([each.spearman for each in found])) < 0.02
    assert np.mean([each.overlap for each in found]) == pytest.approx(0.1, abs=0.015)
    assert 0.2 < np.mean([each.p for each in found]) < 0.8


def test_any_monotone_change_of_scale_is_the_same_ranking():
    found = agree(SCORES, np.exp(3 * SCORES) - 7, fraction=0.25)
    assert (found.spearman, found.overlap) == (pytest.approx(1), 1)


def test_the_opposite_ranking_shares_no_top():
    found = agree(SCORES, -SCORES, fraction=0.1)
    assert (found.spearman, found.overlap, found.p) == (pytest.approx(-1), 0, pytest.approx(1))


def test_p_is_the_tail_of_the_hypergeometric():
    other = np.where(np.arange(2000) < 1000, SCORES, RNG.permutation(SCORES))
    found = agree(SCORES, other, fraction=0.1)
    shared = round(found.overlap * 200)
    assert found.p == pytest.approx(sum(hypergeom.pmf(count, 2000, 200, 200) for count in range(shared, 201)))


def test_a_flat_ranking_has_no_spearman():
    assert agree(SCORES, np.zeros(2000), fraction=0.1).spearman is None


def test_the_top_holds_ties_in_their_order():
    assert top_mask(np.array([1.0, 2, 2, 2]), 0.5).tolist() == [False, True, True, False]


def test_every_pair_once():
    found = all_pairs({"a": SCORES, "b": -SCORES, "c": SCORES}, fraction=0.1)
    assert [(pair.one, pair.other, round(pair.spearman)) for pair in found] == [
        ("a", "b", -1),
        ("a", "c", 1),
        ("b", "c", -1),
    ]


def test_scores_that_cannot_be_compared():
    with pytest.raises(InputError, match="2000 and 3 scores cannot be compared"):
        agree(SCORES, SCORES[:3], fraction=0.1)
    with pytest.raises(InputError, match="strictly between 0 and 1"):
        agree(SCORES, SCORES, fraction=1.0)
    with pytest.raises(SelfCheckFailed, match="not finite"):
        agree(SCORES, np.where(SCORES > 1, np.nan, SCORES), fraction=0.1)


def test_tops_that_share_only_their_domains_agree_no_more_than_chance():
    """Both rank one domain first and are unrelated within it: the overlap is not that of unrelated rankings."""
    rng = np.random.default_rng(0)
    domains = np.repeat(["cause", "other"], [300, 700])
    small = 0
    for _ in range(40):
        one, other = (rng.normal(size=1000) + 10 * (domains == "cause") for _ in range(2))
        found = agree(one, other, fraction=0.1, groups=domains)
        assert found.chance == pytest.approx(1 / 3)
        assert agree(one, other, fraction=0.1).chance == pytest.approx(0.1)
        assert agree(one, other, fraction=0.1).p < 1e-4  # without the domains the same overlap would look telling
        small += found.p <= 0.05
    assert small <= 6


def test_one_group_is_the_plain_hypergeometric():
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(2, 200))
    plain, grouped = agree(one, other, fraction=0.1), agree(one, other, fraction=0.1, groups=np.zeros(200))
    shared = round(plain.overlap * 20)
    assert plain.p == pytest.approx(hypergeom.sf(shared - 1, 200, 20, 20))
    assert grouped == plain
    assert expected_overlap(np.ones(5, bool), np.arange(5) < 2, np.arange(5)) == pytest.approx(0.4)
