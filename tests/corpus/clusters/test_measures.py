import time

import numpy as np
import pytest
from scipy import stats

from imprint.corpus.clusters.concepts import concept_counts
from imprint.corpus.clusters.discourse import DISCOURSE_MARKERS, discourse_counts
from imprint.corpus.clusters.entities import entity_counts
from imprint.corpus.clusters.measures import MEASURES, measure, text_counts
from imprint.corpus.clusters.ratios import ratio
from imprint.corpus.clusters.syntax import bracket_depths, syntax_counts
from imprint.corpus.clusters.words import num_sentences, words


def test_words():
    assert words("Don't use my_name2; L’été, x") == ["don't", "use", "my", "name", "l’été", "x"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", 3),
        ('He said "no." Then left.', 2),
        ("Version 3.11 is out.", 1),
        ("A heading\n\nA paragraph of text", 2),
        ("... !!! 12. 13.", 0),
        ("Wait... what?", 2),
        ("", 0),
    ],
)
def test_sentences(text, sentences):
    assert num_sentences(text) == sentences


def test_bracket_depth():
    assert bracket_depths("a(b[c]d)e").tolist() == [0, 1, 1, 2, 2, 1, 1, 0, 0]
    assert bracket_depths(")a(b").tolist() == [0, 0, 1, 1]
    assert bracket_depths("").tolist() == []


def test_syntax():
    text = "def f(x):\n\tif x:\n        return 1\n\n"
    found = syntax_counts(text, words(text))
    assert (found["lines"], found["indent"], found["subordinators"]) == (3, 12, 1)
    assert found["depth"] == 2  # "(" and "x"
    assert found["punctuation"] == 4
    assert found["visible"] == len("deff(x):ifx:return1")


@pytest.mark.parametrize(
    ("text", "kind", "times"),
    [
        ("12, 3.5e-3 and 1,000 but not x9", "number", 3),
        ("2024-03-01, March 3, 1999 and 4 May 2001", "date", 3),
        ("see https://a.org/b?c=1 or www.b.org.", "url", 2),
        ("mail a.b+c@d-e.org now", "email", 1),
        ("Ada Lovelace met Charles in New York City", "name", 2),
        ("NASA and the EU, A", "acronym", 2),
        ("my_var = camelCase + plain + a__b", "identifier", 3),
        ("f(x) + max (y)", "call", 1),
        (r"\frac{1}{2} \alpha \\ ", "latex command", 2),
        ("<p class='x'>a < b</p>", "markup tag", 2),
    ],
)
def test_entities(text, kind, times):
    assert entity_counts(text)[kind] == times


def test_discourse_counts_longest_first_and_across_lines():
    found = discourse_counts("Even though it rained, however, we left. For\n example, because of that. Before, then.")
    assert found == {"contrast": 2, "cause": 1, "temporal": 2, "elaboration": 1}
    assert discourse_counts("Button sincerely butter thence") == dict.fromkeys(DISCOURSE_MARKERS, 0)


def test_concepts():
    text = ["the", "cat", "quickly", "sat", "on", "the", "mat"]
    found = concept_counts(text)
    assert (found["content"], found["propositions"], found["in segments"]) == (4, 2, 0)
    found = concept_counts((["apple", "the"] * 50) + ["pear"] * 99)
    assert (found["in segments"], found["types"], found["concepts"]) == (100, 2, 1)


def test_ratio_is_the_linearised_estimator():
    part, whole = np.array([1.0, 3.0, 2.0, 5.0]), np.array([2.0, 4.0, 5.0, 9.0])
    found = ratio(part, whole, scale=10.0)
    rate = 11 / 20
    error = np.std((part - rate * whole) / 5, ddof=1) / 2
    assert found.estimate == pytest.approx(10 * rate)
    assert found.high - found.estimate == pytest.approx(10 * error * stats.t.ppf(0.975, 3))


def test_ratio_of_equal_wholes_is_the_mean_with_its_t_interval():
    values = np.array([0.2, 0.4, 0.9, 0.1, 0.5])
    found = ratio(values, np.ones(5))
    low, high = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_ratio_needs_two_documents():
    assert ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0])) is None


def test_ratio_interval_covers_the_truth():
    """95 % of intervals over 40 documents should hold the true rate of 0.3; an interval over words would be too narrow."""
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        whole = generator.integers(20, 80, 40).astype(float)
        part = generator.binomial(whole.astype(int), generator.beta(3, 7, 40)).astype(float)
        found = ratio(part, whole)
        hits += found.low <= 0.3 <= found.high
    assert 0.91 <= hits / 400 <= 0.98


def test_measures_by_hand():
    texts = ["The cat sat because it rained. It slept.", "Dogs bark. But cats (often) do not."]
    found = measure([text_counts(text) for text in texts])
    assert found["sentence_length"].estimate == pytest.approx(15 / 4)
    assert found["clauses_per_sentence"].estimate == pytest.approx(5 / 4)
    assert found["discourse.contrast"].estimate == pytest.approx(1000 / 15)
    assert found["discourse.cause"].estimate == pytest.approx(1000 / 15)
    assert "type_token_ratio" not in found  # no text has 100 words


def test_every_measure_can_be_said_of_ordinary_text():
    text = "Ada Lovelace wrote, in 1843, that the engine (as built) weaves patterns. " * 20
    found = measure([text_counts(text), text_counts(text + "It may not be so.")])
    assert set(found) == {rate.name for rate in MEASURES}


@pytest.mark.parametrize(
    "piece",
    ["a", "(", "1,", "a_", "Aa ", ".", "...x", "<a", "a@", "\\", "\n ", "'a", "aA", "www.", "Jan 1, ", "-", '."'],
)
def test_time_is_linear_whatever_the_text(piece):
    """A rule that backtracks would take minutes on one of these."""
    text = piece * (150_000 // len(piece))
    start = time.perf_counter()
    text_counts(text)
    assert time.perf_counter() - start < 5
