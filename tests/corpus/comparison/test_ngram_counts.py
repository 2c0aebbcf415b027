import pytest

from imprint.corpus.comparison import ngram_counts, surface_tokens
from imprint.corpus.comparison.ngrams import OTHER
from imprint.errors import ConfigError


def table(*texts, **options):
    found = ngram_counts(texts, **options)
    return found.grams, found.counts.toarray().tolist()


def test_tokens_keep_case_and_marks():
    assert surface_tokens("Yes, I'd\nsay_so 2x!!") == ["Yes", ",", "I", "'", "d", "say_so", "2x", "!", "!"]


def test_counts_by_hand():
    assert table("b a b", "a", "") == (("a", "b"), [[1, 2], [1, 0], [0, 0]])
    assert table("b a b a", "a b", n=2) == (("a b", "b a"), [[1, 2], [1, 0]])
    found = ngram_counts(["b a b", "a"])
    assert found.document_frequency.tolist() == [2, 1]


def test_rare_ngrams_share_one_column_and_nothing_is_lost():
    grams, counts = table("b a b c d", "a a e", most=2)
    assert grams == ("a", "b", OTHER)
    assert counts == [[1, 2, 2], [2, 0, 1]]


def test_ngrams_of_other_tokens_do_not_run_together():
    pairs = {"one": ["x y", "z"], "two": ["x", "y z"]}
    found = ngram_counts(["one", "two"], n=2, tokenize=pairs.__getitem__)
    assert found.counts.toarray().tolist() == [[0, 1], [1, 0]]


def test_arguments_out_of_range():
    for options in ({"n": 0}, {"most": 0}):
        with pytest.raises(ConfigError, match="at least 1"):
            ngram_counts(["a"], **options)
    with pytest.raises(ConfigError, match="nothing to count"):
        ngram_counts(["a", "b"], n=2)
