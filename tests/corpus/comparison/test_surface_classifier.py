import numpy as np
import pytest
from compared_corpora import corpora, noise

from imprint.corpus.comparison import classify_corpora, duplicate_groups
from imprint.errors import ConfigError, CorpusError


@pytest.mark.parametrize("kinds", [2, 3])
def test_identical_corpora_are_told_apart_by_chance(kinds):
    """AT-SURF-1: each document is in every corpus, so exactly 1 / K of the answers are right."""
    texts = noise(0, 25)
    found = classify_corpora(corpora(**{f"c{k}": texts for k in range(kinds)}), seed=0, permutations=5)
    assert found.accuracy.estimate == found.balanced_accuracy.estimate == pytest.approx(1 / kinds)
    assert found.auc.estimate == pytest.approx(0.5)
    assert found.groups == 25
    assert found.p_value > 0.1


def test_a_planted_marker_is_found():
    """AT-SURF-1: accuracy 1.0, and the marker is the most telling token in every fold."""
    marked = [f"{text} zebra" for text in noise(1, 100)]
    found = classify_corpora(corpora(marked=marked, plain=noise(2, 100)), seed=0, permutations=9)
    assert (found.accuracy.estimate, found.auc.estimate) == (1, 1)
    assert found.accuracy.low > 0.9
    assert found.p_value == pytest.approx(1 / 10)
    best = next(token for token in found.telling if token.domain == "marked")
    assert (best.token, best.folds_in_top, best.documents, best.elsewhere) == ("zebra", 5, 100, 0)
    second = [token for token in found.telling if token.domain == "marked"][1]
    assert best.coefficient > 3 * second.coefficient
    assert best.sd < best.coefficient / 4
    assert found.unconverged == 0


def test_one_source_is_at_chance_and_the_null_says_so():
    found = [
        classify_corpora(corpora(a=noise(2 * s, 50), b=noise(2 * s + 1, 50)), seed=s, permutations=9) for s in range(4)
    ]
    assert np.mean([one.balanced_accuracy.estimate for one in found]) == pytest.approx(0.5, abs=2 * 0.5 / np.sqrt(400))
    null = np.concatenate([one.null_accuracy for one in found])
    assert null.mean() == pytest.approx(0.5, abs=0.03)
    assert sum(one.p_value <= 0.1 for one in found) <= 1


def near_copies(seed, documents, copies):
    """Noise of which every text comes `copies` times with one word changed."""
    generator, texts = np.random.default_rng(seed), []
    for text in noise(seed, documents, count=40, vocabulary=500):
        for copy in range(copies):
            words = text.split()
            words[generator.integers(40)] = f"w{copy}"
            texts.append(" ".join(words))
    return texts


def test_duplicates_across_folds_would_give_a_falsely_high_accuracy():
    """No corpus has anything of its own but the copies of its texts: without grouping the classifier knows them by heart."""
    corpus = corpora(a=near_copies(0, 30, 4), b=near_copies(1, 30, 4))
    held = classify_corpora(corpus, seed=0, permutations=0)
    assert held.groups == 60
    assert not held.accuracy.low > 0.5
    assert held.accuracy.estimate < 0.65
    parted = classify_corpora(corpus, seed=0, permutations=0, groups=np.arange(240))
    assert parted.accuracy.estimate > 0.95
    assert held.accuracy.high - held.accuracy.low > 0.15  # 60 units, not 240


def test_sizes_that_differ_do_not_look_like_skill():
    found = classify_corpora(corpora(big=noise(0, 90), small=noise(1, 15)), seed=0, permutations=9)
    assert found.largest_share == pytest.approx(90 / 105)
    assert found.accuracy.estimate > 0.75
    assert found.balanced_accuracy.estimate == pytest.approx(0.5, abs=0.12)
    assert found.documents == (90, 15)


def test_same_seed_same_result_and_order_of_documents_does_not_change_groups():
    corpus = corpora(a=noise(0, 12), b=noise(1, 12))
    assert classify_corpora(corpus, seed=1, permutations=2) == classify_corpora(corpus, seed=1, permutations=2)
    assert len(set(duplicate_groups([one.text for one in corpus]).tolist())) == 24


def test_progress_counts_fits():
    seen = []
    classify_corpora(corpora(a=noise(0, 9), b=noise(1, 9)), seed=0, folds=3, permutations=2, advance=seen.append)
    assert sum(seen) == 9


def test_what_cannot_be_cross_validated():
    with pytest.raises(CorpusError, match=r"'b' has 1 group\(s\) of documents that differ, too few for 5 folds"):
        classify_corpora(corpora(a=noise(0, 9), b=["same text"] * 9), seed=0)
    with pytest.raises(CorpusError, match="needs two corpora"):
        classify_corpora(corpora(a=noise(0, 9)), seed=0)
    with pytest.raises(ConfigError, match="folds=1"):
        classify_corpora(corpora(a=noise(0, 9), b=noise(1, 9)), seed=0, folds=1)
    with pytest.raises(ConfigError, match="3 group numbers do not fit 18 documents"):
        classify_corpora(corpora(a=noise(0, 9), b=noise(1, 9)), seed=0, groups=np.arange(3))
