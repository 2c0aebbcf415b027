import importlib

import numpy as np
import pytest
import torch
from attribution_models import ragged_rows, tiny

from imprint.attribution.engine import EkfacOptions, fit_factors, influence, likelihood_queries, shards, whole_model
from imprint.attribution.engine.factor_file import load_factors, save_factors
from imprint.errors import ConfigError

OPTIONS = EkfacOptions(labels="data")


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_TOKENS", 40)


def run(folder, *, advance=lambda rows: None, by_token=False, count=30, query_seed=8):
    model = tiny()
    tokens, lengths = ragged_rows(count)
    asked = likelihood_queries(*ragged_rows(3, seed=query_seed))
    scores, _ = influence(
        model,
        whole_model(model),
        asked,
        tokens,
        lengths,
        OPTIONS,
        seed=0,
        batch=4,
        by_token=by_token,
        shards=folder,
        advance=advance,
    )
    return scores


class Killed(Exception):
    pass


@pytest.mark.parametrize("by_token", [False, True])
@pytest.mark.parametrize("after", [31, 38, 50, 59])
def test_killed_anywhere_and_run_again_gives_the_same_bytes(tmp_path, after, by_token):
    whole = run(tmp_path / "whole", by_token=by_token)
    done = []

    def kill(rows):
        done.append(rows)
        if sum(done) >= after:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "killed", advance=kill, by_token=by_token)
    left = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("shard_*")}
    again = run(tmp_path / "killed", by_token=by_token)
    assert again.rows.tobytes() == whole.rows.tobytes()
    for path in sorted((tmp_path / "whole").iterdir()):
        assert path.read_bytes() == (tmp_path / "killed" / path.name).read_bytes(), path.name
    assert all((tmp_path / "killed" / name).stat().st_mtime_ns == time for name, time in left.items())
    assert bool(left) == (after > 34)


def test_shards_change_no_score_beyond_the_rounding_of_stored_factors(tmp_path):
    kept, free = run(tmp_path), run(None)
    np.testing.assert_allclose(kept.rows[:3], free.rows[:3], rtol=2e-3, atol=1e-3 * np.abs(free.rows[:3]).max())
    assert np.array_equal(kept.rows[3:], free.rows[3:])  # without curvature nothing is rounded
    assert len(list(tmp_path.glob("shard_*"))) == 8


def test_a_run_that_goes_on_does_not_fit_again(tmp_path, monkeypatch):
    whole = run(tmp_path)
    monkeypatch.setattr(importlib.import_module("imprint.attribution.engine.influence"), "fit_factors", None)
    again = run(tmp_path)
    assert again.checks == whole.checks
    assert again.rows.tobytes() == whole.rows.tobytes()


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_factors_come_back_and_shared_bases_are_written_once(tmp_path, family):
    model = tiny(family)
    subspace = whole_model(model)
    factors = fit_factors(model, subspace, *ragged_rows(20), OPTIONS, seed=0)
    save_factors(factors, tmp_path / "f.safetensors")
    back = load_factors(tmp_path / "f.safetensors", OPTIONS, dtype=torch.float64)
    for one, other in zip(factors, back, strict=True):
        torch.testing.assert_close(one.output_basis, other.output_basis, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(one.input_basis, other.input_basis, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(one.damped(), other.damped(), rtol=1e-5, atol=1e-9)
    distinct = {id(basis): basis.numel() for f in factors for basis in (f.output_basis, f.input_basis)}
    size = 2 * sum(distinct.values()) + 4 * sum(f.eigenvalues.numel() for f in factors)
    assert size <= (tmp_path / "f.safetensors").stat().st_size < size + 20_000


def test_shards_of_another_pass_are_not_mixed_in(tmp_path):
    run(tmp_path)
    for other in ({"count": 31}, {"query_seed": 9}):
        with pytest.raises(ConfigError, match="holds shards of another scoring pass"):
            run(tmp_path, **other)


def test_a_lost_shard_is_computed_again(tmp_path):
    whole = run(tmp_path)
    (tmp_path / "shard_00003.safetensors").unlink()
    assert run(tmp_path).rows.tobytes() == whole.rows.tobytes()
