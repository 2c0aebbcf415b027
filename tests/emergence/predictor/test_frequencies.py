"""Frequencies: exact on three curves, blind to the curve left out, and nearer the truth than the share of states."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from imprint.emergence.predictor.frequencies import FAR, PRIOR_CURVES, Frequencies
from imprint.emergence.trajectories import curves, known_questions, trajectories
from planted_curves import planted_table, row


def two_points(scores):
    """Curves of one task in families of their own: not there at 10M, the given score at 100M."""
    rows = [
        row(family=f"f{place}", params=size, task="t", score=score, chance=0.0)
        for place, after in enumerate(scores)
        for size, score in ((1e7, 0.0), (1e8, after))
    ]
    return Frequencies.of(curves(trajectories(pl.DataFrame(rows)), "params"))


def test_the_share_of_one_task_by_hand():
    """Two of three emerge; one question a curve, right at the scales that are asked about."""
    found = two_points((0.9, 0.8, 0.0))
    general = (2 + 0.5 * PRIOR_CURVES) / (3 + PRIOR_CURVES)
    domain = (2 + general * PRIOR_CURVES) / (3 + PRIOR_CURVES)
    task = (2 + domain * PRIOR_CURVES) / (3 + PRIOR_CURVES)
    p, low, high = found.at(task="t", family="new", shots=0.0, origin=7.0, horizon=8.0)
    assert p == pytest.approx(task, abs=FAR)
    assert low < p < high


def test_a_curve_left_out_says_nothing():
    whole, flipped = two_points((0.9, 0.8, 0.0)), two_points((0.9, 0.8, 0.9))
    question = {"task": "t", "family": "f2", "shots": 0.0, "origin": 7.0, "horizon": 8.0}
    assert whole.at(**question, without=2) == flipped.at(**question, without=2)
    assert whole.at(**question) != flipped.at(**question)


def test_a_family_in_which_more_emerges_is_given_more():
    table = planted_table(families=3, tasks=24, sizes=7, seed=3)
    able = table.with_columns(
        score=pl.when((pl.col("family") == "f2") & (pl.col("params") > 5e8)).then(0.99).otherwise(pl.col("score"))
    )
    found = Frequencies.of(curves(trajectories(able), "params"))
    said = [found.at(task="new", family=f"f{place}", shots=0.0, origin=8.0, horizon=9.5)[0] for place in (0, 2)]
    assert said[1] > said[0] + 0.1


def test_only_what_had_not_emerged_is_counted():
    """What is there everywhere from the start is no question, and must not raise the answer."""
    easy = [row(family="f", params=size, task=f"easy{k}", score=0.95) for k in range(30) for size in (1e7, 1e8)]
    hard = [row(family="f", params=size, task=f"hard{k}", score=0.25) for k in range(30) for size in (1e7, 1e8)]
    hard[1] = hard[1] | {"score": 0.9}
    found = Frequencies.of(curves(trajectories(pl.DataFrame(easy + hard)), "params"))
    assert found.at(task="new", family="f", shots=0.0, origin=7.0, horizon=8.0)[0] < 0.1


def test_an_unseen_family_is_answered_better_than_by_the_base_rate():
    whole = curves(trajectories(planted_table(families=4, tasks=30, sizes=7, seed=5)), "params")
    known = tuple(curve for curve in whole if curve.family != "f3")
    found = Frequencies.of(known)
    asked = [(curve, q) for curve in whole if curve.family == "f3" for q in known_questions([curve], fewest=1)]
    truth = np.array([q.emerged for _, q in asked], dtype=float)
    said = np.array(
        [
            found.at(task=c.task, family=c.family, shots=c.shots, origin=float(c.x[q.count - 1]), horizon=q.horizon)[0]
            for c, q in asked
        ]
    )
    base = np.mean([q.emerged for q in known_questions(known, fewest=1)])
    assert np.mean((said - truth) ** 2) < 0.7 * np.mean((base - truth) ** 2)


def test_an_empty_history_knows_nothing():
    empty = dataclasses.replace(
        two_points((0.9,)),
        **{
            field: np.array([], dtype=getattr(two_points((0.9,)), field).dtype)
            for field in ("origin", "horizon", "emerged", "curve", "task", "domain", "family", "shots")
        },
    )
    assert empty.at(task="t", family="f", shots=None, origin=7.0, horizon=8.0) == (0.5, 0.0, 1.0)
