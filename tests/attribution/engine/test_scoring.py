import pytest
import torch
from attribution_models import FAMILIES, flat, likelihood_query, ragged_rows, tiny

import imprint.models.gradients
from imprint.attribution import EkfacOptions, fit_factors, head_subspace, precondition, query_gradient, score_rows
from imprint.models import label_mask, loss_gradients
from imprint.models.unembedding import HeadGradient, head_gradient

OPTIONS = EkfacOptions(labels="data")


def setting(family="gpt2", head="L1.H1"):
    """A model, a head's subspace, ragged rows, and the preconditioned and plain gradient of a query."""
    model = tiny(family)
    subspace = head_subspace(model, head)
    tokens, lengths = ragged_rows(9)
    gradient = query_gradient(model, subspace, likelihood_query(ragged_rows(3, seed=8)[0]))
    factors = fit_factors(model, subspace, tokens, lengths, OPTIONS, seed=0)
    return model, subspace, tokens, lengths, [precondition(factors, gradient), gradient]


def token_scores(model, subspace, tokens, lengths, directions, **options):
    return torch.cat(score_rows(model, subspace, directions, tokens, lengths, **options).scores, dim=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_row_score_is_minus_the_inner_product_of_the_rows_gradient(family):
    model, subspace, tokens, lengths, directions = setting(family)
    captured, _ = loss_gradients(model, subspace.modules, tokens, lengths)
    rows = subspace.gradients(captured)
    scores = token_scores(model, subspace, tokens, lengths, directions).sum(-1)
    for number, direction in enumerate(directions):
        brute = [-float(flat([piece[row] for piece in rows]) @ flat(direction)) for row in range(len(tokens))]
        assert scores[number].tolist() == pytest.approx(brute, rel=1e-8)
    assert not torch.allclose(scores[0], scores[1])


@pytest.mark.parametrize("family", FAMILIES)
def test_training_on_a_row_moves_the_query_as_its_score_says(family):
    """Positive = training on the row raises the query: one small step of plain gradient descent on each row."""
    model, subspace, tokens, lengths, directions = setting(family)
    query = likelihood_query(ragged_rows(3, seed=8)[0])
    scores = token_scores(model, subspace, tokens, lengths, directions[1:]).sum(-1)[0]
    captured, _ = loss_gradients(model, subspace.modules, tokens, lengths)
    rows = subspace.gradients(captured)
    with torch.no_grad():
        before = float(query.measure(model))
    for row in scores.abs().topk(4).indices.tolist():
        step = 1e-4 / float(flat([piece[row] for piece in rows]).norm())
        with subspace.shifted([piece[row] for piece in rows], -step), torch.no_grad():
            moved = float(query.measure(model)) - before
        assert moved == pytest.approx(step * float(scores[row]), rel=0.05)


def test_token_scores_are_the_part_of_each_position():
    """The score of position t is minus the inner product with what position t alone adds to the row's gradient."""
    model, subspace, tokens, lengths, directions = setting()
    captured, _ = loss_gradients(model, subspace.modules, tokens, lengths)
    scores = token_scores(model, subspace, tokens, lengths, directions)
    row, position = 2, 1
    expected = 0.0
    for block, direction in zip(subspace.blocks, directions[0], strict=True):
        outer = torch.outer(block.deltas(captured)[row, position], block.inputs(captured)[row, position])
        expected -= float((outer * direction).sum())
    assert float(scores[0, row, position]) == pytest.approx(expected, rel=1e-9)


def test_padding_contributes_nothing():
    model, subspace, tokens, lengths, directions = setting()
    padding = torch.arange(tokens.shape[1] - 1)[None, :] >= lengths[:, None]
    other = tokens.clone()
    other[:, 1:][padding] = 5
    assert not torch.equal(other, tokens)
    plain = score_rows(model, subspace, directions, tokens, lengths)
    changed = score_rows(model, subspace, directions, other, lengths)
    assert bool((plain.scores[0][:, padding] == 0).all())
    assert bool((changed.scores[0][:, padding] == 0).all())
    torch.testing.assert_close(plain.scores[0], changed.scores[0])
    torch.testing.assert_close(plain.row_losses(), changed.row_losses())
    torch.testing.assert_close(plain.gradient_norms(), changed.gradient_norms())


def test_padding_width_contributes_nothing():
    """A row scores the same alone, without any padding, as beside longer rows."""
    model, subspace, tokens, lengths, directions = setting()
    whole = token_scores(model, subspace, tokens, lengths, directions)
    for row in range(len(tokens)):
        size = int(lengths[row])
        alone = token_scores(model, subspace, tokens[row : row + 1, : size + 1], lengths[row : row + 1], directions)
        torch.testing.assert_close(alone[:, 0], whole[:, row, :size], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_batch_size_changes_nothing(batch):
    """AT-IF-8."""
    model, subspace, tokens, lengths, directions = setting()
    whole = score_rows(model, subspace, directions, tokens, lengths)
    parts = score_rows(model, subspace, directions, tokens, lengths, batch=batch)
    torch.testing.assert_close(torch.cat(parts.scores, dim=1), whole.scores[0], rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(parts.row_losses(), whole.row_losses())
    torch.testing.assert_close(parts.gradient_norms(), whole.gradient_norms())


def test_order_of_rows_changes_nothing_and_copies_score_the_same():
    """AT-IF-8: duplicates and permutations."""
    model, subspace, tokens, lengths, directions = setting()
    order = torch.tensor([4, 0, 4, 8, 1, 2, 3, 5, 6, 7, 0])
    straight = token_scores(model, subspace, tokens, lengths, directions)
    mixed = token_scores(model, subspace, tokens[order], lengths[order], directions, batch=4)
    torch.testing.assert_close(mixed, straight[:, order], rtol=1e-8, atol=1e-10)
    sums = mixed.sum(-1)
    torch.testing.assert_close(sums[:, 0], sums[:, 2], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(sums[:, 1], sums[:, 10], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 7.0])
def test_scaling_the_query_scales_the_scores(scale):
    """AT-MDA-7: the ranking stays for every c > 0, and turns round for c < 0."""
    model, subspace, tokens, lengths, directions = setting()
    base = token_scores(model, subspace, tokens, lengths, directions).sum(-1)
    for sign in (1, -1):
        scaled = [[sign * scale * piece for piece in direction] for direction in directions]
        ours = token_scores(model, subspace, tokens, lengths, scaled).sum(-1)
        torch.testing.assert_close(ours, sign * scale * base)
        assert torch.equal((sign * ours[0]).argsort(), base[0].argsort())


def test_negating_the_loss_negates_the_scores(monkeypatch):
    """AT-MDA-7; the factors, which are squares, stay as they were."""
    model, subspace, tokens, lengths, directions = setting()
    base = token_scores(model, subspace, tokens, lengths, directions)
    factors = fit_factors(model, subspace, tokens, lengths, OPTIONS, seed=0)

    def flipped(*given, **more):
        right = head_gradient(*given, **more)
        return HeadGradient(losses=-right.losses, gradient=-right.gradient)

    monkeypatch.setattr(imprint.models.gradients, "head_gradient", flipped)
    negated = fit_factors(model, subspace, tokens, lengths, OPTIONS, seed=0)
    torch.testing.assert_close(token_scores(model, subspace, tokens, lengths, directions), -base)
    for one, other in zip(factors, negated, strict=True):
        torch.testing.assert_close(one.eigenvalues, other.eigenvalues)


def test_losses_and_norms_of_the_same_pass():
    model, subspace, tokens, lengths, directions = setting()
    result = score_rows(model, subspace, directions, tokens, lengths, batch=4)
    logits = model(tokens[:, :-1]).logits.detach()
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
    mask = label_mask(lengths, losses.shape[1])
    torch.testing.assert_close(result.row_losses(), (losses * mask).sum(1) / lengths)
    captured, _ = loss_gradients(model, subspace.modules, tokens, lengths)
    norms = sum(piece.square().sum((1, 2)) for piece in subspace.gradients(captured))
    torch.testing.assert_close(result.gradient_norms(), norms)


def test_progress_counts_rows():
    model, subspace, tokens, lengths, directions = setting()
    done = []
    score_rows(model, subspace, directions, tokens, lengths, batch=4, advance=done.append)
    assert done == [4, 4, 1]
