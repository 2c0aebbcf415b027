import numpy as np
import pytest
from attribution_models import ragged_rows, tiny

from imprint.attribution.engine import EkfacOptions, influence, likelihood_queries, whole_model
from imprint.attribution.engine.memory import parse_size, plan_memory
from imprint.errors import ConfigError

OPTIONS = EkfacOptions()


@pytest.mark.parametrize(
    ("text", "size"), [("4GB", 4 << 30), ("512 MiB", 512 << 20), ("1.5g", 3 << 29), ("100", 100), ("64kb", 64 << 10)]
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "0", "4 PB", "GB"])
def test_words_that_are_no_size(text):
    with pytest.raises(ConfigError, match="is not an amount of memory; write for example 4GB"):
        parse_size(text)


def plan(budget, **more):
    model = tiny()
    settings = {"seq": 10, "queries": 5, "fit_rows": 9, "options": OPTIONS, **more}
    return plan_memory(budget, model, whole_model(model), **settings)


def test_more_memory_means_larger_batches_and_more_queries():
    small, large = plan(130 << 20), plan(1 << 30)
    assert 1 <= small.batch <= large.batch == 64
    assert 1 <= small.queries <= large.queries == 5
    assert plan(1 << 30, fit_rows=10**6).keep_bytes == 0 < plan(1 << 30, fit_rows=100).keep_bytes


def test_a_budget_too_small_for_one_row_says_how_much_would_do():
    with pytest.raises(
        ConfigError, match=r"1MB of memory cannot hold one row of 10 tokens.*give at least \d+MB"
    ) as caught:
        plan(1 << 20)
    enough = str(caught.value).split("at least ")[1].split(",")[0]
    assert plan(parse_size(enough)).batch >= 1


def test_the_budget_changes_no_score(monkeypatch):
    """Also where it cuts the queries into groups, with and without curvature in the right order."""
    model = tiny()
    tokens, lengths = ragged_rows(9)
    asked = likelihood_queries(*ragged_rows(5, seed=8))
    whole, _ = influence(model, whole_model(model), asked, tokens, lengths, OPTIONS, seed=0, by_token=False)
    for budget, groups in ((1 << 30, 1), (tight(model, 2), 3)):
        found = plan(budget, directions=2)
        assert -(-5 // found.queries) == groups
        for by_token in (False, True):
            cut, collected = influence(
                model, whole_model(model), asked, tokens, lengths, OPTIONS, seed=0, by_token=by_token, memory=budget
            )
            assert cut.queries == whole.queries
            np.testing.assert_allclose(cut.rows, whole.rows, rtol=1e-7, atol=1e-9)
            assert len(collected.row_losses()) == 9


def tight(model, queries):
    """The smallest budget under which so many queries go at a time."""
    return next(size << 10 for size in range(110 << 10, 400 << 10, 64) if _queries(model, size << 10) == queries)


def _queries(model, budget):
    try:
        return plan(budget, directions=2).queries
    except ConfigError:
        return 0
