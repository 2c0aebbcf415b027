import pytest

from imprint.corpus.comparison.shares import share
from imprint.errors import InputError


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"), [(0, 10, 0, 0.3085), (10, 10, 0.6915, 1), (5, 10, 0.1871, 0.8129)]
)
def test_against_the_table_of_clopper_and_pearson(part, whole, low, high):
    found = share(part, whole, metric="m", control="c", unit="item")
    assert (found.estimate, found.low, found.high) == pytest.approx((part / whole, low, high), abs=1e-4)


def test_one_unit_is_no_share():
    with pytest.raises(InputError, match="n=1"):
        share(1, 1, metric="m", control="c", unit="item")
