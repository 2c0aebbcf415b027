import json

import numpy as np
import pytest

from imprint.attribution.stages import StageScores, stage_agreements
from imprint.errors import CorpusError, InputError, SelfCheckFailed

IDS = ("d", "b", "a", "c", "e", "f")
VALUES = np.array([1.0, 5.0, 1.0, -2.0, 1.0, -7.0])


def scores(ids=IDS, values=VALUES, method="m"):
    return StageScores(ids=ids, values=values, method=method, checks={"x": 1.0})


def test_both_ends_with_ties_in_the_order_of_names():
    assert scores().top(0.5) == ("b", "a", "d")
    assert scores().bottom(0.5) == ("f", "c", "a")
    assert scores().top(0.01) == ("b",)
    with pytest.raises(InputError, match="fraction"):
        scores().top(1.0)


def test_the_order_of_the_rows_does_not_matter():
    order = np.random.default_rng(0).permutation(len(IDS))
    other = scores(tuple(IDS[place] for place in order), VALUES[order])
    for fraction in (0.2, 0.5, 0.8):
        assert other.top(fraction) == scores().top(fraction)
        assert other.bottom(fraction) == scores().bottom(fraction)
        assert other.random(fraction, 3) == scores().random(fraction, 3)


def test_random_rows_follow_the_seed_and_nothing_else():
    names = tuple(f"row{number}" for number in range(100))
    one = StageScores(ids=names, values=np.arange(100.0), method="m", checks={})
    other = StageScores(ids=names, values=-np.arange(100.0), method="m", checks={})
    assert one.random(0.2, 1) == other.random(0.2, 1) != one.random(0.2, 2)
    assert len(set(one.random(0.2, 1))) == 20
    means = [np.mean([int(name[3:]) for name in one.random(0.2, seed)]) for seed in range(40)]
    assert np.mean(means) == pytest.approx(49.5, abs=3)


def test_saved_and_loaded(tmp_path):
    scores().save(tmp_path / "new")
    found = StageScores.load(tmp_path / "new")
    assert (found.ids, found.values.tolist(), found.method, found.checks) == (IDS, VALUES.tolist(), "m", {"x": 1.0})
    assert np.load(tmp_path / "new" / "scores.npy").dtype == np.float64
    assert json.loads((tmp_path / "new" / "ids.json").read_text()) == list(IDS)
    (tmp_path / "new" / "ids.json").unlink()
    with pytest.raises(CorpusError, match="does not hold complete stage scores"):
        StageScores.load(tmp_path / "new")


def test_scores_that_are_none():
    with pytest.raises(InputError, match="6 scores do not fit 2 row names"):
        scores(("a", "b"))
    with pytest.raises(InputError, match="do not fit 5 row names"):
        scores(("a", "a", "b", "c", "d", "e"))
    with pytest.raises(SelfCheckFailed, match="1 scores of m are not finite, the first is that of row 'c'"):
        scores(values=np.where(VALUES == -2, np.nan, VALUES))


def test_methods_agree_by_name_and_not_by_place():
    turned = scores(IDS[::-1], VALUES[::-1].copy(), "turned")
    [same] = stage_agreements([scores(), turned], fraction=0.3)
    assert (same.one, same.other, same.spearman, same.overlap) == ("m", "turned", pytest.approx(1.0), 1.0)
    [other] = stage_agreements([scores(), scores(values=-VALUES, method="minus")], fraction=0.3)
    assert (other.spearman, other.overlap) == (pytest.approx(-1.0), 0.0)
    with pytest.raises(InputError, match="different rows"):
        stage_agreements([scores(), scores(("u", *IDS[1:]))], fraction=0.3)
