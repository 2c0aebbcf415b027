"""Colour scales: equal steps, zero in the middle when signs differ."""

import pytest

from imprint.report.color_scale import LEVELS, ColorScale


def test_positive_values_start_at_zero_and_signed_ones_are_symmetric():
    assert ColorScale.of([0.2, 0.8]) == ColorScale(low=0.0, high=0.8, name="seq")
    assert ColorScale.of([-0.2, 0.8]) == ColorScale(low=-0.8, high=0.8, name="div")
    assert ColorScale.around_zero([0.2]) == ColorScale(low=-0.2, high=0.2, name="div")


@pytest.mark.parametrize("values", [[], [0.0]])
def test_nothing_to_scale_by_is_one(values: list[float]):
    assert ColorScale.around_zero(values).high == 1.0


def test_the_ends_have_the_end_colours_and_zero_the_middle_one():
    scale = ColorScale.around_zero([1.0])
    assert [scale.level(value) for value in (-1.0, -0.3, 0.0, 0.3, 1.0)] == [0, 2, 3, 4, 6]
    assert scale.colors == tuple(f"var(--div-{level})" for level in range(LEVELS))
