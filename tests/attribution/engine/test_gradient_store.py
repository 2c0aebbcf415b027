import numpy as np
import pytest
import torch
from attribution_models import ragged_rows, tiny
from scipy.stats import spearmanr

from imprint.attribution.engine import (
    EkfacOptions,
    fit_factors,
    likelihood_queries,
    precondition,
    query_gradients,
    whole_model,
)
from imprint.attribution.engine.gradient_store import GradientStore, Whitening
from imprint.attribution.engine.scoring import score_pass
from imprint.errors import ConfigError, CorpusError

OPTIONS = EkfacOptions(labels="data")
ROWS = 60


@pytest.fixture(scope="module")
def world():
    model = tiny()
    subspace = whole_model(model)
    tokens, lengths = ragged_rows(ROWS)
    factors = fit_factors(model, subspace, tokens, lengths, OPTIONS, seed=0)
    gradients = query_gradients(model, subspace, likelihood_queries(*ragged_rows(5, seed=8)))
    passed = score_pass(model, subspace, precondition(factors, gradients), tokens, lengths, by_token=False, norms=False)
    return model, subspace, tokens, lengths, factors, gradients, torch.cat(passed.rows, dim=2).sum(1).numpy()


def build(folder, world, **more):
    model, subspace, tokens, lengths, factors, *_ = world
    return GradientStore.build(folder, model, subspace, factors, tokens, lengths, **more)


def test_scores_are_those_of_the_engine_up_to_rounding(tmp_path, world):
    store = build(tmp_path, world)
    *_, gradients, exact = world
    ours = GradientStore.open(tmp_path).scores(gradients)
    assert ours.shape == exact.shape
    assert min(spearmanr(a, b).statistic for a, b in zip(ours, exact, strict=True)) > 0.999
    np.testing.assert_allclose(ours, exact, atol=0.02 * np.abs(exact).max())
    assert store.rows == ROWS


def test_one_byte_a_parameter_and_a_sixteenth_for_the_coarse_file(tmp_path, world):
    store = build(tmp_path, world)
    parameters = sum(store.sizes)
    assert np.load(tmp_path / "codes.npy").nbytes == ROWS * parameters
    assert np.load(tmp_path / "coarse.npy").nbytes == ROWS * (parameters // 16)


def test_top_rows_come_from_the_exact_ranking(tmp_path, world):
    store = build(tmp_path, world)
    *_, gradients, _ = world
    full = store.scores(gradients)
    indices, values = store.top(gradients, 5, share=1.0)
    for query in range(5):
        assert indices[query].tolist() == np.argsort(-full[query], kind="stable")[:5].tolist()
        np.testing.assert_allclose(values[query], full[query][indices[query]], rtol=1e-5)


def test_coarse_coordinates_are_those_with_energy(world):
    *_, factors, _, _ = world
    whitening = Whitening.of(factors)
    energy = torch.cat([(f.eigenvalues / f.damped()).flatten() for f in factors])
    kept = energy[whitening.coarse]
    assert len(kept) == len(energy) // 16
    assert float(kept.min()) >= float(np.sort(energy.numpy())[-len(kept)])


class Killed(Exception):
    pass


def test_a_killed_build_goes_on_to_the_same_bytes(tmp_path, world):
    build(tmp_path / "whole", world)
    done = []

    def kill(rows):
        done.append(rows)
        if len(done) == 3:
            raise Killed

    with pytest.raises(Killed):
        build(tmp_path / "killed", world, advance=kill)
    with pytest.raises(CorpusError, match="no finished gradient store"):
        GradientStore.open(tmp_path / "killed")
    again = []
    build(tmp_path / "killed", world, advance=again.append)
    assert again[0] > 0  # what was done is not done again
    for path in sorted((tmp_path / "whole").iterdir()):
        assert path.read_bytes() == (tmp_path / "killed" / path.name).read_bytes(), path.name


def test_another_store_is_not_overwritten(tmp_path, world):
    build(tmp_path, world)
    model, subspace, tokens, lengths, factors, *_ = world
    with pytest.raises(ConfigError, match="holds another gradient store"):
        GradientStore.build(tmp_path, model, subspace, factors, tokens[:20], lengths[:20])


def test_bad_requests(tmp_path, world):
    store = build(tmp_path, world)
    *_, gradients, _ = world
    with pytest.raises(ConfigError, match="ask for 1 to 60"):
        store.top(gradients, 61)
    with pytest.raises(ConfigError, match="were given to a store of"):
        store.scores(gradients[:-1])
