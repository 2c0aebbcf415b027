"""Doses, sizes and synthetic text of a made-up study, from its result to the page."""

import math
from dataclasses import replace

import pytest
from mechanism_results import effect, mechanism_result, shift
from report_samples import full

from imprint.report import render_html
from imprint.report.further_answer import further_lines
from imprint.report.further_arms import dose_records, gain_records, is_main, sizes_record
from imprint.report.markdown import render_markdown
from imprint.stats import CategoryEnrichment, Undefined
from imprint.studies import parse_study
from imprint.studies.mechanism.character import Character, PoolCharacter
from imprint.studies.mechanism.gains import Gain
from imprint.studies.mechanism.scales import ScaleFinding

STRENGTH = "induction.prefix_matching"
WIDE = {"config": {"n_embd": 96, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 256}}


def pairs(top, random, keep, low, high):
    """The three rows that a dose needs, and the two of its strength."""
    return [
        shift(top, random, low, high),
        shift(top, random, -0.2, -0.1, metric=STRENGTH),
        shift(random, keep, -0.01, 0.01),
        shift(top, random, -0.03, 0.01, metric="induction.other_heads"),
    ]


@pytest.fixture
def result(tmp_path):
    study = parse_study(
        {
            "interventions": {"fractions": [0.01], "natural": False},
            "scale": "w64",
            "scales": [{"name": "w96", "architecture": WIDE}],
            "augmentation": {"natural": False},
        },
        where="x",
    )
    effects = [
        *pairs("delete_top", "delete_random", "keep", 0.3, 0.5),
        *pairs("delete_top_1pct", "delete_random_1pct", "keep", 0.02, 0.04),
        *pairs("duplicate_top", "duplicate_random", "keep", -0.2, -0.1),
        *pairs("duplicate_top_1pct", "duplicate_random_1pct", "keep", -0.02, 0.02),
        *pairs("delete_top@w96", "delete_random@w96", "keep@w96", 0.1, 0.3),
        shift("delete_smallest@w96", "delete_random@w96", 0.05, 0.15),
    ]
    sizes = [
        ScaleFinding(
            name=name, parameters=size, head="L1.H0", transition=900, window=(600, 1800), strength=0.8, shared_top=shared,
            chance=0.1, cost_seconds=cost,
        )
        for name, size, shared, cost in (("w64", 75_040, 1.0, 9.0), ("w96", 140_208, 0.5, None))
    ]  # fmt: skip
    gain = effect(0.1, 0.2, unit="pipeline seed", n=5)
    gains = [
        Gain(scale="w64", arm="synthetic", step=900, moment="transition", gain=gain),
        Gain(
            scale="w64", arm="synthetic_shuffled", step=900, moment="transition", gain=Undefined(reason="nothing there")
        ),
        Gain(scale="w96", arm="synthetic", step=900, moment="transition", gain=gain),
        Gain(scale="w96", arm="synthetic_smallest", step=900, moment="transition", gain=replace(gain, low=0.14)),
        Gain(scale="w96", arm="synthetic_shuffled", step=900, moment="transition", gain=gain),
    ]
    rows = dict.fromkeys(study.arms, 4) | {"delete_top_1pct": 1}
    cost = Undefined(reason="1 size was timed")
    return mechanism_result(
        tmp_path, study=study, effects=effects, scales=sizes, gains=gains, treated_rows=rows, cost=cost
    )


def test_doses_stand_smallest_first_each_with_its_own_control(result):
    found = {(one.edit, one.fraction): one for one in dose_records(result)}
    assert list(found) == [("delete", 0.01), ("delete", 0.1), ("duplicate", 0.01), ("duplicate", 0.1)]
    assert found["delete", 0.01].delay.low == 0.02
    assert found["delete", 0.01].documents == 1
    assert found["delete", 0.1].delay.low == 0.3
    assert found["duplicate", 0.1].delay.control == "duplicate_random"
    assert found["delete", 0.1].control_delay.control == "keep"


