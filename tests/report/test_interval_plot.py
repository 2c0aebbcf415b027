"""The small picture of a number with its interval."""

import re

import pytest
from markupsafe import Markup

from imprint.report.interval_plot import interval_plot


def places(svg: str) -> dict[str, list[float]]:
    lines = re.findall(r'class="(reference|whisker)" x1="([\d.]+)" x2="([\d.]+)"', svg)
    found = {name: [float(first), float(last)] for name, first, last in lines}
    return found | {"dot": [float(re.search(r'cx="([\d.]+)"', svg)[1])]}


def test_positions_follow_the_numbers_and_zero_is_always_in_view():
    found = places(interval_plot(0.5, 0.25, 1.0))
    assert found == {"reference": [6.0, 6.0], "whisker": [36.0, 126.0], "dot": [66.0]}


@pytest.mark.parametrize(
    ("low", "high", "references", "word"),
    [(0.1, 0.5, [0.0], "clear"), (-0.1, 0.5, [0.0], "unclear"), (0.1, 0.5, [0.3], "unclear"), (-0.1, 0.1, [-0.2, 0.2], "clear"),
     (0.0, 0.5, [0.0], "unclear"), (-1, 1, [], "clear")],
)  # fmt: skip
def test_an_interval_is_clear_when_it_holds_no_reference(low, high, references, word):
    assert f'class="interval {word}"' in interval_plot((low + high) / 2, low, high, references=references)


def test_a_lone_number_sits_in_the_middle_and_nothing_gives_nothing():
    assert places(interval_plot(0.0))["dot"] == [66.0]
    assert interval_plot(None) == Markup("")


def test_rows_with_one_span_share_one_axis():
    first, second = (places(interval_plot(0.5, low, 0.6, references=(), span=(0.0, 1.0)))["dot"] for low in (0.2, 0.4))
    assert first == second
