import json

import numpy as np
import pytest

from imprint.attribution import SIGN, Scores, consensus, per_token
from imprint.errors import ConfigError


def scores(**rows):
    values = np.array([*rows.values()], dtype=np.float64)
    return Scores(
        queries=tuple(rows),
        rows=values,
        tokens=np.zeros((len(rows), values.shape[1], 2), dtype=np.float32) + 0.25,
        subspace="L1.H0/qkvo",
        checks={"gradient_vs_autograd": 1e-9},
    )


def test_saved_scores_come_back_and_say_their_sign(tmp_path):
    saved = scores(log_prob=[1.0, -2.0, 1 / 3], attention=[0.0, 5.0, 1.0])
    saved.save(tmp_path)
    read = Scores.load(tmp_path)
    assert (read.queries, read.subspace, read.checks) == (saved.queries, saved.subspace, saved.checks)
    assert np.array_equal(read.rows, saved.rows)
    assert np.array_equal(read.tokens, saved.tokens)
    assert read.tokens.dtype == np.float32
    words = json.loads((tmp_path / "scores.json").read_text())
    assert words["sign"] == SIGN == "positive = training on it raises the query"
    assert {path.name for path in tmp_path.iterdir()} == {"scores.npy", "token_scores.npy", "scores.json"}


def test_rows_of_one_query():
    both = scores(log_prob=[1.0, 2.0], attention=[3.0, 4.0])
    assert both.of("attention").tolist() == [3.0, 4.0]
    with pytest.raises(ConfigError, match="no query is called 'loss'; choose one of log_prob, attention"):
        both.of("loss")


def test_per_token_takes_length_out():
    lengths = np.array([1, 10, 5, 0])
    assert per_token(np.array([2.0, 20.0, -5.0, 1.0]), lengths).tolist() == [2.0, 2.0, -1.0, 1.0]


def test_consensus_is_the_mean_rank():
    three = scores(log_prob=[1.0, 5.0, 3.0], contrastive=[10.0, 30.0, 20.0], attention=[9.0, 8.0, 7.0])
    np.testing.assert_allclose(consensus(three), [(1 + 1 + 3) / 9, (3 + 3 + 2) / 9, (2 + 2 + 1) / 9])


def test_consensus_does_not_see_other_queries_or_units():
    base = {"log_prob": [1.0, 5.0, 3.0], "contrastive": [1.0, 5.0, 3.0], "attention": [1.0, 5.0, 3.0]}
    scaled = base | {"attention": [0.01, 0.05, 0.03]}
    extra = base | {"off_by_one": [9.0, 0.0, 0.0], "log_prob/dot": [9.0, 0.0, 0.0]}
    np.testing.assert_allclose(consensus(scores(**base)), [1 / 3, 1, 2 / 3])
    np.testing.assert_allclose(consensus(scores(**scaled)), consensus(scores(**base)))
    np.testing.assert_allclose(consensus(scores(**extra)), consensus(scores(**base)))
    with pytest.raises(ConfigError, match="hold none of the induction probes, so there is no consensus"):
        consensus(scores(previous_token=[1.0, 2.0, 3.0]))


def test_ties_share_a_rank():
    tied = scores(log_prob=[2.0, 2.0, 1.0])
    np.testing.assert_allclose(consensus(tied), [2.5 / 3, 2.5 / 3, 1 / 3])
