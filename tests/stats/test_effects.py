import json
import math

import pytest

from imprint.errors import InputError, SelfCheckFailed
from imprint.stats import Effect


def effect(**changes):
    fields = {"estimate": 0.2, "low": 0.1, "high": 0.3, "n": 5, "unit": "pipeline seed", "control": "random"}
    return Effect(**(fields | changes))


def test_survives_json_unchanged():
    original = effect(metric="icl.olsson", note="five seeds")
    assert Effect(**json.loads(json.dumps(original.as_dict(), allow_nan=False))) == original


@pytest.mark.parametrize(
    ("low", "high", "zero", "chance"),
    [(0.1, 0.3, True, True), (-0.1, 0.3, False, True), (-0.3, -0.1, True, True), (0.0, 0.6, False, False)],
)
def test_excludes(low, high, zero, chance):
    found = effect(low=low, high=high)
    assert (found.excludes_zero, found.excludes(0.5)) == (zero, chance)


@pytest.mark.parametrize("field", ["estimate", "low", "high"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_refuses_what_json_cannot_hold(field, value):
    with pytest.raises(SelfCheckFailed, match="not finite"):
        effect(**{field: value})


def test_refuses_one_unit():
    with pytest.raises(InputError, match="n=1 pipeline seed for pm"):
        effect(n=1, metric="pm")


def test_refuses_upside_down_interval_and_level():
    with pytest.raises(SelfCheckFailed, match="upside down"):
        effect(low=0.4)
    with pytest.raises(SelfCheckFailed, match="level"):
        effect(level=95.0)


def test_zero_width_is_visible():
    assert not effect(low=0.2, high=0.2).has_width
    assert effect().has_width
