import itertools
import json

import numpy as np
import pytest

from imprint.errors import InputError
from imprint.stats.scalar_screen import scalar_screen


def noise(rng, scalars=10, n=5):
    return {f"s{i}": row for i, row in enumerate(rng.standard_normal((scalars, n)))}


def test_family_wise_error_is_held_over_200_noise_worlds():
    rng = np.random.default_rng(0)
    adjusted, single = [], []
    for _ in range(200):
        found = scalar_screen(noise(rng, 5), {"y": rng.standard_normal(5)}, statistic="pearson")
        adjusted.append(min(row.adjusted_p for row in found.rows))
        single.append(min(row.correlation.p for row in found.rows))
    assert np.mean(np.array(adjusted) <= 0.1) < 0.15
    assert np.mean(np.array(adjusted) <= 0.5) == pytest.approx(0.5, abs=0.1)
    assert np.mean(np.array(single) <= 0.1) > 0.3


def test_adjusted_p_is_the_null_of_the_maximum():
    rng = np.random.default_rng(1)
    scalars, outcomes = noise(rng, 3), {"a": rng.standard_normal(5), "b": rng.standard_normal(5)}
    null = [
        max(abs(np.corrcoef(x, y[list(order)])[0, 1]) for x in scalars.values() for y in outcomes.values())
        for order in itertools.permutations(range(5))
    ]
    found = scalar_screen(scalars, outcomes, statistic="pearson")
    assert found.tried == 6
    for row in found.rows:
        assert row.adjusted_p == pytest.approx(np.mean(np.array(null) >= abs(row.correlation.estimate) - 1e-9))
        assert row.adjusted_p >= row.correlation.p
    assert [row.adjusted_p for row in found.rows] == sorted(row.adjusted_p for row in found.rows)


def test_copies_of_a_scalar_cost_nothing_but_new_ones_do():
    y = np.array([0.0, 1, 2, 3, 4.5])
    x = np.array([0.1, 0.9, 2.2, 3.1, 3.7])
    alone = scalar_screen({"x": x}, {"y": y})
    copies = scalar_screen({f"x{i}": 3 * x for i in range(10)}, {"y": y})
    among = scalar_screen({"x": x, **noise(np.random.default_rng(2))}, {"y": y})
    assert (
        alone.rows[0].adjusted_p == copies.rows[0].adjusted_p == alone.rows[0].correlation.p == pytest.approx(2 / 120)
    )
    assert among.rows[0].scalar == "x"
    assert among.rows[0].adjusted_p > 4 / 120
    assert among.rows[0].q >= 2 / 120


def test_a_family_that_is_too_large_for_five_conditions_says_so():
    rng = np.random.default_rng(3)
    few, many = scalar_screen(noise(rng, 2), {"y": np.arange(5.0)}), scalar_screen(noise(rng, 8), {"y": np.arange(5.0)})
    assert few.smallest_adjusted_p <= 0.05
    assert few.note == ""
    assert many.smallest_adjusted_p > 0.05
    assert "8 correlations tried over 5 conditions" in many.note
    assert scalar_screen(noise(rng, 8, 8), {"y": np.arange(8.0)}).note == ""


def test_a_planted_scalar_is_found_among_noise_at_eight_conditions():
    rng = np.random.default_rng(4)
    y = rng.standard_normal(8)
    found = scalar_screen({**noise(rng, 10, 8), "planted": y + 0.02 * rng.standard_normal(8)}, {"y": y})
    assert found.rows[0].scalar == "planted"
    assert found.rows[0].adjusted_p < 0.01
    assert all(row.adjusted_p > 0.05 for row in found.rows[1:])
    json.dumps(found.as_dict(), allow_nan=False)


def test_constant_scalars_are_named_and_not_counted():
    found = scalar_screen({"flat": np.ones(5), "x": np.arange(5.0)}, {"y": np.arange(5.0)})
    assert (found.constant, found.tried) == (("flat",), 1)
    with pytest.raises(InputError, match="none of the 1 scalars differs"):
        scalar_screen({"flat": np.ones(5)}, {"y": np.arange(5.0)})
    with pytest.raises(InputError, match="outcome y is the same"):
        scalar_screen({"x": np.arange(5.0)}, {"y": np.ones(5)})
    with pytest.raises(InputError, match="one a condition"):
        scalar_screen({"x": np.arange(6.0)}, {"y": np.arange(5.0)})


def test_beyond_eight_conditions_it_is_monte_carlo():
    rng = np.random.default_rng(5)
    found = scalar_screen(noise(rng, 3, 10), {"y": rng.standard_normal(10)}, draws=500)
    assert not found.exact
    assert found.smallest_adjusted_p == pytest.approx(1 / 501)
