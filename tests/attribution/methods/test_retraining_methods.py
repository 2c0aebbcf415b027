from dataclasses import replace

import numpy as np
import pytest
import torch
from attribution_models import ragged_rows, tiny
from method_worlds import BATCHES, OPTIMISER, ROWS, named, problem, trained_problem
from scipy.stats import spearmanr

from imprint.attribution.methods import (
    METHODS,
    Datamodels,
    GradientDot,
    LeaveOneOut,
    Metagradient,
    Source,
    TracInCP,
)
from imprint.attribution.methods.retraining import retrainer
from imprint.attribution.unrolled import NextToken, Sgd, Stage, Training, parameters_of
from imprint.errors import ConfigError


@pytest.fixture(scope="module")
def asked():
    return trained_problem()


@pytest.fixture(scope="module")
def truth(asked):
    return LeaveOneOut().scores(asked)


def values(asked, weights):
    """The queries after the run with these weights."""
    params = asked.training.run([torch.tensor(weights, dtype=torch.float64)])
    return asked.training.values(params, asked.queries).numpy()


def test_leaving_a_row_out_is_the_run_without_its_loss(asked, truth):
    for row in (0, 5):
        weights = np.ones(ROWS)
        weights[row] = 0
        np.testing.assert_allclose(truth[:, row], values(asked, np.ones(ROWS)) - values(asked, weights), rtol=1e-6)


def test_a_row_that_is_the_query_helps_it_and_a_contradiction_harms_it():
    tokens, lengths = ragged_rows(ROWS)
    lengths[:2] = 6
    tokens[1, :6] = tokens[0, :6]
    tokens[1, 6] = tokens[0, 6] % 12 + 1
    own = named(tokens[0], lengths[0], "own")
    asked = trained_problem(
        tokens=tokens, lengths=lengths, queries=(own,), query_tokens=None, query_lengths=None, query_groups=None
    )
    for method in (LeaveOneOut(), Metagradient(), TracInCP(), Source()):
        scores = method.scores(asked)[0]
        assert scores.argmax() == 0, method.name
        assert scores[0] > 0, method.name


def test_the_metagradient_is_the_derivative_by_the_weight(asked):
    scores, step = Metagradient().scores(asked), 1e-4
    for row in (1, 6):
        weights = np.ones(ROWS)
        weights[row] += step
        above = values(asked, weights)
        weights[row] -= 2 * step
        np.testing.assert_allclose((above - values(asked, weights)) / (2 * step), scores[:, row], rtol=1e-4)


def test_the_metagradient_ranks_rows_as_leaving_them_out_does_and_turned_round_it_does_not(asked, truth):
    scores = Metagradient().scores(asked)
    for mine, best in zip(scores, truth, strict=True):
        assert spearmanr(mine, best).statistic > 0.9
        assert spearmanr(-mine, best).statistic < -0.9


def test_tracin_at_one_checkpoint_is_the_dot_product_times_its_rate(asked):
    dot = GradientDot().scores(asked)
    np.testing.assert_allclose(TracInCP(checkpoints=1).scores(asked), OPTIMISER.learning_rate * dot, rtol=1e-8)


def test_tracin_sums_over_checkpoints_with_the_rates_in_force_there():
    falling = Sgd(learning_rate=0.02, schedule=lambda step: 1 / (1 + step))
    asked = trained_problem(optimiser=falling)
    training = asked.training
    total = np.zeros((2, ROWS))
    for checkpoint in training.checkpoints([3, 5]):
        there = training.holding(checkpoint.params)
        total += checkpoint.learning_rate * GradientDot().scores(
            replace(asked, model=there, subspace=asked.subspace.on(there))
        )
    assert [checkpoint.learning_rate for checkpoint in training.checkpoints([3, 5])] == pytest.approx(
        [0.02 / 3, 0.02 / 5]
    )
    np.testing.assert_allclose(TracInCP(checkpoints=2).scores(asked), total, rtol=1e-10)


def test_more_checkpoints_than_updates_are_all_updates(asked):
    many, all_of_them = TracInCP(checkpoints=50), TracInCP(checkpoints=len(BATCHES))
    np.testing.assert_allclose(many.scores(asked), all_of_them.scores(asked))
    with pytest.raises(ConfigError, match="at least one checkpoint"):
        TracInCP(checkpoints=0).scores(asked)


def test_datamodels_agree_with_leaving_rows_out(asked, truth):
    scores = Datamodels(runs=60).scores(asked)
    for mine, best in zip(scores, truth, strict=True):
        assert np.corrcoef(mine, best)[0, 1] > 0.9
        assert mine @ best > 0


def test_datamodels_plan_their_own_number_of_runs(asked, caplog):
    heard = []
    with caplog.at_level("INFO"):
        Datamodels(recovery=0.5, additive_share=0.9).scores(asked, advance=heard.append)
    assert len(heard) == 11  # 8 rows + 2 + ceil(8 x 1/9 x 1/3)
    assert "R^2" in caplog.text


def two_stages():
    """A run whose second stage has other rows: (training, first problem, second problem)."""
    start = tiny()
    tokens, lengths = ragged_rows(ROWS)
    others = ragged_rows(6, seed=9)
    stages = tuple(
        Stage(name=each, objective=NextToken(tokens=t, lengths=n), batches=batches, optimiser=OPTIMISER)
        for each, t, n, batches in (
            ("first", tokens, lengths, BATCHES),
            ("second", *others, torch.tensor([[0, 1, 2], [3, 4, 5]])),
        )
    )
    training = Training(model=start, initial=parameters_of(start), stages=stages)
    model = training.holding(training.run())
    first = problem(model=model, tokens=tokens, lengths=lengths, training=training)
    return training, first, problem(model=model, tokens=others[0], lengths=others[1], training=training, stage=1)


@pytest.mark.parametrize("name", ["leave-one-out", "metagradient", "SOURCE", "datamodels", "TracIn-CP"])
def test_rows_of_the_first_of_two_stages_are_scored_through_the_second(name):
    training, first, second = two_stages()
    method = Datamodels(runs=20) if name == "datamodels" else METHODS[name]
    assert method.scores(first).shape == (2, ROWS)
    assert method.scores(second).shape == (2, 6)
    if name == "leave-one-out":
        alone = replace(training, stages=training.stages[:1])
        only = replace(first, training=alone, model=alone.holding(alone.run()))
        assert not np.allclose(method.scores(first), method.scores(only), rtol=1e-2)


@pytest.mark.parametrize("stage", [0, 1])
def test_only_the_weights_of_the_rows_own_stage_change(stage):
    training, *problems = two_stages()
    rows = training.stages[stage].rows
    weights = np.linspace(0, 1, rows)
    expected = training.run([torch.from_numpy(weights) if number == stage else None for number in (0, 1)])
    found = retrainer(problems[stage], "it")(weights)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
