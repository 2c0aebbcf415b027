import numpy as np
import pytest
from planted_runs import measured

from imprint.attribution import Attribution
from imprint.corpus import Packed
from imprint.interventions.data import load_rows
from imprint.runs import Store
from imprint.studies.planted_retraining import _arm_rows, _arms, _branch, _onset, _ranked_arms
from imprint.studies.planted_training import PlantedTraining

TRAINING = PlantedTraining.of("ord2", steps=10, checkpoint_every=5)
ALL, TENTH, RANDOM = (0, 1, 2)


def test_the_rows_of_every_arm(tmp_path):
    store = Store(tmp_path)
    domains = Packed.load(store.get(TRAINING.rows)).row_domains
    every, tenth, random = (load_rows(store.get(arm.rows)) for arm in _arms(TRAINING))
    assert np.array_equal(every, np.flatnonzero(domains == "novel repeats"))
    assert len(tenth) == len(random) == round(0.1 * len(domains))
    assert set(tenth) <= set(every)
    assert len(set(random)) == len(random)
    share = (domains[random] == "novel repeats").mean()
    assert 0.1 < share < 0.5  # as the corpus itself, about .3
    for rows in (tenth, random):
        assert np.array_equal(rows, np.sort(rows))


def test_a_branch_deletes_to_the_end_of_its_own_run():
    run = TRAINING.run(3)
    found = _branch(run, _arms(TRAINING)[0].rows, 5)
    assert (found.trunk, found.first_step, found.last_step, found.seed) == (run, 5, 10, 3)
    assert (found.stream.first, found.stream.last, found.stream.kind) == (5, 10, "delete")


def judged(tmp_path, arm, kept, edited):
    """The scorecard rows of an arm whose runs emerge at given steps (None: never)."""

    def folders(label, onsets):
        return [
            measured(
                tmp_path / f"{label}{seed}",
                [0.8 if when is not None and 100 * step >= when else 0.01 for step in range(16)],
                [0.9 if when is not None and 100 * step >= when else 0.0 for step in range(16)],
            )
            for seed, when in enumerate(onsets)
        ]

    before, after = folders("kept", kept), folders("edited", edited)
    dated = [
        [_onset(mine, reference, TRAINING) for mine, reference in zip(these, before, strict=True)]
        for these in (before, after)
    ]
    return _arm_rows(TRAINING, _arms(TRAINING)[arm], *dated, after)


NEVER = [None, None, None]


@pytest.mark.parametrize(
    ("arm", "kept", "edited", "passed"),
    [
        (ALL, [700, 800, 800], NEVER, True),
        (ALL, [700, 800, 800], [1000, 1200, 1100], False),
        (ALL, [700, 800, None], NEVER, False),
        (TENTH, [700, 800, 800], [1000, 1200, 1100], True),
        (TENTH, [700, 800, 800], NEVER, True),
        (TENTH, [700, 800, 800], [700, 900, 900], False),
        (TENTH, [700, None, 800], [1000, 1200, 1100], False),
        (RANDOM, [700, 800, 800], [700, 800, 800], True),
        (RANDOM, [700, 800, 800], [800, 800, 800], True),
        (RANDOM, [700, 800, 800], [1000, 1200, 1100], False),
        (RANDOM, [700, 800, 800], [500, 600, 600], False),
        (RANDOM, [1400, 1400, 1400], NEVER, False),
        (RANDOM, NEVER, NEVER, False),
    ],
)
def test_what_each_arm_must_do(tmp_path, arm, kept, edited, passed):
    rows = judged(tmp_path, arm, kept, edited)
    (gated,) = [row for row in rows if row.passed is not None]
    assert gated.gate
    assert gated.passed is passed


def test_what_is_said_of_an_arm(tmp_path):
    shift, final, p = judged(tmp_path, TENTH, [700, 800, 800], [1000, None, None])
    assert shift.question.startswith("shift of emergence over 3 seeds [")
    assert shift.question.endswith("], 2 never emerged")
    assert shift.value == pytest.approx(np.expm1(np.mean(np.log([950 / 650, 1500 / 750, 1500 / 750]))), rel=0.05)
    assert final.value == pytest.approx((0.8 + 0.01 + 0.01) / 3)
    assert p.value == 1 / 8


def test_a_control_of_the_same_loss_holds_none_of_the_cause(tmp_path):
    store = Store(tmp_path)
    run = TRAINING.run(0)
    step = TRAINING.checkpoint_every
    scored = Attribution(run=run, step=step, packed=TRAINING.rows, head="L1.H0", probe=TRAINING.probe)
    top, innocent = (load_rows(store.get(arm.rows)) for arm in _ranked_arms(scored))
    domains = Packed.load(store.get(TRAINING.rows)).row_domains
    losses = np.load(store.get(scored) / "losses.npy")
    assert len(top) == len(innocent) == len(set(innocent)) == round(0.1 * len(domains))
    assert not (domains[innocent] == "novel repeats").any()
    assert not set(innocent) & set(top)
    others = np.setdiff1d(np.flatnonzero(domains != "novel repeats"), top)
    gap = abs(losses[innocent].mean() - losses[top].mean())
    assert gap <= abs(losses[others].mean() - losses[top].mean())
