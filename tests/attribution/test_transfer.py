"""The transfer matrix: symmetric, exact, with intervals that cover, and a test over roles that holds its level."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from imprint.attribution import agree, role_contrast, transfer_matrix
from imprint.attribution.transfer import _resampled
from imprint.errors import InputError

RNG = np.random.default_rng(0)
ROWS = 500
COMMON = RNG.normal(size=ROWS)


def heads(layers=2, each=4):
    return [f"L{layer}.H{head}" for layer in range(layers) for head in range(each)]


def scored(induction=("L1.H0", "L1.H1"), layers=2, each=4, noise=0.5):
    """Induction heads share a cause; the others have one each."""
    return {head: (COMMON if head in induction else 0) + noise * RNG.normal(size=ROWS) for head in heads(layers, each)}


def roles(induction, layers=2, each=4):
    return {head: "induction" if head in induction else "" for head in heads(layers, each)}


def test_symmetric_with_unit_diagonal_and_the_numbers_of_each_pair():
    scores = scored()
    found = transfer_matrix(scores, roles(("L1.H0", "L1.H1")), fraction=0.1, draws=40)
    assert found.heads == tuple(heads())
    for matrix in (found.spearman, found.overlap, found.spearman_low, found.overlap_high):
        assert np.array_equal(matrix, matrix.T)
        assert (matrix.diagonal() == 1).all()
    for one, other in ((4, 5), (0, 7)):
        pair = agree(scores[heads()[one]], scores[heads()[other]], fraction=0.1)
        assert found.spearman[one, other] == pytest.approx(pair.spearman)
        assert found.overlap[one, other] == pytest.approx(pair.overlap)
    assert (found.spearman_low <= found.spearman).all()
    assert (found.spearman <= found.spearman_high).all()
    assert (found.chance, found.rows, found.units) == (0.1, ROWS, ROWS)


def test_heads_with_the_same_scores_have_overlap_1():
    scores = {"L0.H0": COMMON, "L0.H1": 3 * COMMON + 1, "L1.H0": RNG.permutation(COMMON)}
    found = transfer_matrix(scores, {}, fraction=0.1, draws=20)
    assert found.overlap[0, 1] == pytest.approx(1)
    assert found.spearman[0, 1] == pytest.approx(1)
    assert found.overlap_low[0, 1] > 0.97
    assert abs(found.overlap[0, 2] - 0.1) < 0.1


def test_resampled_ranks_are_those_of_the_repeated_rows():
    values = np.stack([np.round(RNG.normal(size=30), 1), np.round(RNG.normal(size=30), 1)])
    weights = RNG.multinomial(30, np.full(30, 1 / 30), size=3).astype(float)
    rho, _ = _resampled(values, weights, 3)
    for draw in range(3):
        repeated = np.repeat(values, weights[draw].astype(int), axis=1)
        assert rho[draw, 0, 1] == pytest.approx(spearmanr(*repeated).statistic)


def test_resampled_tops_are_those_of_the_repeated_rows():
    values, weights = RNG.normal(size=(2, 40)), RNG.multinomial(40, np.full(40, 1 / 40), size=20).astype(float)
    _, overlap = _resampled(values, weights, 20)
    for draw in range(20):
        copies = np.repeat(np.arange(40), weights[draw].astype(int))
        tops = [copies[np.argsort(-scores[copies], kind="stable")[:20]] for scores in values]
        shared = sum(min((tops[0] == row).sum(), (tops[1] == row).sum()) for row in range(40))
        assert overlap[draw, 0, 1] == pytest.approx(shared / 20, abs=0.06)  # one row may be half in a top


def test_intervals_cover_the_truth_and_documents_widen_them():
    truth = 6 / np.pi * np.arcsin(0.8 / 2)  # Spearman of normals that correlate .8
    rng = np.random.default_rng(5)
    hits = []
    for seed in range(40):
        pair = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], size=200).T
        found = transfer_matrix({"L0.H0": pair[0], "L0.H1": pair[1]}, {}, fraction=0.1, seed=seed, draws=200)
        hits.append(found.spearman_low[0, 1] <= truth <= found.spearman_high[0, 1])
    assert np.mean(hits) >= 0.85
    repeated = {"L0.H0": np.repeat(pair[0], 5), "L0.H1": np.repeat(pair[1], 5)}
    naive = transfer_matrix(repeated, {}, fraction=0.1)
    grouped = transfer_matrix(repeated, {}, fraction=0.1, documents=np.repeat(np.arange(200), 5))
    assert grouped.units == 200
    width = [each.spearman_high[0, 1] - each.spearman_low[0, 1] for each in (naive, grouped)]
    assert width[1] > 1.6 * width[0]


def test_induction_heads_that_share_a_cause_stand_out():
    induction = ("L1.H0", "L1.H1", "L1.H2")
    found = transfer_matrix(scored(induction, each=8), roles(induction, each=8), fraction=0.1, draws=60).contrast
    assert found.within.low > 0.3
    assert abs(found.between.estimate - found.chance) < 0.05
    assert found.between_same_layer.high < found.within.low
    assert found.difference.low > 0
    assert found.arrangements == 56
    assert found.p == pytest.approx(1 / 56)
    assert found.note == ""


def test_roles_without_meaning_are_not_found():
    induction = ("L1.H0", "L1.H1", "L1.H2")
    ps = []
    for _ in range(40):
        table = {head: RNG.normal(size=ROWS) for head in heads(each=8)}
        ps.append(transfer_matrix(table, roles(induction, each=8), fraction=0.1, draws=10).contrast.p)
    assert np.mean(np.array(ps) <= 0.05) <= 0.15
    assert 0.3 < np.mean(ps) < 0.7


def test_a_layer_s_own_input_is_no_role():
    """All heads of layer 1 share a cause: a test that moved the role between layers would be fooled."""
    table = {head: (COMMON if head.startswith("L1") else 0) + 0.5 * RNG.normal(size=ROWS) for head in heads(each=8)}
    found = transfer_matrix(table, roles(("L1.H0", "L1.H1", "L1.H2"), each=8), fraction=0.1, draws=40).contrast
    assert found.within.low > found.between.high
    assert found.p > 0.05
    assert found.between_same_layer.high > found.within.low


@pytest.mark.parametrize(
    ("induction", "note"),
    [(("L1.H0", "L1.H1"), r"in 6 way\(s\) only"), (("L1.H0",), r"1 induction head\(s\) of 8"), ((), "0 induction")],
)
def test_too_few_heads_say_so(induction, note):
    found = transfer_matrix(scored(induction), roles(induction), fraction=0.1, draws=10).contrast
    assert found.p is None
    assert note.split(r"\(")[0] in found.note
    assert (found.within is None) == (len(induction) < 2)
    assert (found.between is None) == (len(induction) == 0)


def test_many_arrangements_are_sampled():
    induction = tuple(f"L1.H{head}" for head in range(12))
    names = heads(each=24)
    overlap = np.full((48, 48), 0.1)
    chosen = [names.index(head) for head in induction]
    overlap[np.ix_(chosen, chosen)] = 0.6
    found = role_contrast(names, roles(induction, each=24), overlap, overlap[None].repeat(3, 0), chance=0.1, draws=199)
    assert found.arrangements == 2704156
    assert found.p == pytest.approx(1 / 200)


def test_lines_without_a_role_are_shown_but_not_judged():
    induction = ("L1.H0", "L1.H1")
    table = scored(induction)
    alone = transfer_matrix(table, roles(induction), fraction=0.1, draws=20)
    more = transfer_matrix({**table, "L0.H0 (previous token)": COMMON}, roles(induction), fraction=0.1, draws=20)
    assert more.heads[-1] == "L0.H0 (previous token)"
    assert more.contrast.within.estimate == alone.contrast.within.estimate
    assert more.contrast.between.estimate == alone.contrast.between.estimate


def test_heads_that_write_nothing_are_named():
    table = scored() | {"L0.H1": np.zeros(ROWS)}
    found = transfer_matrix(table, roles(("L1.H0",)), fraction=0.1, draws=10)
    assert found.flat == ("L0.H1",)
    assert "L0.H1" not in found.heads
    with pytest.raises(InputError, match="1 head"):
        transfer_matrix({"L0.H0": COMMON, "L0.H1": np.zeros(ROWS)}, {}, fraction=0.1)


def test_the_ranking_counts_not_the_scale():
    table = scored()
    ranked = {head: rankdata(values) for head, values in table.items()}
    one, other = (transfer_matrix(each, {}, fraction=0.1, draws=20) for each in (table, ranked))
    np.testing.assert_allclose(one.spearman_low, other.spearman_low)
    np.testing.assert_allclose(one.overlap_high, other.overlap_high)
