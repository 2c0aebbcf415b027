import numpy as np
import torch
from attribution_models import ragged_rows, tiny
from scipy.stats import spearmanr

from imprint.attribution.engine import EkfacOptions, fit_factors, influence, likelihood_queries, pruning, whole_model
from imprint.attribution.engine.pruning import without_idle_outputs


def token_scores(energy):
    model = tiny()
    tokens, lengths = ragged_rows(40)
    asked = likelihood_queries(*ragged_rows(3, seed=8))
    options = EkfacOptions(labels="data", token_energy=energy)
    scores, _ = influence(model, whole_model(model), asked, tokens, lengths, options, seed=0, plain=False)
    return scores.tokens


def test_scores_barely_change_without_directions_of_no_energy_and_do_without_most_of_it(monkeypatch):
    monkeypatch.setattr(pruning, "_WORTH", 1.0)
    whole, most, little = token_scores(1.0), token_scores(0.97), token_scores(0.2)
    real = whole != 0
    assert spearmanr(whole[real], most[real]).statistic > 0.8
    errors = [np.linalg.norm(scores - whole) / np.linalg.norm(whole) for scores in (most, little)]
    assert 0 < errors[0] < errors[1]


def test_kept_directions_are_orthonormal_and_carry_the_energy():
    model = tiny()
    tokens, lengths = ragged_rows(40)
    subspace = whole_model(model)
    factors = fit_factors(model, subspace, tokens, lengths, EkfacOptions(labels="data"), seed=0)
    stacks = [torch.randn(2, *subspace.block_shape(block), dtype=torch.float64) for block in subspace.blocks]
    pruned, kept = without_idle_outputs(subspace, factors, stacks, 0.8)
    cut = 0
    for block, factor, stack in zip(pruned.blocks, factors, kept, strict=True):
        if block.directions is None:
            continue
        cut += 1
        assert stack.shape[1:] == pruned.block_shape(block)
        identity = block.directions.T @ block.directions
        torch.testing.assert_close(identity, torch.eye(len(identity), dtype=torch.float64))
        share = (factor.eigenvalues / factor.damped()).square().sum(1).sort(descending=True).values
        count = block.directions.shape[1]
        assert share[:count].sum() >= 0.8 * share.sum() > share[: count - 1].sum()
    assert cut > 0
