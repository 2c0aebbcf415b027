"""The screen never misses a pair within 1, never accepts one beyond, and leaves few undecided."""

import numpy as np
import pytest
import torch

from imprint.corpus.clusters import screen as screen_module
from imprint.corpus.clusters.coarse import Bound, Coarse
from imprint.corpus.clusters.scaled import Frame
from imprint.corpus.clusters.screen import Rounded, Screen, fastest_dtype, positive

DTYPES = (torch.float32, torch.bfloat16)


def screened(points, dtype):
    screen = Screen(Rounded.of(points, np.zeros(len(points)), dtype))
    product = screen.product(slice(None), screen, slice(None))
    left, right = np.nonzero(positive(product))
    sure = screen.sure(product[left, right].float().numpy(), left, screen, right)
    return left, right, sure


def distances(points):
    return np.linalg.norm(points[:, None] - points[None], axis=2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0.05, 0.2, 1.0])
def test_nothing_within_one_is_missed_and_nothing_beyond_is_sure(dtype, scale):
    points = scale * np.random.default_rng(0).standard_normal((300, 24))
    points[150:] += 30 * scale
    left, right, sure = screened(points, dtype)
    true = distances(points) <= 1
    candidates = np.zeros_like(true)
    candidates[left, right] = True
    assert not (true & ~candidates).any()
    assert true[left[sure], right[sure]].all()


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 0.002), (torch.bfloat16, 0.1)])
def test_few_pairs_are_left_undecided(dtype, most):
    points = 0.15 * np.random.default_rng(0).standard_normal((400, 24))
    left, _, sure = screened(points, dtype)
    assert 0 < len(left) - sure.sum() < most * len(left) + 1


def test_without_the_margin_pairs_would_be_missed(monkeypatch):
    points = np.random.default_rng(0).standard_normal((400, 24)) * 0.15
    true = distances(points) <= 1

    def missed(moved_factor):
        rounded = Rounded.of(points, np.zeros(len(points)), torch.bfloat16)
        cheat = Rounded(points=rounded.points, moved=moved_factor * rounded.moved, norms=rounded.norms)
        screen = Screen(cheat)
        return int((true & ~positive(screen.product(slice(None), screen, slice(None)))).sum())

    assert missed(1.0) == 0
    assert missed(-1.0) > 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_nearest_is_among_the_best(dtype):
    points = 0.2 * np.random.default_rng(3).standard_normal((300, 24))
    screen = Screen(Rounded.of(points, np.zeros(300), dtype))
    rows, columns = np.arange(150), np.arange(150, 300)
    left, right = screen.best(screen.product(rows, screen, columns), rows, screen, columns)
    gaps = distances(points)[:150, 150:]
    for row in range(150):
        if gaps[row].min() <= 1:
            assert gaps[row].argmin() in right[left == row]
    assert len(left) < 150 * 20


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_coarse_bound_removes_points_but_no_neighbour(dtype, monkeypatch):
    generator = np.random.default_rng(0)
    states = np.concatenate([generator.standard_normal((200, 64)), 40 + generator.standard_normal((200, 64))])
    frame = Frame(centre=states.mean(0), eps=11.0, dtype=dtype)
    bound = Coarse.fit(states, frame).bound(states)
    rows, columns = np.arange(0, 300), np.arange(100, 400)
    near = distances(states)[np.ix_(rows, columns)] <= 11.0
    left, right = bound.survivors(rows, columns)
    assert near[~np.isin(rows, left)].sum() == 0
    assert near[:, ~np.isin(columns, right)].sum() == 0
    few, none = bound.survivors(np.arange(200), np.arange(200, 400))
    assert len(few) == len(none) == 0


def test_a_bound_that_removes_nothing_is_given_up():
    image = np.zeros((64, 3), dtype=np.float32)
    bound = Bound(image, 16, torch.float32)
    for _ in range(60):
        bound.survivors(np.arange(32), np.arange(32, 64))
    assert bound._tried == 40


def test_the_faster_dtype_is_taken(monkeypatch):
    for fast in DTYPES:
        monkeypatch.setattr(screen_module, "_seconds", lambda dtype, _, fast=fast: float(dtype != fast))
        assert fastest_dtype(64) is fast
