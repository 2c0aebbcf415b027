import json

import numpy as np
import pytest
from coupling_matrix import PUBLISHED, WITHIN_SD

from imprint.errors import InputError
from imprint.stats import check_median, check_range, check_range_ratio


@pytest.mark.parametrize(
    ("metric", "median", "place", "ratio", "sd"),
    [("alignment", 1.51, "number 4", 1.95, "1.82"), ("ARC-C", 0.015, "number 5", 6.40, "0.021")],
)
def test_wrong_medians_of_the_source_are_flagged(metric, median, place, ratio, sd):
    """AT-VAR-1."""
    cells, published = WITHIN_SD[metric], PUBLISHED[metric]
    found = check_median(cells, published["median"], what=f"median sd of {metric}")
    assert not found.consistent
    assert found.recomputed == pytest.approx(median)
    assert found.explanation == f"{place} of the 5 cells in ascending order"
    quotient = check_range_ratio(cells, published["range"], published["ratio"], what=f"ratio of {metric}")
    assert not quotient.consistent
    assert quotient.recomputed == pytest.approx(ratio, abs=0.005)
    assert quotient.explanation.startswith(f"it is {published['range']} over {sd}, {place}")
    json.dumps(quotient.as_dict(), allow_nan=False)


@pytest.mark.parametrize("metric", ["alignment", "ARC-C"])
def test_right_numbers_pass(metric):
    cells, published = WITHIN_SD[metric], PUBLISHED[metric]
    assert check_range(*published["ends"], published["range"], what="range").consistent
    median = sorted(cells, key=float)[2]
    assert check_median(cells[::-1], median, what="median").consistent
    honest = f"{float(published['range']) / float(median):.2f}"
    assert check_range_ratio(cells, published["range"], honest, what="ratio").consistent


def test_rounding_is_allowed_for_and_no_more():
    rng = np.random.default_rng(0)
    for _ in range(200):
        cells = rng.uniform(1, 3, rng.integers(3, 9))
        printed = [f"{cell:.2f}" for cell in cells]
        assert check_median(printed, f"{np.median(cells):.1f}", what="median").consistent
        span = rng.uniform(1, 4)
        found = check_range_ratio(printed, f"{span:.3f}", f"{span / np.median(cells):.2f}", what="ratio")
        assert found.consistent
        for error in (-0.03, 0.03):
            assert not check_median(printed, f"{np.median(cells) + error:.3f}", what="median").consistent


def test_wrong_range_is_flagged():
    found = check_range("25.21", "28.15", "3.94", what="range")
    assert not found.consistent
    assert found.recomputed == pytest.approx(2.94)


def test_refusals():
    with pytest.raises(InputError, match="copy them as printed"):
        check_median([], "1.0", what="median")
    with pytest.raises(InputError, match="not all plain numbers"):
        check_median(["1.0", "about 2"], "1.0", what="median")
    with pytest.raises(InputError, match="rounds to 0"):
        check_range_ratio(["0.00", "0.00"], "1.0", "2.0", what="ratio")
