import numpy as np
import pytest

from imprint.errors import InputError
from imprint.mechanisms.checkpoints import panel

MEASURED = {
    f"c{condition}p{pipeline}": {"x": condition + 0.1 * pipeline, "flat": 1.0, "noise": float((condition * 3) % 5)}
    for condition in range(5)
    for pipeline in range(2)
}
CONDITIONS = [name[:2] for name in MEASURED]
OUTCOMES = {"alignment": {f"c{condition}": 10.0 - condition for condition in range(5)}}


def test_conditions_are_averaged_over_their_checkpoints():
    table = panel(MEASURED, CONDITIONS)
    np.testing.assert_allclose(table.condition_means()["x"], np.arange(5) + 0.05)
    assert table.condition_names == ("c0", "c1", "c2", "c3", "c4")
    assert table.frame().columns == ["checkpoint", "condition", "x", "flat", "noise"]
    assert table.frame().height == 10


def test_n_is_the_number_of_conditions_not_of_checkpoints():
    found = panel(MEASURED, CONDITIONS).against(OUTCOMES)
    assert (found.n, found.tried, found.constant) == (5, 2, ("flat",))
    best = found.rows[0]
    assert (best.scalar, best.correlation.estimate) == ("x", pytest.approx(-1.0))
    assert best.correlation.p == pytest.approx(2 / 120)
    assert best.adjusted_p > best.correlation.p


def test_order_of_checkpoints_and_outcomes_does_not_matter():
    turned = dict(reversed(MEASURED.items()))
    other = panel(turned, {name: name[:2] for name in turned})
    outcomes = {"alignment": dict(reversed(OUTCOMES["alignment"].items()))}
    one, two = panel(MEASURED, CONDITIONS).against(OUTCOMES), other.against(outcomes)
    assert [(row.scalar, row.adjusted_p) for row in one.rows] == [(row.scalar, row.adjusted_p) for row in two.rows]


def test_a_scalar_that_one_checkpoint_lacks_is_named():
    measured = {name: dict(values) for name, values in MEASURED.items()}
    del measured["c1p1"]["noise"]
    table = panel(measured, CONDITIONS)
    assert table.incomplete == ("noise",)
    assert table.against(OUTCOMES).tried == 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="every checkpoint a condition"):
        panel(MEASURED, {"c0p0": "c0"})
    with pytest.raises(InputError, match="no value for condition c4"):
        panel(MEASURED, CONDITIONS).against({"alignment": {f"c{i}": 1.0 for i in range(4)}})
    with pytest.raises(InputError, match="no scalar"):
        panel({"a": {"x": 1.0}, "b": {"y": 1.0}})
