import numpy as np
import pytest
import torch
from attribution_models import likelihood_query, ragged_rows, tiny

from imprint.attribution.validation import tail_patch, tail_patches
from imprint.errors import ConfigError

STEP = 1e-3


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def rows():
    return ragged_rows(12)


def query_of(tokens, lengths, row):
    return likelihood_query(tokens[row : row + 1, : int(lengths[row]) + 1])


def test_a_step_on_the_query_itself_raises_it(model, rows):
    tokens, lengths = rows
    for row in range(4):
        query = query_of(tokens, lengths, row)
        alone = slice(row, row + 1)
        assert tail_patch(model, tokens[alone], lengths[alone], query, learning_rate=STEP) > 0


def test_it_is_the_gradient_product_for_small_steps(model, rows):
    """The first-order change is the step times grad f . (- grad of the mean token loss)."""
    tokens, lengths = rows
    query, chosen = query_of(tokens, lengths, 0), slice(3, 6)
    parameters = list(model.parameters())
    wanted = torch.autograd.grad(query.measure(model), parameters, materialize_grads=True)
    rise = -sum(
        torch.stack(torch.autograd.grad(query_of(tokens, lengths, row).measure(model), parameters)[i : i + 1])
        .mul(w)
        .sum()
        for row in range(3, 6)
        for i, w in enumerate(wanted)
    ) / float(lengths[chosen].sum())
    found = tail_patch(model, tokens[chosen], lengths[chosen], query, learning_rate=1e-6)
    assert found == pytest.approx(-1e-6 * float(rise), rel=1e-3)


def test_the_model_is_left_as_it_was(model, rows):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tail_patch(model, *[one[:3] for one in rows], query_of(*rows, 5), learning_rate=0.1)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_padding_and_the_order_of_rows_do_not_matter(model, rows):
    tokens, lengths = rows
    query = query_of(tokens, lengths, 0)
    base = tail_patch(model, tokens[1:5], lengths[1:5], query, learning_rate=STEP)
    garbage = tokens.clone()
    garbage[:, 1:][torch.arange(tokens.shape[1] - 1)[None, :] >= lengths[:, None]] = 7
    order = [4, 2, 1, 3]
    assert tail_patch(model, garbage[order], lengths[order], query, learning_rate=STEP) == pytest.approx(base, rel=1e-9)


def test_the_right_rows_beat_the_wrong_ones(model, rows):
    """Scores that name the query's own row, their negative, and random ones."""
    tokens, lengths = rows
    queries = tuple(query_of(tokens, lengths, row) for row in range(4))
    own = np.eye(4, 12)
    right = tail_patches(model, tokens, lengths, queries, own, top=1, learning_rate=STEP)
    wrong = tail_patches(model, tokens, lengths, queries, np.roll(own, 5, axis=1), top=1, learning_rate=STEP)
    assert (right > 0).all()
    assert right.mean() > wrong.mean()


def test_nothing_to_step_on_is_refused(model, rows):
    tokens, lengths = rows
    with pytest.raises(ConfigError, match="at least one row"):
        tail_patch(model, tokens[:0], lengths[:0], query_of(tokens, lengths, 0), learning_rate=STEP)
    with pytest.raises(ConfigError, match="positive step"):
        tail_patch(model, tokens, lengths, query_of(tokens, lengths, 0), learning_rate=0.0)
