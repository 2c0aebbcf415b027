import numpy as np
import pytest

from imprint.errors import InputError, SelfCheckFailed
from imprint.runs import LocalExecutor, Store, silent
from imprint.stats import Undefined
from imprint.studies.ability_training import AbilityTraining
from imprint.studies.curation import SHARES, ability_guideline, guideline


def simulated(needed, seeds=5, noise=0.05, steep=4.0, seed=0):
    """Ability over shares: a logistic in log share whose half lies at `needed`."""
    rng = np.random.default_rng(seed)
    curve = 1 / (1 + (needed / np.array(SHARES)) ** steep)
    return np.clip(curve[:, None] + noise * rng.normal(size=(len(SHARES), seeds)), 0, 1)


def of(scores, **options):
    return guideline("code", "brackets", SHARES, scores, **options)


def test_the_smallest_share_that_is_enough():
    found = of(simulated(0.03))
    assert found.needed.estimate == 0.05
    assert found.needed.low in SHARES
    assert found.needed.low <= 0.05 <= found.needed.high
    assert found.sentence.startswith(
        "At least 5 % of code for brackets to reach 80 % of its level at 25 %: 2 % was not enough"
    )
    assert "over 5 seeds; 25 runs at 1 %, 2 %, 5 %, 10 %, 25 %; nothing is said outside 1 % to 25 %" in found.sentence


def test_estimates_follow_the_truth():
    found = [of(simulated(needed)).needed.estimate for needed in (0.003, 0.008, 0.03, 0.06)]
    assert found == sorted(found)
    assert found[0] == 0.01


def test_never_below_or_above_what_was_tested():
    least = of(np.ones((5, 3)) * 0.9)
    assert least.needed.estimate == 0.01
    assert "least that was tested, so less may do" in least.sentence
    most = of(simulated(0.2, noise=0.01))
    assert isinstance(most.needed, Undefined)
    assert "only 25 %" in most.sentence
    assert most.sentence.startswith("No guideline of code for brackets")


def test_nothing_learned_gives_no_guideline():
    """The null: scores around chance at every share."""
    rng = np.random.default_rng(0)
    found = [of(0.05 * rng.normal(size=(5, 4))).needed for _ in range(50)]
    assert all(isinstance(one, Undefined) for one in found)


def test_a_share_that_fails_above_does_not_count():
    scores = np.array([0.1, 0.95, 0.3, 0.95, 1.0])[:, None] * np.ones((1, 3))
    assert of(scores).needed.estimate == 0.10


def test_seeds_that_disagree_widen_the_interval():
    early, late = simulated(0.008, seeds=3, noise=0), simulated(0.03, seeds=3, noise=0)
    mixed, agreed = of(np.concatenate([early, late], axis=1)), of(np.concatenate([late, late], axis=1))
    assert agreed.needed.low == agreed.needed.high == 0.05
    assert mixed.needed.low < mixed.needed.high


def test_refuses_what_gives_no_guideline():
    good = simulated(0.03)
    with pytest.raises(InputError, match="at least 3 shares"):
        guideline("code", "brackets", SHARES[:2], good[:2])
    with pytest.raises(InputError, match="ascend"):
        guideline("code", "brackets", SHARES[::-1], good)
    with pytest.raises(InputError, match=r"enough=1\.5"):
        of(good, enough=1.5)
    with pytest.raises(SelfCheckFailed, match="not finite"):
        of(np.where(np.arange(5)[:, None] == 2, np.nan, good))


def test_mixture_runs_that_learn_nothing(tmp_path):
    """Two steps of training: the runs exist, are named, and give no guideline."""
    training = AbilityTraining(steps=2, checkpoint_every=2, batch=4, items=20)
    found = ability_guideline(
        training,
        "brackets",
        shares=(0.05, 0.1, 0.3),
        seeds=2,
        store=Store(tmp_path),
        executor=LocalExecutor(workers=1),
        reporter=silent,
    )
    assert found.scores.shape == (3, 2)
    assert len(set(found.runs)) == 6
    assert isinstance(found.needed, Undefined)
    assert found.as_dict()["kind"] == "code"
    assert "6 runs of 2 steps at 5 %, 10 %, 30 %" in found.sentence
