import numpy as np
import pytest
from compared_corpora import noise

from imprint.corpus.comparison import duplicate_groups, jaccard, minhash
from imprint.corpus.comparison import duplicates as module
from imprint.corpus.comparison.shingles import scrambled
from imprint.errors import ConfigError


def overlapping(shared, alone):
    """Two sets of which the Jaccard similarity is shared / (shared + 2 alone)."""
    everything = scrambled(np.arange(shared + 2 * alone, dtype=np.uint64))
    return everything[: shared + alone], np.concatenate([everything[:shared], everything[shared + alone :]])


@pytest.mark.parametrize(("shared", "alone"), [(300, 0), (300, 50), (200, 100), (0, 100)])
def test_signatures_agree_as_often_as_the_sets_do(shared, alone):
    first, second = overlapping(shared, alone)
    similarity = jaccard(first, second)
    assert similarity == shared / (shared + 2 * alone)
    agree = (minhash(first, num_hashes=2000) == minhash(second, num_hashes=2000)).mean()
    assert agree == pytest.approx(similarity, abs=4 * np.sqrt(similarity * (1 - similarity) / 2000) + 1e-12)


def edited(text, place):
    words = text.split()
    words[place] = "edited"
    return " ".join(words)


def test_copies_and_near_copies_are_found_and_others_kept_apart():
    texts = noise(0, 40, count=60, vocabulary=500)
    near = [edited(text, 30) for text in texts]
    copies = [text.upper().replace(" ", ", ") + "." for text in texts]
    assert duplicate_groups(texts).tolist() == list(range(40))
    assert duplicate_groups(texts + near + copies).tolist() == list(range(40)) * 3
    assert duplicate_groups(texts + near + copies, threshold=1.0)[40:80].tolist() == list(range(40, 80))


def test_chains_are_one_group():
    start = noise(1, 1, count=60, vocabulary=500)[0]
    chain = [start]
    for place in (5, 15, 25, 35, 45, 55):
        chain.append(edited(chain[-1], place))
    assert duplicate_groups([chain[0], chain[-1]]).tolist() == [0, 1]
    assert set(duplicate_groups(chain[::-1]).tolist()) == {0}


def test_far_more_pairs_are_found_than_one_band_would(monkeypatch):
    texts = noise(2, 60, count=60, vocabulary=500)
    near = [edited(edited(text, 15), 40) for text in texts]  # Jaccard 52 / 64
    assert len(set(duplicate_groups(texts + near).tolist())) == 60
    monkeypatch.setattr(module, "_ROWS_A_BAND", 128)
    assert len(set(duplicate_groups(texts + near).tolist())) > 100


def test_marks_only_and_nothing():
    assert duplicate_groups(["?!", "? !", "...", "a"]).tolist() == [0, 0, 1, 2]
    assert duplicate_groups([]).tolist() == []


def test_arguments_out_of_range():
    for options in ({"threshold": 0.4}, {"threshold": 1.1}, {"shingle_words": 0}):
        with pytest.raises(ConfigError, match="must lie in"):
            duplicate_groups(["a"], **options)