def test_sizes_have_what_was_tried_at_them(result):
    small, large = sizes_record(result).sizes
    assert (small.name, small.delay.low, small.smallest_delay) == ("w64", 0.3, None)
    assert (large.delay.low, large.smallest_delay.low, large.control_delay.control) == (0.1, 0.05, "keep@w96")
    assert sizes_record(result).cost_reason == "1 size was timed"
    assert sizes_record(replace(result, scales=())) is None


def test_only_arms_of_the_own_model_at_the_main_share_are_drawn(result):
    drawn = [is_main(arm, result) for arm in ("delete_top", "keep", "delete_top_1pct", "delete_top@w96")]
    assert drawn == [True, True, False, False]


def test_a_gain_that_is_not_known_says_why(result):
    unknown = next(one for one in gain_records(result) if one.arm == "synthetic_shuffled" and one.size == "w64")
    assert (unknown.gain, unknown.reason) == (None, "nothing there")


def test_the_answer_says_what_was_asked_with_interval_n_and_control(result):
    rows = [("logs", 3.0, 0.001), ("prose", 0.2, 0.001), ("code", 1.5, 0.3)]
    domains = tuple(
        CategoryEnrichment(
            category=name, documents=10, treated=3, enrichment=effect(size - 0.1, size + 0.1), p=q, q=q
        )
        for name, size, q in rows
    )  # fmt: skip
    pool = PoolCharacter(pool="natural documents", documents=30, top=3, comparisons=(), domains=domains, influence={})
    described = replace(result, character=Character(fraction=0.1, pools=(pool,)))
    fed, necessary, sufficient, specific, sizes, synthetic = further_lines(described)
    assert fed.endswith("(control: all of them; n 3): logs x3 [2.90, 3.10].")
    assert len(further_lines(result)) == 5
    assert f"{math.expm1(0.4):+.0%} [{math.expm1(0.3):+.0%}, {math.expm1(0.5):+.0%}]" in necessary
    assert "(n 5)" in necessary
    assert "against random documents" in sufficient
    assert "random +0%" in specific
    assert "other heads" in specific
    assert f"w96 (140\u202f208 parameters) {math.expm1(0.2):+.0%}" in sizes
    assert "the smallest model's documents" in sizes
    assert "w96 +15% [+14%, +20%] at the transition (its words shuffled +15% [+10%, +20%]), n 5" in synthetic
    assert further_lines(replace(result, study=parse_study({}, where="x"), scales=(), gains=())) == ()


def test_a_shift_of_runs_that_ended_too_early_is_a_bound_without_an_interval(result):
    def with_late(late):
        changed = [
            replace(item, censored_arm=late[0], censored_control=late[1])
            if (item.arm, item.control) == ("delete_top", "delete_random")
            else item
            for item in result.effects
        ]
        return further_lines(replace(result, effects=changed))[0]

    shift = f"{math.expm1(0.4):+.0%} (no interval: "
    assert f"at least {shift}2 of delete_top and 0 of delete_random of 5 runs" in with_late((2, 0))
    assert f"at most {shift}" in with_late((0, 1))
    assert f"about {shift}" in with_late((1, 1))
    assert (
        sizes_record(replace(result, effects=[replace(one, censored_arm=1) for one in result.effects])).sizes[0].notes
    )


def test_both_pages_show_them():
    data = full()
    html, text = render_html(data), render_markdown(data)
    for words in ("Across sizes", "Doses", "HAPAX", "Yin and Steinhardt", "w64", "no strength to compare with"):
        assert words in html
        assert words in text
    bare = data.model_copy(update={"doses": (), "sizes": None, "gains": (), "icl": ()})
    for name in ("doses", "sizes", "synthetic", "icl"):
        assert f'<section id="{name}"' in html
        assert f'<section id="{name}"' not in render_html(bare)
