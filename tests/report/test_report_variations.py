"""Variations: one chart a thing varied, values in the order in which they were given."""

from influence_samples import study

from imprint.report import EffectRecord, VariationRecord
from imprint.report.variations import figures


def row(value: str, harm: float, control: float | None = None, varied: str = "layer") -> VariationRecord:
    against = None if control is None else EffectRecord(estimate=control)
    harms = EffectRecord(estimate=harm, low=harm - 0.1, high=harm + 0.1)
    return VariationRecord(cluster="code", ability="COPA", varied=varied, value=value, harm=harms, control=against)


def test_one_chart_a_cluster_ability_and_thing_varied():
    assert [figure.title for figure in figures(study().variations)] == [
        "code → COPA, by layer", "code → COPA, by share of tokens",
        "arithmetic → sums mod 5, by layer", "arithmetic → sums mod 5, by share of tokens",
    ]  # fmt: skip


def test_values_keep_their_order_and_controls_stand_beside():
    figure = figures([row("L29", 0.3, 0.01), row("L2", 0.1), row("share", 0.2, varied="share of tokens")])[0]
    drawn = list(figure.spec["datasets"].values())[1]
    assert [(mark["value"], mark["arm"], mark["harm"]) for mark in drawn] == [
        ("L29", "perturbation", 0.3), ("L2", "perturbation", 0.1), ("L29", "matched control", 0.01),
    ]  # fmt: skip
    assert (drawn[2]["low"], drawn[2]["high"]) == (0.01, 0.01)
    assert "L29: +0.300 [0.200, 0.400]; L2: +0.100" in figure.alt


def test_nothing_varied_draws_nothing():
    assert figures(()) == []
