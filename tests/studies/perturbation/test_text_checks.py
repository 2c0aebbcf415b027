"""Own text against other text, on rises that are written down."""

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
