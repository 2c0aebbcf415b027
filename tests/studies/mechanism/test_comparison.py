import numpy as np
import polars as pl
import pytest
from study_tables import STEPS, dated, trajectories

from imprint.corpus import FileCorpus
from imprint.mechanisms import TRAJECTORY_FILE, ProbeOptions
from imprint.studies.mechanism.arms import Arm
from imprint.studies.mechanism.comparison import (
    compare_arms,
    copying_bar,
    curve,
    find_onsets,
    read_trajectories,
    values,
)

SEEDS = range(4)
ROWS = FileCorpus(paths=())
ARMS = [
    Arm(name="delete_top", kind="delete", rows=ROWS, control="delete_random"),
    Arm(name="delete_random", kind="delete", rows=ROWS, control="keep", is_control=True),
]
KEEP = {("keep", seed): 200 for seed in SEEDS}
RANDOM = {("delete_random", seed): 200 for seed in SEEDS}


def effects(table, onsets, arms=ARMS, seeds=SEEDS):
    return {(item.arm, item.control, item.metric): item for item in compare_arms(table, onsets, arms, list(seeds))}


def test_runs_become_one_table(tmp_path):
    for name, value in (("a", 1.0), ("b", 2.0)):
        (tmp_path / name).mkdir()
        pl.DataFrame({"step": [0, 5], "metric": ["m", "m"], "value": [0.0, value]}).write_parquet(
            tmp_path / name / TRAJECTORY_FILE
        )
    table = read_trajectories({("keep", 0): tmp_path / "a", ("edit", 3): tmp_path / "b"})
    assert table.columns == ["arm", "seed", "step", "metric", "value"]
    assert table.rows()[1] == ("keep", 0, 5, "m", 1.0)
    assert curve(table, "edit", 3, "m") == ([0, 5], [0.0, 2.0])
    assert curve(table, "edit", 0, "m") == ([], [])


def test_curves_are_in_order_of_steps():
    table = trajectories({("keep", 0): 400}).sample(fraction=1.0, shuffle=True, seed=1)
    assert curve(table, "keep", 0, "induction.prefix_matching") == (list(STEPS), [0.02, 0.02, 0.8, 0.8])


def test_the_copying_bar_counts_every_copied_token():
    options = ProbeOptions(alphabet=tuple(range(1, 51)), rows=8)
    probes = options.build(64)
    chance, items = copying_bar(options, 64)
    assert chance == 1 / 50
    assert items == sum(probe.tokens[:, probe.query].numel() for probe in probes)


def test_onsets_are_found_between_checkpoints_and_censored_ones_are_said():
    found = find_onsets(trajectories(KEEP | {("delete_top", 0): 400, ("delete_top", 1): None}), chance=0.01, items=1000)
    assert 100 < found["keep", 0].step < 200
    assert 200 < found["delete_top", 0].step < 400
    assert (found["delete_top", 1].step, found["delete_top", 1].censored) == (800.0, True)


def test_an_arm_is_dated_by_the_threshold_of_its_own_untouched_run():
    """A head of half the strength does not count as early; each seed has its own bar."""
    table = trajectories({("keep", 0): 200, ("edit", 0): 200, ("keep", 1): 200, ("edit", 1): 200})
    weaker = pl.when(
        (pl.col("arm") == "edit") & (pl.col("seed") == 0) & (pl.col("metric") == "induction.prefix_matching")
    ).then(pl.col("value") * 0.45)
    found = find_onsets(table.with_columns(weaker.otherwise(pl.col("value")).alias("value")), chance=0.01, items=1000)
    assert found["edit", 0].censored
    assert not found["edit", 1].censored
    assert not found["keep", 0].censored


def test_one_number_a_seed():
    table = trajectories(KEEP, final={("keep", seed): float(seed) for seed in SEEDS})
    onsets = dated({("keep", seed): 100 + seed for seed in SEEDS})
    assert values(table, onsets, "keep", "onset", [2, 0]).tolist() == [np.log(102), np.log(100)]
    assert values(table, onsets, "keep", "icl.olsson", [2, 0]).tolist() == [2.0, 0.0]


