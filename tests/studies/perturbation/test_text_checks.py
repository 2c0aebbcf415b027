"""Own text against other text, on rises that are written down."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from imprint.runs import write_json
from imprint.studies.perturbation.text_checks import TextCheck, own_against_others, read_losses


def check(cluster, own, other, control=0.0, documents=8):
    rises = {
        (name, number): ((own if name == cluster else other) + 0.01 * number, control)
        for name in ("code", "prose")
        for number in range(documents)
    }
    return TextCheck(cluster=cluster, family="ablation", dose=1.0, rises=rises, changes={})


def test_own_and_general_text_are_told_apart():
    found = check("code", own=0.5, other=0.1)
    assert found.own(seed=0).estimate == pytest.approx(0.535)
    assert found.general(seed=0).estimate == pytest.approx(0.135)
    assert found.beyond_control(seed=0).estimate == pytest.approx(0.535)
    assert found.own(seed=0).n == 8


def test_the_same_text_stands_on_both_sides():
    own, others = own_against_others([check("code", 0.5, 0.1), check("prose", 0.3, 0.2)])
    assert len(own) == len(others) == 16
    assert own.mean() - others.mean() == pytest.approx((0.5 - 0.2 + 0.3 - 0.1) / 2)


def test_a_fragile_text_does_not_make_a_perturbation_specific():
    """Twice the control's rise everywhere is a stronger perturbation, not one that knows its cluster."""
    both = {"code": (1.0, 0.5), "prose": (0.5, 0.0)}
    rises = {(name, number): rise for name, rise in both.items() for number in range(8)}
    found = TextCheck(cluster="code", family="ablation", dose=1.0, rises=rises, changes={})
    assert found.own(seed=0).low > found.general(seed=0).high
    assert not found.passed
    assert check("code", own=0.5, other=0.1).passed


def test_a_family_that_one_cluster_lacks_is_not_compared_with_another_kind():
    shift = [dataclasses.replace(check(name, 1.0, 1.0), family="shift") for name in ("code", "prose")]
    own, others = own_against_others([*shift, check("prose", 0.1, 0.1)])
    np.testing.assert_allclose(own, others)


def test_a_perturbation_that_harms_all_text_alike_is_not_specific():
    own, others = own_against_others([check("code", 0.4, 0.4), check("prose", 0.4, 0.4)])
    np.testing.assert_allclose(own, others)


def test_passages_of_one_source_are_one_unit(tmp_path):
    frame = {
        "cluster": ["code"] * 4,
        "source": [0, 0, 0, 1],
        "before": [1.0] * 4,
        "after": [2.0, 2.0, 2.0, 4.0],
        "control": [1.0] * 4,
    }
    pl.DataFrame(frame).write_parquet(tmp_path / "losses.parquet")
    write_json(tmp_path / "changes.json", {})

    found = read_losses(tmp_path, cluster="code", family="shift", dose=2.0)
    assert found is not None
    assert found.own(seed=0).estimate == pytest.approx(2.0)
