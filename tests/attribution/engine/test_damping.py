import pytest
from attribution_models import ragged_rows, tiny

from imprint.attribution.engine import EkfacOptions, influence, likelihood_queries, whole_model


def checks(sweep):
    model = tiny()
    options = EkfacOptions(labels="data", damping_sweep=sweep)
    asked = likelihood_queries(*ragged_rows(2, seed=8))
    scores, _ = influence(model, whole_model(model), asked, *ragged_rows(60), options, seed=0, by_token=False)
    return scores.checks


def test_the_damping_in_use_agrees_with_itself_and_a_far_one_less():
    found = checks((0.1, 0.2, 1e4))
    assert found["damping/0.1"] == pytest.approx(1.0)
    assert 1.0 > found["damping/0.2"] > found["damping/10000"] > 0


def test_none_is_taken_unasked():
    assert not any(name.startswith("damping") for name in checks(()))
