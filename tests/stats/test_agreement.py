import numpy as np
import pytest

from imprint.errors import InputError
from imprint.stats.agreement import krippendorff_alpha


def table(*rows):
    """Rows of labels as numbers; "." is a missing one."""
    numbers = {}
    return np.array([[-1 if x == "." else numbers.setdefault(x, len(numbers)) for x in row.split()] for row in rows])


KRIPPENDORFF_2011 = [
    (("0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"), 0.095),
    (("a a b b d c c c e d d a", "b a b b b c c c e d d d"), 0.692),
    (
        (
            "1 2 3 3 2 1 4 1 2 . . .",
            "1 2 3 3 2 2 4 1 2 5 . 3",
            ". 3 3 3 2 3 4 2 2 5 1 .",
            "1 2 3 3 2 4 4 1 2 5 1 .",
        ),
        0.743,
    ),
]


@pytest.mark.parametrize(("rows", "alpha"), KRIPPENDORFF_2011)
def test_published_values(rows, alpha):
    found = krippendorff_alpha(table(*rows), seed=0)
    assert found.estimate == pytest.approx(alpha, abs=5e-4)
    assert found.low <= found.estimate <= found.high


def test_units_with_one_label_do_not_count():
    """The last published example has 12 units, of which one has a single label."""
    found = krippendorff_alpha(table(*KRIPPENDORFF_2011[2][0]), seed=0)
    assert (found.n, found.unit) == (11, "item")


def test_perfect_agreement_is_one_and_chance_is_zero():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 400)
    assert krippendorff_alpha(np.stack([labels, labels]), seed=0).estimate == 1.0
    chance = krippendorff_alpha(generator.integers(0, 3, (3, 400)), seed=0)
    assert chance.low < 0 < chance.high


def test_names_of_labels_and_order_of_annotators_do_not_matter():
    rows = table(*KRIPPENDORFF_2011[2][0])
    renamed = np.where(rows < 0, -1, np.array([7, 3, 9, 0, 5])[rows])
    assert krippendorff_alpha(renamed[::-1], seed=0) == krippendorff_alpha(rows, seed=0)


def test_interval_covers_the_truth():
    """Two annotators who each see the truth with chance .8, else guess among 4: alpha is .64 in the long run."""
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        truth = generator.integers(0, 4, 60)
        seen = [np.where(generator.random(60) < 0.8, truth, generator.integers(0, 4, 60)) for _ in range(2)]
        found = krippendorff_alpha(np.stack(seen), seed=0, draws=400)
        hits += found.low <= 0.64 <= found.high
    assert 0.89 <= hits / 200 <= 0.99


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([[0, 1, 1]]), "1 annotator"),
        (np.array([[0, 1, -1], [-1, 1, 1]]), "1 unit"),
        (np.array([[2, 2, 2], [2, 2, 2]]), "same label"),
        (np.array([[0, -2, 1], [0, 1, 1]]), "label -2 is below -1"),
    ],
)
def test_undefined(labels, message):
    with pytest.raises(InputError, match=message):
        krippendorff_alpha(labels, seed=0)
