import importlib

import numpy as np
import pytest
import torch
from attribution_models import flat, likelihood_query, ragged_rows, tiny
from scipy.stats import rankdata

from imprint.attribution import (
    EkfacOptions,
    Query,
    attention_query,
    fit_factors,
    head_subspace,
    induction_queries,
    influence,
    query_gradient,
)
from imprint.capabilities import repeat_probe
from imprint.errors import ConfigError, SelfCheckFailed
from imprint.models import label_mask, token_losses
from imprint.models.handmade import induction_transformer
from imprint.stats import auc

DATA = EkfacOptions(labels="data")


def queries():
    return [likelihood_query(ragged_rows(3, seed=8)[0])]


def run(tokens, lengths, *, model=None, head="L1.H1", asked=None, options=DATA, **more):
    model = tiny() if model is None else model
    return influence(model, head_subspace(model, head), asked or queries(), tokens, lengths, options, seed=0, **more)


def test_influence_is_minus_loss_gradient_times_inverse_curvature_times_query_gradient():
    """By brute force: autograd through the parameters and one dense solve a block."""
    model, (tokens, lengths) = tiny(), ragged_rows(9)
    scores, _ = run(tokens, lengths, model=model)
    subspace = head_subspace(model, "L1.H1")
    blocks = fit_factors(model, subspace, tokens, lengths, DATA, seed=0)
    attention = model.transformer.h[1].attn
    weights = [attention.c_attn.weight, attention.c_proj.weight]

    def gradient(scalar):
        packed, out = torch.autograd.grad(scalar, weights)
        return [torch.cat([packed.T[4:8], packed.T[20:24]]), packed.T[36:40], out.T[:, 4:8]]

    towards = gradient(queries()[0].measure(model))
    solved = []
    for factors, piece in zip(blocks, towards, strict=True):
        basis = torch.kron(factors.output_basis, factors.input_basis)
        damped = factors.eigenvalues + 0.1 * factors.eigenvalues.mean()
        curvature = basis @ torch.diag(damped.reshape(-1)) @ basis.T
        solved.append(torch.linalg.solve(curvature, piece.reshape(-1)))
    expected, plain = [], []
    for row in range(len(tokens)):
        losses = token_losses(model(tokens[row : row + 1, :-1]).logits, tokens[row : row + 1, 1:])
        mine = flat(gradient((losses * label_mask(lengths[row : row + 1], losses.shape[1])).sum()))
        expected.append(-float(mine @ torch.cat(solved)))
        plain.append(-float(mine @ flat(towards)))
    assert scores.queries == ("likelihood", "likelihood/dot")
    np.testing.assert_allclose(scores.of("likelihood"), expected, rtol=1e-7)
    np.testing.assert_allclose(scores.of("likelihood/dot"), plain, rtol=1e-7)
    assert not np.array_equal(rankdata(expected), rankdata(plain))


def test_token_scores_add_up_to_the_row_score_and_are_zero_on_padding():
    tokens, lengths = ragged_rows(9)
    scores, _ = run(tokens, lengths)
    assert scores.tokens.shape == (1, 9, 10)
    np.testing.assert_allclose(scores.tokens.sum(-1)[0], scores.of("likelihood"), rtol=1e-4, atol=1e-4)
    padding = np.arange(10)[None, :] >= lengths.numpy()[:, None]
    assert (scores.tokens[:, padding] == 0).all()
    assert (scores.tokens[:, ~padding] != 0).mean() > 0.9


@pytest.mark.parametrize("batch", [1, 4])
def test_batch_sizes_change_nothing(batch):
    tokens, lengths = ragged_rows(9)
    base, _ = run(tokens, lengths)
    other, _ = run(tokens, lengths, batch=batch, options=EkfacOptions(labels="data", batch=batch))
    np.testing.assert_allclose(other.rows, base.rows, rtol=1e-6)


def test_order_of_rows_changes_nothing_and_copies_score_the_same():
    tokens, lengths = ragged_rows(9)
    tokens, lengths = torch.cat([tokens, tokens[3:4]]), torch.cat([lengths, lengths[3:4]])
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    base, _ = run(tokens, lengths)
    mixed, _ = run(tokens[order], lengths[order])
    np.testing.assert_allclose(mixed.rows, base.rows[:, order.numpy()], rtol=1e-6)
    assert base.of("likelihood")[3] == pytest.approx(base.of("likelihood")[9], rel=1e-9)


def test_same_call_gives_same_numbers_and_the_seed_of_sampled_labels_counts():
    tokens, lengths = ragged_rows(9)
    model, sampled = tiny(), EkfacOptions()
    subspace = head_subspace(model, "L1.H1")
    one, again, other = (
        influence(model, subspace, queries(), tokens, lengths, sampled, seed=seed)[0] for seed in (0, 0, 1)
    )
    assert np.array_equal(one.rows, again.rows)
    assert np.array_equal(one.tokens, again.tokens)
    assert not np.allclose(one.of("likelihood"), other.of("likelihood"), rtol=1e-3)
    assert np.array_equal(one.of("likelihood/dot"), other.of("likelihood/dot"))  # no labels are drawn without curvature
    assert not np.allclose(one.of("likelihood"), run(tokens, lengths)[0].of("likelihood"), rtol=1e-3)  # nor is it data


def test_factors_are_fitted_on_at_most_so_many_rows():
    tokens, lengths = ragged_rows(9)
    done = []
    options = EkfacOptions(labels="data", max_rows=4)
    few, _ = run(tokens, lengths, options=options, advance=done.append)
    assert sum(done) == 4 + 9
    assert not np.allclose(few.of("likelihood"), run(tokens, lengths)[0].of("likelihood"), rtol=1e-3)