def test_effects_are_paired_by_seed():
    """Seeds differ by factors of two; the arm is exactly 10 % later in each, so the interval has no width."""
    onsets = dated(
        {("keep", s): 100 * 2**s for s in SEEDS}
        | {("delete_random", s): 100 * 2**s for s in SEEDS}
        | {("delete_top", s): 110 * 2**s for s in SEEDS}
    )
    table = trajectories(KEEP | RANDOM | {("delete_top", s): 400 for s in SEEDS})
    item = effects(table, onsets)["delete_top", "delete_random", "onset"]
    assert item.effect.estimate == pytest.approx(np.log(1.1))
    assert item.effect.high - item.effect.low < 1e-9
    assert (item.effect.n, item.effect.unit, item.effect.control) == (4, "pipeline seed", "delete_random")
    assert item.p == 2 / 2**4
    assert item.note == ""


def test_swapping_two_seeds_of_one_arm_is_not_the_same_comparison():
    steps = {("keep", s): 100 * 2**s for s in SEEDS} | {("delete_random", s): 100 * 2**s for s in SEEDS}
    table = trajectories(KEEP | RANDOM)
    paired = effects(table, dated(steps), ARMS[1:])["delete_random", "keep", "onset"]
    mixed = dated(steps | {("delete_random", 0): 800, ("delete_random", 3): 100})
    crossed = effects(table, mixed, ARMS[1:])["delete_random", "keep", "onset"]
    assert paired.effect.estimate == crossed.effect.estimate == 0.0
    assert not paired.effect.has_width
    assert crossed.effect.has_width


def test_every_arm_is_compared_with_its_control_and_with_the_untouched_runs():
    runs = KEEP | RANDOM | {("delete_top", s): 400 for s in SEEDS}
    table, onsets = trajectories(runs), find_onsets(trajectories(runs), chance=0.01, items=1000)
    found = effects(table, onsets)
    assert {key[:2] for key in found} == {
        ("delete_top", "delete_random"),
        ("delete_top", "keep"),
        ("delete_random", "keep"),
    }
    assert {key[2] for key in found} == {
        "onset",
        "induction.prefix_matching",
        "copy.accuracy",
        "icl.olsson",
        "loss.heldout",
    }
    assert all(item.is_control == (item.arm == "delete_random") for item in found.values())


def test_final_metrics_are_those_of_the_last_checkpoint():
    runs = KEEP | RANDOM
    final = {("delete_random", s): 1.5 + 0.1 * s for s in SEEDS} | {("keep", s): 0.1 * s for s in SEEDS}
    found = effects(trajectories(runs, final), dated(runs), ARMS[1:])
    assert found["delete_random", "keep", "loss.heldout"].effect.estimate == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("late_arm", "late_control", "bound"),
    [(0, 0, ""), (2, 0, "at least this"), (0, 1, "at most this"), (1, 1, "unknown")],
)
def test_runs_that_ended_before_emergence_are_counted_and_bound_the_shift(late_arm, late_control, bound):
    steps = {("delete_top", s): (800,) if s < late_arm else 400 for s in SEEDS}
    steps |= {("delete_random", s): (800,) if s < late_control else 200 for s in SEEDS}
    found = effects(trajectories(KEEP | RANDOM | {("delete_top", s): 400 for s in SEEDS}), dated(steps | KEEP))
    item = found["delete_top", "delete_random", "onset"]
    assert (item.censored_arm, item.censored_control) == (late_arm, late_control)
    assert item.note.endswith(f"the shift is {bound}") if bound else item.note == ""
    other = found["delete_top", "delete_random", "icl.olsson"]
    assert (other.censored_arm, other.censored_control, other.note) == (0, 0, "")
