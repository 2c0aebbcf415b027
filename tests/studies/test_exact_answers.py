import pytest

from imprint.attribution import log_prob_query, off_by_one_query
from imprint.mechanisms import prefix_matching
from imprint.models import Anatomy
from imprint.studies import exact_answers
from imprint.studies.exact_answers import exact_rows


@pytest.fixture(scope="module")
def rows():
    return exact_rows()


def failed(rows):
    return {(row.method, row.question) for row in rows if not row.passed}


def test_every_method_gives_its_exact_answer(rows):
    assert failed(rows) == set()
    assert len(rows) == 10
    assert all(row.gate for row in rows)
    assert {row.world for row in rows} == {"hand-built induction transformer", "linear model"}


def test_the_methods_that_are_covered(rows):
    assert {row.method for row in rows} == {
        "log_prob",
        "off_by_one",
        "contrastive",
        "attention",
        "prefix matching",
        "previous token",
        "head slices",
        "EK-FAC",
        "EK-FAC, one label draw",
    }


def test_a_probe_that_is_off_by_one_is_found_out(monkeypatch):
    monkeypatch.setattr(exact_answers, "log_prob_query", off_by_one_query)
    assert ("log_prob", "log-probability per matched position") in failed(exact_rows())


def test_a_mutant_that_is_right_is_found_out(monkeypatch):
    monkeypatch.setattr(exact_answers, "off_by_one_query", log_prob_query)
    assert ("off_by_one", "log-probability per matched position") in failed(exact_rows())


def test_a_wrong_gradient_is_found_out(monkeypatch):
    real = exact_answers.query_gradient
    monkeypatch.setattr(exact_answers, "query_gradient", lambda *args: [1.001 * piece for piece in real(*args)])
    assert {name for name, _ in failed(exact_rows())} == {"log_prob", "contrastive", "attention"}


def test_a_score_that_looks_one_position_aside_is_found_out(monkeypatch):
    monkeypatch.setattr(
        exact_answers, "prefix_matching", lambda patterns, probe: prefix_matching(patterns.roll(1, -1), probe)
    )
    assert failed(exact_rows()) == {("prefix matching", "score of a perfect head")}


def test_slices_of_another_head_are_found_out(monkeypatch):
    class Wrong(Anatomy):
        def head_slices(self, component):
            return super().head_slices("L0.H0")

    monkeypatch.setattr(exact_answers, "Anatomy", Wrong)
    assert failed(exact_rows()) == {("head slices", "zeroed output slice against ablated output")}


def test_a_curvature_that_is_not_inverted_is_found_out(monkeypatch):
    monkeypatch.setattr(exact_answers.BlockFactors, "precondition", lambda self, gradient: gradient)
    assert {name for name, _ in failed(exact_rows())} == {"EK-FAC", "EK-FAC, one label draw"}