def test_dropout_is_off_and_the_models_mode_comes_back():
    tokens, lengths = ragged_rows(9)
    model = tiny().train()
    model.transformer.h[0].eval()
    trained, _ = run(tokens, lengths, model=model)
    assert model.training
    assert not model.transformer.h[0].training
    np.testing.assert_allclose(trained.rows, run(tokens, lengths)[0].rows, rtol=1e-7)


def test_model_is_left_as_it_was():
    tokens, lengths = ragged_rows(9)
    model = tiny().requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    frozen, _ = run(tokens, lengths, model=model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    np.testing.assert_allclose(frozen.rows, run(tokens, lengths)[0].rows, rtol=1e-9)


def test_single_precision_ranks_as_double_precision_does():
    tokens, lengths = ragged_rows(9)
    single, _ = run(tokens, lengths, model=tiny().float())
    double, _ = run(tokens, lengths)
    np.testing.assert_allclose(single.rows, double.rows, rtol=1e-3, atol=1e-3 * np.abs(double.rows).max())
    assert single.checks["precision/likelihood"] < 1e-3


def planted_rows(rows=120, vocabulary=20, length=21):
    """Rows that repeat a fresh segment (the cause of copying) and rows of noise, in random order."""
    generator = np.random.default_rng(0)
    repeats = generator.random(rows) < 0.4
    tokens = generator.integers(1, vocabulary, (rows, length))
    for row in np.flatnonzero(repeats):
        segment = generator.permutation(np.arange(1, vocabulary))[: generator.integers(5, 10)]
        tokens[row] = np.tile(segment, 5)[:length]
    return torch.from_numpy(tokens), torch.full((rows,), length - 1), repeats


@pytest.fixture(scope="module")
def planted():
    """Influence on a half-formed handmade induction head, and which rows are repeats."""
    tokens, lengths, repeats = planted_rows()
    model = induction_transformer(20, 24, sharpness=3.0)
    probe = repeat_probe(range(1, 20), period=8, rows=8, seed=1, bos=0)
    asked = list(induction_queries(probe, "L1.H0"))
    subspace = head_subspace(model, "L1.H0")
    scores, _ = influence(model, subspace, asked, tokens, lengths, EkfacOptions(), seed=0)
    return scores, repeats


def test_repeats_raise_every_induction_probe(planted):
    scores, repeats = planted
    for query in ("log_prob", "contrastive", "attention"):
        assert auc(scores.of(query), repeats) > 0.9, query


def test_shuffled_labels_are_at_chance(planted):
    """AT-MDA-7."""
    scores, repeats = planted
    generator = np.random.default_rng(0)
    shuffled = [auc(scores.of("contrastive"), generator.permutation(repeats)) for _ in range(200)]
    assert np.mean(shuffled) == pytest.approx(0.5, abs=0.03)


def test_scaled_and_negated_query(planted):
    """AT-MDA-7, through the whole pipeline: c > 0 keeps the ranking, -1 turns it round."""
    scores, _ = planted
    tokens, lengths, _ = planted_rows()
    model = induction_transformer(20, 24, sharpness=3.0)
    base = attention_query(repeat_probe(range(1, 20), period=8, rows=8, seed=1, bos=0), "L1.H0")
    for factor in (3.0, -1.0):
        asked = [Query(name="scaled", measure=lambda model, factor=factor: factor * base.measure(model))]
        ours, _ = influence(model, head_subspace(model, "L1.H0"), asked, tokens, lengths, EkfacOptions(), seed=0)
        np.testing.assert_allclose(ours.of("scaled"), factor * scores.of("attention"), rtol=1e-6, atol=1e-12)
        assert np.array_equal(np.argsort(np.sign(factor) * ours.of("scaled")), np.argsort(scores.of("attention")))


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_too_few_rows(rows):
    tokens, lengths = ragged_rows(9)
    with pytest.raises(ConfigError, match=f"at least 4 rows to fit its factors twice, not {rows}"):
        run(tokens[:rows], lengths[:rows])


def test_scores_that_are_not_finite_are_refused(monkeypatch):
    """Without any damping, directions that no row has are divided by zero."""
    tokens, lengths = ragged_rows(9)
    module = importlib.import_module("imprint.attribution.engine.influence")
    monkeypatch.setattr(module, "run_checks", lambda *given, **more: {})
    with pytest.raises(SelfCheckFailed, match=r"influence scores are not finite.*'likelihood'.*raise the damping"):
        run(
            tokens,
            lengths,
            options=EkfacOptions(labels="data", damping_relative=0, damping_floor=0),
            model=dead_input(),
        )


def dead_input():
    """A model whose layer norm writes zeros into one feature that the head reads."""
    model = tiny()
    with torch.no_grad():
        model.transformer.h[1].ln_1.weight[0] = 0
        model.transformer.h[1].ln_1.bias[0] = 0
        for name, parameter in model.named_parameters():
            if name.endswith("h.1.attn.c_proj.weight"):
                parameter[4:8] = 0
    return model


def test_query_without_gradient_is_refused():
    tokens, lengths = ragged_rows(9)
    probe = repeat_probe(range(1, 13), period=4, rows=3, seed=0, bos=0)
    with pytest.raises(SelfCheckFailed, match=r"zero on all of L1.H2/qkvo; all scores would be 0"):
        run(tokens, lengths, head="L1.H2", asked=[attention_query(probe, "L1.H0")])


def test_query_gradient_is_that_of_the_evaluated_model():
    model = tiny()
    subspace = head_subspace(model, "L1.H1")
    once, again = (query_gradient(model, subspace, queries()[0]) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
