import inspect

import numpy as np
import pytest
import torch
from attribution_models import ragged_rows
from method_worlds import problem, trained_problem

from imprint.attribution.methods import METHODS, Method, TracInCP
from imprint.attribution.methods.interface import every_query, query_texts, recorded
from imprint.errors import ConfigError

OF_THE_ISSUE = {
    "random",
    "loss",
    "gradient norm",
    "repeated n-grams",
    "BM25",
    "embedding similarity",
    "representation similarity",
    "same cluster",
    "gradient dot",
    "gradient cosine",
    "TracIn-CP",
    "TRAK",
    "TrackStar",
    "EK-FAC",
    "SOURCE",
    "metagradient",
    "leave-one-out",
    "datamodels",
}


def test_every_method_of_the_field_is_there_under_its_own_name():
    assert set(METHODS) == OF_THE_ISSUE
    for name, method in METHODS.items():
        assert isinstance(method, Method)
        assert method.name == name


@pytest.mark.parametrize("name", sorted(OF_THE_ISSUE))
def test_every_method_says_what_it_costs_and_when_to_trust_it(name):
    words = inspect.getdoc(type(METHODS[name]))
    assert "Cost" in words
    assert "Trust:" in words


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.needs_training])
def test_without_a_recorded_run_the_error_says_so(name):
    with pytest.raises(ConfigError, match=r"needs the recorded training run.*Problem\(training="):
        METHODS[name].scores(problem())


def test_texts_and_groups_are_asked_for_where_they_are_missing():
    bare = problem(query_tokens=None, query_lengths=None, row_groups=None, query_groups=None)
    for name in ("BM25", "embedding similarity", "representation similarity"):
        with pytest.raises(ConfigError, match="query_tokens"):
            METHODS[name].scores(bare)
    with pytest.raises(ConfigError, match="row_groups"):
        METHODS["same cluster"].scores(bare)


def test_a_problem_without_rows_or_queries_or_with_two_of_a_name_is_refused():
    tokens, lengths = ragged_rows(4)
    with pytest.raises(ConfigError, match="rows"):
        problem(tokens=tokens[:0], lengths=lengths[:0], row_groups=None)
    with pytest.raises(ConfigError, match="rows"):
        problem(tokens=tokens, lengths=lengths[:3], row_groups=None)
    with pytest.raises(ConfigError, match="queries"):
        problem(queries=())
    twice = problem().queries[0]
    with pytest.raises(ConfigError, match="different names"):
        problem(queries=(twice, twice))


def test_groups_and_texts_must_fit():
    with pytest.raises(ConfigError, match="row_groups"):
        problem(row_groups=np.array(["a"]))
    with pytest.raises(ConfigError, match="query_groups"):
        problem(query_groups=np.array(["a"]))
    with pytest.raises(ConfigError, match="query_tokens"):
        problem(query_of_text=torch.tensor([0, 0]))
    with pytest.raises(ConfigError, match="query_lengths"):
        problem(query_lengths=torch.tensor([3]))


def test_the_run_must_have_the_rows_as_its_stage():
    asked = trained_problem()
    assert recorded(asked, "it") is asked.training
    tokens, lengths = ragged_rows(5)
    with pytest.raises(ConfigError, match="trained on 8 examples but 5"):
        recorded(problem(tokens=tokens, lengths=lengths, training=asked.training), "it")
    with pytest.raises(ConfigError, match="no stage 1"):
        recorded(problem(training=asked.training, stage=1), "it")


def test_several_texts_may_belong_to_one_query():
    texts, _ = ragged_rows(3)
    grouped = query_texts(problem(query_tokens=texts, query_lengths=None, query_of_text=torch.tensor([1, 0, 1])), "it")
    assert [len(tokens) for tokens, _ in grouped] == [1, 2]
    assert torch.equal(grouped[1][0], texts[[0, 2]])
    assert grouped[0][1].tolist() == [texts.shape[1] - 1]


def test_what_does_not_look_at_the_query_is_the_same_for_all():
    assert every_query(problem(), np.arange(8)).tolist() == [list(range(8))] * 2


def test_progress_counts_the_rows():
    heard = []
    METHODS["gradient dot"].scores(problem(), advance=heard.append)
    assert sum(heard) == 8


def test_hyper_parameters_cannot_be_changed_behind_a_table():
    with pytest.raises(AttributeError):
        TracInCP().batch = 3
