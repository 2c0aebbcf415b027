import weakref

import pytest
import torch
from attribution_models import ragged_rows, tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from imprint.attribution.engine import likelihood_queries, query_gradients, whole_model
from imprint.attribution.engine.scoring import score_pass
from imprint.attribution.engine.streaming import _Best, stream_top
from imprint.errors import ConfigError


def chunks(tokens, lengths, sizes):
    start = 0
    for size in sizes:
        yield tokens[start : start + size], lengths[start : start + size]
        start += size


@pytest.mark.parametrize("sizes", [[20], [1] * 20, [7, 13], [3, 3, 14]])
def test_extremes_are_those_of_all_scores_however_the_stream_is_cut(sizes):
    model = tiny()
    subspace = whole_model(model)
    tokens, lengths = ragged_rows(20)
    directions = query_gradients(model, subspace, likelihood_queries(*ragged_rows(3, seed=8)))
    passed = score_pass(model, subspace, directions, tokens, lengths, by_token=False, norms=False)
    scores = torch.cat(passed.rows, dim=2).sum(1)
    found = stream_top(model, subspace, directions, chunks(tokens, lengths, sizes), 4)
    assert found.rows == 20
    torch.testing.assert_close(found.top_scores, scores.topk(4).values)
    assert torch.equal(found.top, scores.topk(4).indices)
    torch.testing.assert_close(found.bottom_scores, scores.topk(4, largest=False).values)
    assert torch.equal(found.bottom, scores.topk(4, largest=False).indices)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=5, max_size=40), st.integers(1, 5), st.integers(1, 7))
def test_ties_keep_the_order_of_the_stream(values, k, size):
    best = _Best(k)
    for start in range(0, len(values), size):
        piece = torch.tensor(values[start : start + size], dtype=torch.float32)
        best.add(piece[None], torch.arange(start, start + len(piece)))
    expected = sorted(range(len(values)), key=lambda row: (-values[row], row))[:k]
    assert best.rows[0].tolist() == expected


def test_streams_that_are_too_short():
    model = tiny()
    subspace = whole_model(model)
    directions = query_gradients(model, subspace, likelihood_queries(*ragged_rows(1, seed=8)))
    with pytest.raises(ConfigError, match="but the stream had 3"):
        stream_top(model, subspace, directions, [ragged_rows(3)], 4)
    with pytest.raises(ConfigError, match="ask for one at least"):
        stream_top(model, subspace, directions, [ragged_rows(3)], 0)


class Killed(Exception):
    pass


def stopping(pieces, after):
    for number, piece in enumerate(pieces):
        if number == after:
            raise Killed
        yield piece


@pytest.fixture
def asked():
    model = tiny()
    subspace = whole_model(model)
    return model, subspace, query_gradients(model, subspace, likelihood_queries(*ragged_rows(2, seed=8)))


@pytest.mark.parametrize("again", [[5, 5, 5, 5], [20], [3, 4, 13]])
def test_a_killed_stream_goes_on_and_scores_no_row_twice(asked, tmp_path, again):
    tokens, lengths = ragged_rows(20)
    whole = stream_top(*asked, chunks(tokens, lengths, [20]), 3)
    with pytest.raises(Killed):
        stream_top(*asked, stopping(chunks(tokens, lengths, [5, 5, 5, 5]), 2), 3, folder=tmp_path)
    lost = tokens.clone()
    lost[:10] = 1  # what was scored is not looked at again
    found = stream_top(*asked, chunks(lost, lengths, again), 3, folder=tmp_path)
    assert torch.equal(found.top, whole.top)
    assert torch.equal(found.bottom, whole.bottom)
    torch.testing.assert_close(found.top_scores, whole.top_scores)
    assert found.rows == 20


def test_progress_counts_rows_that_were_done_before(asked, tmp_path):
    done = []
    pieces = [20, 0, 10]
    tokens, lengths = ragged_rows(30)
    stream_top(*asked, chunks(tokens, lengths, pieces), 3, folder=tmp_path)
    stream_top(*asked, chunks(tokens, lengths, pieces), 3, folder=tmp_path, advance=done.append)
    assert sum(done) == 30


def test_a_folder_of_another_stream_is_refused(asked, tmp_path):
    stream_top(*asked, [ragged_rows(10)], 3, folder=tmp_path)
    with pytest.raises(ConfigError, match="holds the extremes of another stream"):
        stream_top(*asked, [ragged_rows(10)], 4, folder=tmp_path)


def test_no_more_than_two_chunks_are_ever_alive(asked):
    alive, most = [0], [0]

    def counted():
        for number in range(60):
            tokens, lengths = ragged_rows(4, seed=number)
            alive[0] += 1
            most[0] = max(most[0], alive[0])
            weakref.finalize(tokens, lambda: alive.__setitem__(0, alive[0] - 1))
            yield tokens, lengths
            del tokens, lengths

    found = stream_top(*asked, counted(), 5)
    assert found.rows == 240
    assert found.top.shape == found.bottom.shape == (2, 5)
    assert most[0] <= 2
