"""The sections of an emergence study's report: effects, cross-checks, trajectories, forecasts, policies."""

from dataclasses import replace

import polars as pl
import pytest
from emergence_results import emergence_result, finished, report_of, study
from html_page import Page

from imprint.report import (
    evidence,
    render_html,
    render_markdown,
)
from imprint.report.emergence_view import emergence_view
from imprint.stats import Undefined

JOINT = {
    "name": "few of both",
    "sets": ["early heads", "novel repeats"],
    "edits": [{"action": "ablate", "sites": ["L0.z"], "share": 0.75, "first": 10, "last": 500}],
    "shares": {"novel repeats": 0.03},
}


@pytest.fixture(scope="module")
def result():
    return finished()


@pytest.fixture(scope="module")
def data(result):
    return report_of(result)


@pytest.fixture(scope="module")
def page(data):
    return Page(render_html(data))


def squeezed(text):
    return " ".join(text.split())


def rows_of(result, node, scale, arm):
    """By seed the steps and values of one curve."""
    part = result.table.filter(pl.col("node") == node, pl.col("scale") == scale, pl.col("arm") == arm).sort(
        "seed", "step"
    )
    return [[(row["step"], row["value"]) for row in one.iter_rows(named=True)] for one in part.partition_by("seed")]


def test_effects_are_the_studys_and_floors_are_named(result, data):
    record = data.emergence
    tests = {(one.arm, one.effect): one for one in result.findings.tests}
    assert record.effects
    for row in record.effects:
        test = tests[row.arm, row.effect]
        assert row.q == test.q
        assert (row.found is None) == (test.found is None)
        if row.found is not None:
            assert (row.found.estimate, row.found.low) == (test.found.effect.estimate, test.found.effect.low)
            assert [point.estimate for point in row.by_scale] == [one.estimate for one in test.found.by_scale]
    words = {(row.arm, row.effect): row.word for row in record.effects}
    assert words["few repeats", "brackets"] == "at its floor at every scale"
    assert words["few early heads", "previous-token attention"] == "lowered"
    assert words["few repeats", "copy"] == "lowered, and differs between scales"
    assert words["few neurons", "copy"] == "nothing beyond: within ±0.05"
    floors = next(row for row in record.effects if (row.arm, row.effect) == ("few repeats", "brackets"))
    assert floors.at_floor == ("w16", "w24", "w40")
    assert len(record.effects) + record.unvaried == len(result.findings.tests)


def test_a_joint_arm_is_shown_with_what_it_holds():
    content = study().model_dump(mode="json")
    joint = emergence_result(interventions=[*content["interventions"], JOINT])
    report = report_of(joint)
    rows = [row for row in report.emergence.effects if row.held]
    assert {(row.cause, row.held, row.reference) for row in rows} == {
        ("early heads", ("novel repeats",), "few repeats"),
        ("novel repeats", ("early heads",), "few early heads"),
    }
    words = squeezed(Page(render_html(report)).text)
    assert "few of both: early heads, novel repeats held against few repeats" in words
    assert "set to 0, drawn by each run's seed, in updates 10 to 499; 3.0" in words


def test_cross_checks_are_numbers_or_reasons_and_decide_nothing(result, page):
    words = squeezed(page.text)
    assert "No arm's effect was measured on all abilities: there are no profiles to compare." in words
    assert "it decides no edge" in words
    for row in result.beside.discovery.agreement:
        assert row.method in words
    none = replace(
        result.beside, structure=Undefined(reason="too few runs"), discovery=Undefined(reason="not installed")
    )
    other = report_of(replace(result, beside=none))
    text = squeezed(Page(render_html(other)).text)
    assert "Not fitted: Too few runs." in text
    assert "Not done: Not installed." in text
    assert "- Causal discovery: Not installed." in render_markdown(other)
    assert other.answer_lines == report_of(result).answer_lines


def test_curves_are_means_over_seeds_with_the_line_from_which_an_ability_is_there(result, data):
    curve = next(
        one for one in data.emergence.curves if (one.ability, one.scale, one.arm) == ("copy", "w40", "slow training")
    )
    rows = result.table.filter(
        pl.col("node") == "copy", pl.col("scale") == "w40", pl.col("arm") == "slow training", pl.col("step") == 300
    )
    assert curve.mean[curve.steps.index(300)] == pytest.approx(rows["value"].mean())
    assert curve.high[curve.steps.index(300)] == rows["value"].max()
    assert curve.there == pytest.approx(0.04 + 0.1 * 0.96)
    assert curve.last == 5
    assert all(curve.mean[curve.steps.index(step)] > 0.1 for step in curve.onsets)
    lone = rows_of(result, "brackets", "w16", "control")
    expected = tuple(
        next((step for step, value in seed if value >= 0.25 + 0.1052 * 0.75 and step), None) for seed in lone
    )
    guessing = next(
        one for one in data.emergence.curves if (one.ability, one.scale, one.arm) == ("brackets", "w16", "control")
    )
    assert guessing.there == pytest.approx(0.25 + 2.576 * (0.25 * 0.75 / 200) ** 0.5, abs=1e-4)
    assert guessing.onsets == expected
    assert len(data.emergence.curves) == 3 * 4 * 6


def test_seeds_in_another_order_give_the_same_report(result, data):
    shuffled = replace(result, table=result.table.sample(fraction=1.0, shuffle=True, seed=3))
    assert report_of(shuffled).emergence.curves == data.emergence.curves


def test_an_ability_that_is_not_there_is_neither_smooth_nor_abrupt(data):
    shapes = {one.ability: [shape.word for shape in one.shapes] for one in emergence_view(data.emergence).curves}
    assert shapes["brackets"] == ["not there"] * 4
    assert shapes["copy"][:2] == ["abrupt", "abrupt"]
    assert shapes["sums"][0] == "abrupt in accuracy only"


def test_forecasts_show_what_came_beside_what_was_said(result, data, page):
    view = emergence_view(data.emergence)
    _, whiskers, dots = view.forecast.spec["datasets"].values()
    assert whiskers == dots
    assert [dot["p"] for dot in dots] == sorted((one.p for one in result.prediction.forecasts), reverse=True)
    full = {dot["name"] for dot in dots if dot["fill"] != "var(--paper)"}
    assert full == {f"{one.ability}, {one.arm}" for one in result.prediction.forecasts if one.there}
    assert dots[0]["name"] == "brackets, few neurons", "confident and wrong"
    assert "8 of 18" in page.text
    assert view.quality[1][1] == f"{result.prediction.persistence_auc:.3f}"


def test_ranks_that_cannot_be_judged_are_a_reason_not_a_number(result):
    found = replace(
        result.prediction, auc=Undefined(reason="none of the 8 were there"), persistence_auc=float("nan"), auc_p=1.0
    )
    other = replace(result, prediction=found)
    report = report_of(other)
    assert (report.emergence.forecast.auc, report.emergence.forecast.persistence_auc) == (None, None)
    assert "none of the 8 were there" in report.answer_lines[3]
    assert "none of the 8 were there" in Page(render_html(report)).text
    kept = evidence(other)["prediction"]
    assert kept["auc"] == {"undefined": "none of the 8 were there"}
    assert kept["persistence_auc"] is None


def test_policies_stand_cheapest_first_with_freeze_thaw_apart(result, data):
    rows = next(iter(list(emergence_view(data.emergence).allocation.spec["datasets"].values())[1:]))
    assert [row["policy"] for row in rows] == [name for name, _ in result.allocation.over_oracle]
    assert [row["policy"] for row in rows if row["fill"] != "var(--paper)"] == ["freeze-thaw"]
