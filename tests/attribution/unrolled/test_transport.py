import pytest
import torch
from unrolled_runs import DRAWN, four_stages, likelihood, one_stage

from imprint.attribution.engine.queries import Query
from imprint.attribution.unrolled import Sgd, Stage, Training, parameters_of, tracin_scores
from imprint.attribution.unrolled.planted import LinearModel, SquaredError
from imprint.errors import ConfigError


def regression(rate, rows=40, inputs=6, outputs=3, epochs=3):
    """One example at a time, in order, for some epochs; the query is minus the loss of an unseen example (AT-IF-4)."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(outputs, inputs, generator=generator, dtype=torch.float64)
    mixing = 0.5 * torch.randn(inputs, inputs, generator=generator, dtype=torch.float64)
    x = torch.randn(rows + 1, inputs, generator=generator, dtype=torch.float64) @ mixing
    y = x @ truth.T
    y[:-1] += 0.3 * torch.randn(rows, outputs, generator=generator, dtype=torch.float64)
    data = SquaredError(inputs=x[:-1], targets=y[:-1])
    batches = torch.arange(rows).repeat(epochs)[:, None]
    stage = Stage(name="one by one", objective=data, batches=batches, optimiser=Sgd(learning_rate=rate))
    model = LinearModel(inputs, outputs)
    query = Query(name="unseen", measure=lambda held: -(held(x[-1:]) - y[-1:]).square().sum() / 2)
    return Training(model=model, initial=parameters_of(model), stages=(stage,)), query


def incompleteness(rate):
    training, query = regression(rate)
    total = tracin_scores(training, [query], at="checkpoint")[0].sum()
    gain = training.values(training.run(), [query])[0] - training.values(training.initial, [query])[0]
    assert gain > 0
    return float(abs(total - gain) / gain)


def test_every_step_a_checkpoint_tracin_adds_up_to_the_gain_as_the_rate_goes_to_zero():
    errors = [incompleteness(rate) for rate in (1e-4, 1e-3, 1e-2)]
    assert errors[0] < 0.0014
    assert errors[0] < errors[1] / 5 < errors[2] / 25
    assert errors[2] > 0.02


def test_one_step_of_descent_needs_no_transport():
    training, query = regression(1e-2, rows=1, epochs=1)
    (exact,) = training.metagradients([query])
    torch.testing.assert_close(tracin_scores(training, [query], at="final")[0], exact, rtol=1e-10, atol=0)


def test_sparse_checkpoints_count_every_draw():
    training, query = regression(1e-4)
    dense, sparse = (tracin_scores(training, [query], every=every)[0] for every in (1, 30))
    assert torch.corrcoef(torch.cat([dense, sparse]))[0, 1] > 0.99


def test_every_stage_has_scores_and_what_is_never_drawn_scores_zero():
    found = tracin_scores(four_stages(), [likelihood()], every=4)
    assert [scores.shape[1] for scores in found] == [8, 8, 4, 8]
    assert all(scores.any() for scores in found)
    for stage in (0, 1, 3):
        assert found[stage][0, DRAWN:].tolist() == [0.0]


def test_nothing_to_trace():
    with pytest.raises(ConfigError, match="at least one query"):
        tracin_scores(one_stage(), [])
    with pytest.raises(ConfigError, match="at least 1 update apart"):
        tracin_scores(one_stage(), [likelihood()], every=0)
