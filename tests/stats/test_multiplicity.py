import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from imprint.errors import InputError
from imprint.stats import benjamini_hochberg


def test_known_family():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert benjamini_hochberg(p).tolist() == pytest.approx([0.02, 0.04, 0.04, 0.02])


def test_agrees_with_statsmodels_in_any_shape():
    p = np.random.default_rng(0).random((6, 7)) ** 3
    expected = multipletests(p.ravel(), method="fdr_bh")[1].reshape(6, 7)
    assert benjamini_hochberg(p) == pytest.approx(expected)


def test_null_of_768_dimensions():
    rng = np.random.default_rng(0)
    shape = (100, 768)
    p = stats.ttest_ind(rng.standard_normal(shape), rng.standard_normal(shape)).pvalue
    assert 20 < np.sum(p < 0.05) < 60  # naive testing finds dozens
    assert not np.any(benjamini_hochberg(p) < 0.05)
    p[:5] = 1e-9
    assert np.flatnonzero(benjamini_hochberg(p) < 0.05).tolist() == [0, 1, 2, 3, 4]


def test_rate_is_controlled_over_worlds():
    rng = np.random.default_rng(1)
    any_found = [np.any(benjamini_hochberg(rng.random(50)) < 0.05) for _ in range(1000)]
    assert 0.03 < np.mean(any_found) < 0.07


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.5])
def test_refuses_what_is_not_p(bad):
    with pytest.raises(InputError, match="not a p-value"):
        benjamini_hochberg(np.array([0.5, bad]))
