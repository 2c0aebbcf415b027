"""One pipeline a test file, trained in double precision, so that derivatives can be told from rounding."""

import os
from functools import cache, partial
from types import SimpleNamespace

import pytest
from stage_runs import pipeline

from imprint.attribution.stages import recorded
from imprint.capabilities import pair_margins
from imprint.models import load_model
from imprint.models.finetuning import steps
from imprint.runs import Store, recipe

DIGEST = cache(recipe.source_digest)


@pytest.fixture(scope="module")
def quick():
    """The source is read once, and fsync is left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(recipe, "source_digest", DIGEST)
        yield patch


@pytest.fixture(scope="module")
def world(quick, tmp_path_factory):
    """A store, the last stage of a pipeline, and the pairs of its outcome."""
    for module in (steps, recorded, pair_margins):
        quick.setattr(module, "load_model", partial(load_model, dtype="float64"))
    folder = tmp_path_factory.mktemp("world")
    final, outcome = pipeline(folder)
    return SimpleNamespace(store=Store(folder / "store"), final=final, outcome=outcome, folder=folder)
