import linear_world
import numpy as np
import pytest
from linear_world import LinearWorld, draw, values

from imprint.attribution.validation import Retrain, retrain_without
from imprint.errors import ConfigError, SelfCheckFailed
from imprint.runs import LocalExecutor, Store

HERE = LocalExecutor(workers=1)
SETS = [(0, 1), (2,), (0, 1), ()]


@pytest.fixture
def calls(monkeypatch):
    found = []
    monkeypatch.setattr(linear_world, "CALLS", found)
    return found


def test_values_are_those_of_the_rows_that_stay(tmp_path):
    found = retrain_without(LinearWorld(), SETS, [0, 1], Store(tmp_path), HERE, stage="retrain")
    assert found.shape == (2, 4, linear_world.QUERIES)
    for place, rows in enumerate(SETS):
        kept = np.setdiff1d(np.arange(linear_world.ROWS), rows)
        np.testing.assert_allclose(found[1, place], values(draw(), kept))


def test_equal_sets_are_trained_once_and_nothing_is_trained_twice(tmp_path, calls):
    store = Store(tmp_path)
    first = retrain_without(LinearWorld(), SETS, [0, 1], store, HERE, stage="retrain", together=2)
    assert len(calls) == len(set(calls)) == 6
    again = retrain_without(LinearWorld(), SETS, [0, 1], store, HERE, stage="retrain", together=2)
    assert len(calls) == 6
    assert np.array_equal(first, again)


def test_a_killed_run_goes_on_where_it_was(tmp_path, calls):
    store = Store(tmp_path)
    whole = retrain_without(LinearWorld(), SETS, [0], Store(tmp_path / "other"), HERE, stage="retrain", together=1)
    retrain_without(LinearWorld(), SETS[:2], [0], store, HERE, stage="retrain", together=1)
    del calls[:]
    found = retrain_without(LinearWorld(), SETS, [0], store, HERE, stage="retrain", together=1)
    assert calls == [(0, ())]
    assert np.array_equal(found, whole)


def test_the_world_is_part_of_the_key():
    steps = [Retrain(world=LinearWorld(noise=noise), dropped=((1,),), seed=0) for noise in (0.0, 0.1)]
    assert steps[0].key != steps[1].key
    assert steps[0].key != steps[0].model_copy(update={"dropped": ((2,),)}).key
    assert steps[0].key != steps[0].model_copy(update={"seed": 1}).key


def test_one_set_has_one_name():
    with pytest.raises(ValueError, match="ascending"):
        Retrain(world=LinearWorld(), dropped=((2, 1),), seed=0)


def test_a_retraining_that_diverged_is_refused(tmp_path):
    with np.errstate(divide="ignore"), pytest.raises(SelfCheckFailed, match="diverged"):
        retrain_without(LinearWorld(diverges=True), [(1,)], [0], Store(tmp_path), HERE, stage="retrain")


def test_nothing_to_train_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least one"):
        retrain_without(LinearWorld(), [], [0], Store(tmp_path), HERE, stage="retrain")
