from dataclasses import replace

import numpy as np
import pytest
import torch
from attribution_models import CONTEXT
from scipy.stats import spearmanr
from unrolled_runs import DRAWN, SMOOTH, four_stages, likelihood, one_stage, pair, rows_of, tiny_gpt2, two_stages

from imprint.attribution.engine import BlockFactors, likelihood_queries, whole_model
from imprint.attribution.unrolled import (
    AdamW,
    NextToken,
    Sgd,
    Training,
    language_model_training,
    source_scores,
    tracin_scores,
)
from imprint.attribution.unrolled.planted import _source, linear_world
from imprint.errors import ConfigError


def test_one_segment_of_a_long_first_stage_is_the_inverse_hessian():
    world = linear_world(seed=0)
    training = world.training(1)
    alone = Training(model=training.model, initial=training.initial, stages=training.stages[:1])
    torch.testing.assert_close(_source(alone, world.queries()), world.effects(0), rtol=1e-3, atol=1e-6)


def flat(subspace):
    """No curvature at all."""

    def fit(model, stage):
        shapes = [subspace.block_shape(block) for block in subspace.blocks]
        return [
            BlockFactors(
                output_basis=torch.eye(rows).double(),
                input_basis=None,
                eigenvalues=torch.zeros(rows, columns).double(),
                damping_relative=0.0,
                damping_floor=0.0,
            )
            for rows, columns in shapes
        ]

    return fit


def test_without_curvature_it_is_identity_transport_of_the_middle_checkpoints():
    training = one_stage(Sgd(learning_rate=1e-9))
    subspace = whole_model(training.model)
    found = source_scores(training, [likelihood()], subspace, segments=7, curvature=flat(subspace))[0]
    layout_only = tracin_scores(restricted(training, subspace), [likelihood()])[0]
    torch.testing.assert_close(found, layout_only, rtol=1e-5, atol=0)


def restricted(training, subspace):
    """The same run with every parameter outside the subspace frozen."""
    inside = {f"{name}.{kind}" for name in subspace.modules for kind in ("weight", "bias")}
    for name, parameter in training.model.named_parameters():
        parameter.requires_grad_(name in inside)
    stage = training.stages[0]
    return language_model_training(
        training.model, stage.objective.tokens, stage.objective.lengths, stage.batches, stage.optimiser
    )


def sources_world(optimiser, rows=48, kinds=3, states=8, seed=0):
    """Rows of three Markov chains, a model that is trained in its blocks only, and queries of unseen rows."""
    generator = torch.Generator().manual_seed(seed)
    chains = (2.5 * torch.randn(kinds, states, states, generator=generator)).softmax(-1)

    def draw(count):
        tokens = torch.randint(0, states, (count, CONTEXT + 1), generator=generator)
        for position in range(CONTEXT):
            odds = chains[torch.arange(count) % kinds, tokens[:, position]]
            tokens[:, position + 1] = torch.multinomial(odds, 1, generator=generator)[:, 0]
        return tokens, torch.full((count,), CONTEXT)

    model = tiny_gpt2(width=16)
    torch.nn.init.normal_(model.transformer.wte.weight, std=0.5, generator=generator)
    batches = torch.stack([torch.randperm(rows, generator=generator)[:16] for _ in range(50)])
    training = restricted(language_model_training(model, *draw(rows), batches, optimiser), whole_model(model))
    return training, likelihood_queries(*draw(6))


def agreement(one, other):
    return np.mean([spearmanr(mine, theirs)[0] for mine, theirs in zip(one, other, strict=True)])


@pytest.mark.parametrize(
    "optimiser",
    [Sgd(learning_rate=0.02, momentum=0.9), AdamW(learning_rate=2e-3, eps_root=1e-8)],
    ids=["momentum", "adamw"],
)
def test_it_comes_closer_to_the_metagradient_than_identity_transport(optimiser):
    training, queries = sources_world(optimiser)
    subspace = whole_model(training.model)
    (exact,) = training.metagradients(queries)
    (found,) = source_scores(training, queries, subspace)
    (mutant,) = source_scores(training, queries, subspace, curvature=flat(subspace))
    assert agreement(exact, found) > 0.55
    assert agreement(exact, found) > agreement(exact, mutant) + 0.03
    assert agreement(exact, found.flip(1)) < 0.3


def test_an_example_that_is_never_drawn_scores_zero():
    prompted = two_stages()
    second = replace(prompted.stages[1], objective=NextToken(**pair(rows_of(seed=4))))
    training = replace(prompted, stages=(prompted.stages[0], second))
    for scores in source_scores(training, [likelihood()], whole_model(training.model)):
        assert scores[0, :DRAWN].all()
        assert scores[0, DRAWN:].tolist() == [0.0]


def test_what_it_is_not_defined_for():
    training, query = four_stages(), likelihood()
    subspace = whole_model(training.model)
    with pytest.raises(ConfigError, match="'lora' trains adapters"):
        source_scores(training, [query], subspace)
    with pytest.raises(ConfigError, match="no EK-FAC is known for the loss of stage 'sft'"):
        source_scores(two_stages(), [query], subspace)
    with pytest.raises(ConfigError, match="at least one query"):
        source_scores(one_stage(SMOOTH), [], subspace)
