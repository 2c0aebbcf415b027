"""What belongs to a cluster, where it was planted."""

import numpy as np
import pytest
from made_space import PLANTED, recorded, space_of

from imprint.studies.perturbation.space import _associate, reading


def test_the_planted_dimension_is_found_and_no_other():
    found = _associate(recorded(), ("prose", "code"))
    assert np.flatnonzero(found.q[:, 1] <= 0.05).tolist() == [PLANTED]
    assert found.cohen_d[PLANTED, 1] > 2


def test_nothing_is_found_where_nothing_was_planted():
    counts = [int((_associate(recorded(0.0, seed), ("prose", "code")).q <= 0.05).sum()) for seed in range(10)]
    assert sum(count > 0 for count in counts) <= 2


@pytest.mark.parametrize("direction", ["difference", "probe"])
def test_directions_are_unit_and_turned_towards_the_cluster(tmp_path, direction):
    space = space_of(recorded(), tmp_path, direction)
    np.testing.assert_allclose(np.linalg.norm(space.directions, axis=1), 1.0, atol=1e-9)
    gap = space.means[1] - space.means[0]
    assert space.directions[1] @ gap > 0 > space.directions[0] @ gap


def test_typical_tokens_are_the_clusters_own(tmp_path):
    found = recorded(shift=4.0)
    scores = space_of(found, tmp_path).typicality(found.states.astype(np.float64))
    assert (scores.argmax(1) == found.cluster).mean() > 0.9
    np.testing.assert_allclose(scores[:, 0], -scores[:, 1], atol=1e-9)


def test_erasure_leaves_no_difference_of_means(tmp_path):
    found = recorded()
    space = space_of(found, tmp_path)
    states = found.states.astype(np.float64)
    erased = states - np.outer((states - space.mean) @ space.erase_read[1], space.erase_write[1])
    means = [erased[found.cluster == number].mean(0) for number in (0, 1)]
    np.testing.assert_allclose(means[0], means[1], atol=1e-6)


def test_a_space_is_read_back_as_it_was(tmp_path):
    space = space_of(recorded(), tmp_path, dims=((1, 5), ()))
    assert space.index("code") == 1
    assert space.dims[0].tolist() == [1, 5]
    assert space.dims[1].tolist() == []
    assert space.rms == 2.5


def test_the_planted_dimension_tells_unseen_documents_and_random_ones_do_not():
    fitted, unseen = recorded(shift=2.0), recorded(shift=2.0, seed=1)
    found = _associate(fitted, ("prose", "code"))
    read = reading(fitted, unseen, found, 1, np.array([PLANTED]), seed=0)
    assert read["auc"]["low"] > 0.85
    others = [value for value in read["random_auc"] if value < 0.9]
    assert len(others) >= 15
    assert abs(np.mean(others) - 0.5) < 0.15


def test_nothing_chosen_reads_nothing():
    fitted = recorded()
    read = reading(fitted, fitted, _associate(fitted, ("prose", "code")), 1, np.array([], dtype=np.int64), seed=0)
    assert read["auc"]["estimate"] == 0.5
    assert read["random_auc"] == []
