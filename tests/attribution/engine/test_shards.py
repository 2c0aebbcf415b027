import importlib

import numpy as np
import pytest
import torch
from attribution_models import ragged_rows, tiny

from imprint.attribution.engine import (
    EkfacOptions,
    fit_factors,
    head_subspace,
    influence,
    likelihood_queries,
    shards,
    whole_model,
)
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


def test_shards_change_no_score(tmp_path):
    assert np.array_equal(run(tmp_path).rows, run(None).rows)
    assert len(list(tmp_path.glob("shard_*"))) == 10


def test_a_run_that_goes_on_does_not_fit_again(tmp_path, monkeypatch):
    whole = run(tmp_path)
    monkeypatch.setattr(importlib.import_module("imprint.attribution.engine.influence"), "fit_factors", None)
    again = run(tmp_path)
    assert again.checks == whole.checks
    assert again.rows.tobytes() == whole.rows.tobytes()


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_factors_come_back_and_shared_bases_are_written_once(tmp_path, family, half):
    model = tiny(family)
    subspace = whole_model(model)
    factors = fit_factors(model, subspace, *ragged_rows(20), OPTIONS, seed=0)
    save_factors(factors, tmp_path / "f.safetensors", half=half)
    back = load_factors(tmp_path / "f.safetensors", OPTIONS)
    near = {"rtol": 1e-3, "atol": 1e-3, "check_dtype": False} if half else {"rtol": 0, "atol": 0}
    for one, other in zip(factors, back, strict=True):
        torch.testing.assert_close(one.output_basis, other.output_basis, **near)
        torch.testing.assert_close(one.input_basis, other.input_basis, **near)
        torch.testing.assert_close(one.damped(), other.damped(), **near)
    distinct = {id(basis): basis.numel() for f in factors for basis in (f.output_basis, f.input_basis)}
    bases, eigenvalues = (2, 4) if half else (8, 8)
    size = bases * sum(distinct.values()) + eigenvalues * sum(f.eigenvalues.numel() for f in factors)
    assert size <= (tmp_path / "f.safetensors").stat().st_size < size + 20_000


def fresh(seed, **more):
    model = tiny(seed=seed)
    tokens, lengths = ragged_rows(30)
    settings = {"options": OPTIONS, "by_token": False, "norms": True, "head": "L1.H1", **more}
    options, head = settings.pop("options"), settings.pop("head")
    asked = likelihood_queries(*ragged_rows(3, seed=8))
    return model, head_subspace(model, head), asked, tokens, lengths, options, settings


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"head": "L1.H2"},
        {"options": EkfacOptions()},
        {"by_token": True},
        {"norms": False},
    ],
)
def test_a_run_killed_after_its_fit_is_not_continued_by_another(tmp_path, change):
    """The published code caches its factors under a name that lacks the model and the data (METHODS 1.4, defect 5)."""
    for number, settings in enumerate(({"seed": 0}, {"seed": 0} | change)):
        model, subspace, asked, tokens, lengths, options, more = fresh(**settings)
        if number == 0:
            influence(model, subspace, asked, tokens, lengths, options, seed=0, shards=tmp_path, **more)
            for path in tmp_path.glob("shard_*"):
                path.unlink()
        else:
            with pytest.raises(ConfigError, match="holds shards of another scoring pass"):
                influence(model, subspace, asked, tokens, lengths, options, seed=0, shards=tmp_path, **more)


def test_another_batch_goes_on_with_the_same_shards(tmp_path):
    model, subspace, asked, tokens, lengths, options, more = fresh(0)
    whole, _ = influence(model, subspace, asked, tokens, lengths, options, seed=0, shards=tmp_path, batch=8, **more)
    (tmp_path / "shard_00002.safetensors").unlink()
    again, _ = influence(model, subspace, asked, tokens, lengths, options, seed=0, shards=tmp_path, batch=3, **more)
    np.testing.assert_allclose(again.rows, whole.rows, rtol=1e-9)
