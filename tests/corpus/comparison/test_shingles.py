import numpy as np

from imprint.corpus.comparison.shingles import normalised, normalised_words, shingle_hashes


def test_case_marks_spaces_and_forms_of_letters_do_not_count():
    assert normalised('  The ﬁrst,\n"STRASSE"!') == normalised("the first straße") == "the first strasse"
    assert normalised("?! ...") == "?!..."
    assert normalised("plus one") != normalised("minus one")


def test_equal_runs_have_equal_hashes_wherever_they_stand():
    first, second = (shingle_hashes(text.split(), 3) for text in ("a b c d", "x b c d a b c"))
    assert (len(first), len(second)) == (2, 5)
    assert first[1] == second[1]
    assert first[0] == second[4]
    assert len(np.unique(np.concatenate([first, second]))) == 5


def test_order_counts_and_short_texts_are_one_run():
    assert shingle_hashes(["a", "b"], 2) != shingle_hashes(["b", "a"], 2)
    assert len(shingle_hashes(["a", "b"], 3)) == 1
    assert shingle_hashes(["a", "b"], 3)[0] == shingle_hashes(["a", "b"], 2)[0]


def test_no_collisions_among_many():
    words = normalised_words(" ".join(f"w{number}" for number in range(20_000)))
    assert len(np.unique(shingle_hashes(words, 3))) == 19_998
