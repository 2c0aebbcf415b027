import numpy as np
import polars as pl
import pytest
from tiny_studies import bytes_of

from imprint.attribution import BASELINES
from imprint.mechanisms import HEADS_FILE, TRAJECTORY_FILE
from imprint.runs import LocalExecutor
from imprint.studies import calibration
from imprint.studies.calibration import GATE, OTHER, RIGHT, WRONG, CalibrationOptions, calibrate

HERE = LocalExecutor(workers=1)
BRIEF = CalibrationOptions(
    steps=20, batch=8, checkpoint_every=10, scored_rows=120, seeds=2, attribution_seeds=1, retraining=True
)
DELETED = ("delete the cause", "delete as many random rows")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("calibration")


@pytest.fixture(scope="module")
def rows(folder):
    """A scorecard of models that have learned nothing."""
    return calibrate(folder, BRIEF, executor=HERE)


def gated(rows, world="hard negatives"):
    return [row for row in rows if row.gate and row.world == world]


def test_a_row_is_what_json_promises(rows):
    for row in rows:
        plain = row.as_dict()
        assert list(plain) == ["world", "method", "question", "metric", "value", "gate", "passed"]
        assert isinstance(plain["value"], float)
        assert np.isfinite(plain["value"])
        assert plain["passed"] in (True, False, None)
        assert (plain["passed"] is None) == (plain["gate"] == "")


def test_every_method_is_asked_and_the_right_and_the_wrong_have_gates(rows):
    lowest = {row.method: row.gate for row in rows if row.metric == "lowest AUC"}
    assert set(lowest) == {*RIGHT, *WRONG, *OTHER}
    assert {method for method, gate in lowest.items() if gate == f">= {GATE}"} == set(RIGHT[:2])
    assert {method for method, gate in lowest.items() if gate == f"< {GATE}"} == set(WRONG)
    assert set(BASELINES) <= {*WRONG, *OTHER}
    assert {row.method for row in rows if row.metric == "relative delay"} == set(DELETED)


def test_the_lowest_auc_is_the_lower_of_the_two(rows):
    for method in (*RIGHT, *WRONG, *OTHER):
        against = [
            row.value for row in rows if row.method == method and row.metric == "AUC" and "against" in row.question
        ]
        (lowest,) = [row.value for row in rows if row.method == method and row.metric == "lowest AUC"]
        assert len(against) == 2
        assert lowest == min(against)


def test_models_that_learned_nothing_miss_the_gates(rows):
    """The mutation of the whole scorecard: nothing about the cause may pass when there is no head."""
    missed = {(row.method, row.metric) for row in gated(rows) if not row.passed}
    assert {(method, "lowest AUC") for method in RIGHT[:2]} <= missed
    assert {(method, "relative delay") for method in DELETED} <= missed
    assert all(
        row.question.endswith("; 2 untouched runs ended before emergence")
        for row in rows
        if row.metric == "relative delay"
    )


def test_exact_answers_pass_without_any_training(rows):
    exact = [row for row in rows if row.world != "hard negatives"]
    assert len(exact) == 10
    assert all(row.passed for row in exact)


def test_the_same_folder_is_answered_from_its_store(rows, folder):
    before = bytes_of(folder, manifests=True)
    assert calibrate(folder, BRIEF, executor=HERE) == rows
    assert bytes_of(folder, manifests=True) == before


def trained(folder, strength, copying, heads=((1, 2, 0.9),)):
    """A measured run by hand: its strength and copying at steps 0, 100, ..., and its heads at the last step."""
    folder.mkdir()
    steps = [100 * index for index in range(len(strength))]
    table = [
        {"step": step, "metric": name, "value": value}
        for name, values in (("induction.prefix_matching", strength), ("copy.accuracy", copying))
        for step, value in zip(steps, values, strict=True)
    ]
    pl.DataFrame(table).write_parquet(folder / TRAJECTORY_FILE)
    found = [
        {"step": steps[-1], "layer": layer, "head": head, "induction.prefix_matching": value}
        for layer, head, value in heads
    ]
    pl.DataFrame(found).write_parquet(folder / HEADS_FILE)
    return folder


def test_influence_is_taken_early_inside_the_transition(tmp_path):
    heads = [(0, 3, 0.99), (1, 1, 0.2), (1, 2, 0.9)]
    folder = trained(tmp_path / "run", [0.02, 0.03, 0.12, 0.5, 0.9, 0.16], [0.0] * 6, heads)
    assert calibration._early_transition(folder) == (200, "L1.H2")


def arm_rows(tmp_path, name, kept, edited):
    world = calibration._World.hard_negatives(CalibrationOptions())

    def folders(label, onsets):
        return [
            trained(
                tmp_path / f"{label}{seed}",
                [0.8 if when is not None and 100 * step >= when else 0.01 for step in range(16)],
                [0.9 if when is not None and 100 * step >= when else 0.0 for step in range(16)],
            )
            for seed, when in enumerate(onsets)
        ]

    before, after = folders("kept", kept), folders("edited", edited)
    dated = [
        [calibration._onset(mine, reference, world) for mine, reference in zip(these, before, strict=True)]
        for these in (before, after)
    ]
    row, final, p = calibration._arm_rows(world, name, *dated, after)
    return row, final, p


@pytest.mark.parametrize(
    ("name", "kept", "edited", "passed"),
    [
        (DELETED[0], [700, 800, 800], [None, None, None], True),
        (DELETED[0], [700, 800, 800], [1000, 1200, 1100], True),
        (DELETED[0], [700, 800, 800], [700, 800, 900], False),
        (DELETED[0], [700, 800, None], [None, None, None], False),
        (DELETED[1], [700, 800, 800], [700, 800, 800], True),
        (DELETED[1], [700, 800, 800], [800, 800, 800], True),
        (DELETED[1], [700, 800, 800], [1000, 1200, 1100], False),
        (DELETED[1], [700, 800, 800], [500, 600, 600], False),
        (DELETED[1], [1400, 1400, 1400], [None, None, None], False),
    ],
)
def test_what_deleting_the_cause_and_random_rows_must_do(tmp_path, name, kept, edited, passed):
    row, final, p = arm_rows(tmp_path, name, kept, edited)
    assert row.passed is passed
    assert (final.value < 0.1) == (edited == [None] * 3)
    assert p.value >= 1 / 8


@pytest.mark.slow
def test_the_planted_cause_is_found_and_every_wrong_method_fails(tmp_path):
    """AT-MDA-4 with hard negatives, two seeds trained through the transition (two minutes or so)."""
    rows = calibrate(tmp_path, CalibrationOptions(retraining=False), executor=HERE)
    assert [(row.method, row.question, row.value) for row in rows if row.passed is False] == []
    assert len(gated(rows)) == 2 * (len(RIGHT[:2]) + len(WRONG) + 2)
