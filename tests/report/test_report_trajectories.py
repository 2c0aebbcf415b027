"""Trajectories, head maps, effects: the numbers that reach the charts and their tables."""

import pytest
from report_samples import PREFIX, full

from imprint.report import forest, heatmaps, trajectories
from imprint.report.arms import COLORS, arms
from imprint.report.glossary import Glossary
from imprint.report.model import (
    EffectRow,
    HeadRecord,
    MetricNote,
    OnsetRecord,
    ReportData,
    TrajectoryPoint,
    WindowRecord,
)


def small(**fields) -> ReportData:
    points = [
        TrajectoryPoint(arm=arm, seed=seed, step=step, metric="m", value=value + seed)
        for arm, value in (("keep", 1.0), ("delete", 0.0))
        for seed in (0, 1, 2)
        for step in (0, 10)
    ]
    return ReportData(title="t", question="q", trajectories=points, **fields)


def onset(seed: int, step: float | None) -> OnsetRecord:
    return OnsetRecord(arm="keep", seed=seed, step=step)


def datasets(spec: dict) -> list[list[dict]]:
    return list(spec["datasets"].values())


def test_the_mean_over_seeds_and_their_spread_are_drawn():
    seeds, means, hover = datasets(trajectories.figures(small(), Glossary(small()))[0].spec)
    assert len(seeds) == 12
    assert means == hover
    assert {(row["arm"], row["step"]): (row["value"], row["low"], row["high"], row["n"]) for row in means} == {
        ("keep", 0): (2.0, 1.0, 3.0, 3), ("keep", 10): (2.0, 1.0, 3.0, 3),
        ("delete", 0): (1.0, 0.0, 2.0, 3), ("delete", 10): (1.0, 0.0, 2.0, 3),
    }  # fmt: skip


def test_the_window_is_shaded_first_and_onsets_are_drawn_last():
    data = small(windows=(WindowRecord(start=2, end=5, label="w"),), onsets=(onset(0, 4), onset(1, None)))
    drawn = datasets(trajectories.figures(data, Glossary(data))[0].spec)
    assert drawn[0] == [{"start": 2, "end": 5, "label": "w"}]
    assert [(row["seed"], row["step"]) for row in drawn[-1]] == [(0, 4)]


def test_an_onset_of_another_metric_or_an_unknown_arm_is_not_drawn():
    strangers = (OnsetRecord(arm="keep", seed=0, step=4, metric="other"), OnsetRecord(arm="ghost", seed=0, step=4))
    data = small(onsets=strangers)
    assert len(datasets(trajectories.figures(data, Glossary(data))[0].spec)) == 3


@pytest.mark.parametrize(
    ("onsets", "words"),
    [
        ([], "–"),
        ([onset(0, 400)], "400"),
        ([onset(0, 400), onset(1, 500), onset(2, 420)], "median 420 (400 to 500)"),
        ([onset(0, 400), onset(1, None)], "400, never in 1 of 2"),
        ([onset(0, None), onset(1, None)], "never in 2 of 2"),
    ],
)
def test_onsets_in_words(onsets, words):
    assert trajectories.onset_words(onsets) == words


def test_the_table_says_what_the_charts_show():
    data = full()
    rows = {row.arm.name: row for row in trajectories.summaries(data, Glossary(data))}
    assert rows["delete top decile"].onset == "never in 5 of 5"
    assert rows["delete loss-matched"].onset.endswith("never in 1 of 5")
    assert rows["keep all"].seeds == 5
    assert float(rows["keep all"].final[0]) == pytest.approx(0.64, abs=0.03)


def test_known_metrics_come_first_in_the_glossarys_order():
    data = full()
    assert trajectories.metrics(data, Glossary(data))[:3] == [PREFIX, "copy.accuracy", "copy.ablation_effect"]


def test_a_report_can_overrule_the_glossary():
    data = small(metrics=(MetricNote(name=PREFIX, note="mine"), MetricNote(name="m", label="My metric")))
    glossary = Glossary(data)
    assert (glossary[PREFIX].label, glossary[PREFIX].note) == ("Prefix matching", "mine")
    assert glossary.label("m") == "My metric"
    assert glossary.label("unheard") == "unheard"


def test_a_comparison_of_arms_is_named_after_its_metric():
    glossary = Glossary(small())
    assert glossary.label("onset.delete_top_vs_keep") == "Onset (delete top vs keep)"
    assert glossary.label("icl.olsson.a_vs_b") == "In-context learning (Olsson) (a vs b)"
    assert glossary["icl.olsson.a_vs_b"].note == glossary["icl.olsson"].note
    assert glossary.label("onsets") == "onsets"


