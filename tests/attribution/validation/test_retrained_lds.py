import numpy as np
import pytest
from linear_world import ROWS, LinearWorld, draw, influence

from imprint.attribution.validation import Retrained, half_subsets, retrain_without, small_drops
from imprint.errors import InputError
from imprint.runs import LocalExecutor, Store

HERE = LocalExecutor(workers=1)


def retrained(folder, subsets, noise=0.0, seeds=2):
    values = retrain_without(
        LinearWorld(noise=noise), subsets.dropped, range(seeds), Store(folder), HERE, stage="retrain", together=50
    )
    return Retrained(subsets=subsets, values=values)


def test_influence_is_nearly_the_oracle_of_small_drops_and_less_of_halves(tmp_path):
    scores = influence(draw())
    small = retrained(tmp_path, small_drops(ROWS, 40, dropped=1, seed=0)).lds(scores)
    half = retrained(tmp_path, half_subsets(ROWS, 40, seed=0)).lds(scores)
    assert small.estimate > 0.97
    assert 0.5 < half.estimate < small.estimate
    assert "small drop" in small.control
    assert "half" in half.control


def test_the_wrong_sign_is_found_out(tmp_path):
    found = retrained(tmp_path, small_drops(ROWS, 40, dropped=2, seed=0))
    scores = influence(draw())
    assert found.lds(-scores).estimate == pytest.approx(-found.lds(scores).estimate)
    assert found.lds(-scores).high < -0.8


def test_own_run_and_other_seeds_are_kept_apart(tmp_path):
    found = retrained(tmp_path, small_drops(ROWS, 40, dropped=2, seed=0), noise=0.05, seeds=3)
    assert np.array_equal(found.own, found.values[0])
    np.testing.assert_allclose(found.others, found.values[1:].mean(0))
    oracle = found.own.T @ np.linalg.pinv(found.subsets.kept.T.astype(float))
    assert found.lds(oracle).estimate > 0.9
    assert found.lds(oracle, seeds="others").estimate < 0.7
    assert found.ceiling().seeds == 3


def test_a_lead_is_paired(tmp_path):
    found = retrained(tmp_path, small_drops(ROWS, 40, dropped=2, seed=0))
    scores = influence(draw())
    noisy = scores + scores.std() * np.random.default_rng(0).standard_normal(scores.shape)
    lead = found.lead(scores, noisy, control_name="noisy")
    assert lead.low > 0
    assert lead.control == "noisy"
    by_query = found.lds_by_query(scores) - found.lds_by_query(noisy)
    assert lead.estimate == pytest.approx(by_query.mean())


def test_values_of_other_subsets_are_refused():
    with pytest.raises(InputError, match="do not fit"):
        Retrained(subsets=half_subsets(10, 4, seed=0), values=np.zeros((2, 3, 1)))
