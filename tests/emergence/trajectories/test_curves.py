"""Curves: what belongs together along each axis, in which order, and what skill leaves out."""

import numpy as np
import polars as pl
import pytest

from imprint.emergence.trajectories import History, curves, known_questions, task_domains, trajectories, truncated
from planted_curves import planted_table, row


def test_a_curve_for_each_family_and_task_in_order_of_size():
    table = trajectories(planted_table(families=2, tasks=3, sizes=4)[::-1])
    found = curves(table, "params")
    assert len(found) == 6
    assert all((np.diff(curve.x) > 0).all() and len(curve) == 4 for curve in found)


def test_along_sizes_only_the_last_checkpoint_counts_along_tokens_each_model_is_a_line():
    rows = [
        row(model=f"m-{size:g}", params=size, tokens=tokens, score=score)
        for size, scores in ((1e7, (0.3, 0.4)), (1e8, (0.35, 0.6)))
        for tokens, score in zip((1e9, 2e9), scores, strict=True)
    ]
    table = trajectories(pl.DataFrame(rows))
    (sizes,) = curves(table, "params")
    assert sizes.z == pytest.approx([0.2, (0.6 - 0.25) / 0.75])
    time = curves(table, "tokens")
    assert [curve.size for curve in time] == pytest.approx([7.0, 8.0])
    assert time[0].kin != time[1].kin


def test_budgets_of_one_size_are_lines_of_their_own():
    rows = [
        row(model=f"m-{size:g}-{ratio}", params=size, tokens=size * ratio, score=0.3 + ratio / 1000 + size / 1e10)
        for size in (1e7, 1e8, 1e9)
        for ratio in (5, 20, 80)
    ]
    found = curves(trajectories(pl.DataFrame(rows)), "params")
    assert [len(curve) for curve in found] == [3, 3, 3]
    assert len({curve.line for curve in found}) == 3
    assert len({curve.kin for curve in found}) == 1


def test_variants_of_a_model_are_not_one_curve():
    rows = [
        row(model=f"m-{s:g}{kind}", params=s, score=0.3 + k / 10 + s / 1e10)
        for s in (1e7, 1e8)
        for k, kind in enumerate(("", "-chat"))
    ]
    assert len(curves(trajectories(pl.DataFrame(rows)), "params")) == 2


def test_domains_are_first_words_that_several_tasks_share():
    found = task_domains(["mmlu_a", "mmlu_b", "mmlu-c", "mmlu:d", "piqa", "arc_easy"])
    assert found["mmlu-c"] == "mmlu"
    assert found["piqa"] == found["arc_easy"] == "other"


def test_questions_are_about_abilities_not_yet_there():
    found = curves(trajectories(planted_table(noise=False)), "params")
    asked = known_questions(found)
    assert asked
    assert not any(found[q.curve].emerged[: q.count].any() for q in asked)
    assert all(q.horizon > found[q.curve].x[q.count - 1] for q in asked)
    assert len(known_questions(found, most=10, seed=1)) == 10


def test_skill_leaves_the_asked_task_out():
    found = curves(trajectories(planted_table(families=1, tasks=3, sizes=4)), "params")
    mean, _ = History.of(found).skills[found[0].line].without(found[0])
    assert mean == pytest.approx((found[1].z + found[2].z) / 2)


def test_truncation_keeps_what_lies_within():
    found = curves(trajectories(planted_table(families=1, tasks=2, sizes=4)), "params")
    assert [len(curve) for curve in truncated(found, np.log10(3e7))] == [2, 2]
    assert truncated(found, 1.0) == ()