def test_both_in_context_scores_have_their_own_name_and_sign():
    glossary = Glossary(small())
    assert len({glossary.label(name) for name in ("icl.olsson", "icl.mda", "icl.fewshot")}) == 3
    assert all("lower" in glossary[name].note for name in ("icl.olsson", "icl.mda"))


def test_no_two_arms_look_alike():
    effects = [EffectRow(arm=f"arm {place}", control="c", metric="m", estimate=0.0) for place in range(3 * COLORS)]
    looks = arms(ReportData(title="t", question="q", effects=effects)).values()
    assert len({(arm.color, arm.dash) for arm in looks}) == 3 * COLORS
    assert len({arm.color for arm in list(looks)[:COLORS]}) == COLORS


def head(value: float, null: float | None, layer: int = 0, place: int = 0) -> HeadRecord:
    return HeadRecord(metric="m", layer=layer, head=place, value=value, null=null)


@pytest.mark.parametrize(
    ("value", "null", "beyond"),
    [
        (0.5, 0.1, True),
        (0.05, 0.1, False),
        (-0.5, 0.1, False),
        (-0.5, -0.1, True),
        (0.5, -0.1, False),
        (0.5, None, None),
    ],
)
def test_a_head_stands_out_beyond_its_null_on_the_nulls_side(value, null, beyond):
    assert heatmaps.stands_out(head(value, null)) is beyond


def heat_map(*heads: HeadRecord) -> heatmaps.HeatMap:
    data = ReportData(title="t", question="q", heads=heads, chosen_heads=("L1.H1",))
    return heatmaps.heat_maps(data, Glossary(data))[0]


def test_colours_run_from_zero_or_diverge_around_it():
    plain = heat_map(head(0.0, None), head(0.7, None, 0, 1))
    assert (plain.low, plain.high) == ("0", "0.700")
    assert [row["fill"] for row in datasets(plain.figure.spec)[0]] == ["var(--seq-0)", "var(--seq-6)"]
    signed = heat_map(head(-0.7, None), head(0.0, None, 0, 1), head(0.35, None, 0, 2))
    assert (signed.low, signed.high) == ("−0.700", "0.700")
    fills = [row["fill"] for row in datasets(signed.figure.spec)[0]]
    assert fills == ["var(--div-0)", "var(--div-3)", "var(--div-5)"]


def test_heads_within_the_null_fade_and_chosen_heads_are_outlined_on_top():
    cells = datasets(heat_map(head(0.9, 0.1, 1, 1), head(0.05, 0.1, 0, 0)).figure.spec)[0]
    assert [(cell["name"], cell["opacity"], cell["stroke"]) for cell in cells] == [
        ("L0.H0", 0.45, "var(--paper)"), ("L1.H1", 1, "var(--ink)"),
    ]  # fmt: skip


def test_the_null_in_words():
    assert heat_map(head(0.9, 0.1), head(0.05, 0.1, 0, 1)).nulls == "1 of 2 heads lie beyond the null (0.100)."
    assert heat_map(head(0.9, 0.1), head(0.05, 0.2, 0, 1)).nulls == "1 of 2 heads lie beyond the null (0.100 to 0.200)."
    assert heat_map(head(0.9, None)).nulls.startswith("No null")


def test_the_table_of_heads_leaves_gaps_where_nothing_was_scored():
    assert heat_map(head(0.9, None), head(0.5, None, 1, 1)).rows == (("L0", ("0.900", "–")), ("L1", ("–", "0.500")))


def test_all_zero_heads_do_not_divide_by_zero():
    assert heat_map(head(0.0, None)).high == "1"


def effect(**fields) -> EffectRow:
    return EffectRow(**{"arm": "delete", "control": "keep", "metric": "m", "estimate": -0.5} | fields)


def forest_rows(*rows: EffectRow) -> list[dict]:
    data = ReportData(title="t", question="q", effects=rows)
    return datasets(forest.figures(data, Glossary(data))[0].spec)[1]


def test_a_control_is_hollow_and_an_effect_without_interval_is_a_point():
    real, control = forest_rows(effect(), effect(arm="random", low=-0.1, high=0.1, is_control=True))
    assert (real["low"], real["high"]) == (-0.5, -0.5)
    assert real["fill"] == real["color"]
    assert control["fill"] == "var(--paper)"


def test_the_control_is_named_when_there_are_several():
    assert [row["label"] for row in forest_rows(effect(), effect(control="random"))] == [
        "delete − keep", "delete − random",
    ]  # fmt: skip
    assert [row["label"] for row in forest_rows(effect())] == ["delete"]
