import numpy as np
import pytest

from imprint.studies import attribution_exact
from imprint.studies.attribution_exact import exact_attribution_rows


@pytest.fixture(scope="module")
def rows():
    return exact_attribution_rows()


def failed(rows):
    return {(row.method, row.question) for row in rows if row.passed is False}


def value(rows, method, start):
    return next(row.value for row in rows if row.method == method and row.question.startswith(start))


def test_every_answer_is_the_known_one(rows):
    assert failed(rows) == set()
    assert sum(row.passed is True for row in rows) >= 12
    assert all(np.isfinite(row.value) for row in rows)


def test_sums_of_influence_fall_short(rows):
    """AT-IF-3: removal of the top tenth does more than twice what the sum says."""
    assert 1.5 < value(rows, "sum of influence", "true effect") < 6


def test_identity_transport_gets_worse_with_later_updates(rows):
    """AT-IF-7."""
    errors = [row.value for row in rows if row.method == "TracIn, identity transport"][:3]
    assert errors == sorted(errors)
    assert errors[0] > 0.1


def test_a_wrong_sign_is_found_out(monkeypatch):
    real = attribution_exact.lds_by_query
    monkeypatch.setattr(attribution_exact, "lds_by_query", lambda *args: -real(*args))
    assert {method for method, _ in failed(exact_attribution_rows())} == {"oracle", "negated oracle"}


def test_scores_that_see_the_batch_are_found_out(monkeypatch):
    class Placed(attribution_exact.GradientDot):
        def scores(self, problem):
            return super().scores(problem) * np.arange(len(problem.tokens))

    monkeypatch.setattr(attribution_exact, "GradientDot", Placed)
    assert ("gradient dot", "two copies of a row") in failed(exact_attribution_rows())


def test_metagradients_that_are_off_are_found_out(monkeypatch):
    real = attribution_exact._finite_differences
    monkeypatch.setattr(attribution_exact, "_finite_differences", lambda *args: 1.01 * real(*args))
    assert {method for method, _ in failed(exact_attribution_rows())} == {"metagradient"}
