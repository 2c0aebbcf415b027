"""imprint's influence on the shapes of `benchmarks.attribution`, timed by stage inside the one public call.

`exact` is bfloat16 passes over all rows with 1 GB to spare, `small` the same within 300 MB, `float32` the same in float32,
`fast` fits factors on a sample of the rows;
`per_token` scores every token; `one_head` is one head with an induction probe, `all_heads` every head in one pass; `floor`
is one forward and backward over the rows by bare torch, the least that anyone can spend.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from benchmarks.attribution_shapes import HEADS, SHAPES, Setting, setting
from benchmarks.attribution_stages import Stages, answer
from imprint.attribution.engine import (
    BlockFactors,
    EkfacOptions,
    Query,
    Subspace,
    attention_query,
    ekfac,
    head_subspace,
    head_subspaces,
    likelihood_queries,
    moments,
    scoring,
    whole_model,
)
from imprint.attribution.engine import influence as run_influence
from imprint.attribution.engine.factor_file import save_factors
from imprint.capabilities import repeat_probe
from imprint.models import token_losses

OPTIONS = {
    "float32": EkfacOptions(max_rows=512, stability="eigenvalues"),
    "exact": EkfacOptions(max_rows=512, stability="eigenvalues", precision="bfloat16"),
    "fast": EkfacOptions(max_rows=128, stability="eigenvalues", precision="bfloat16"),
}
OPTIONS["per_token"] = OPTIONS["exact"].model_copy(update={"token_energy": 0.995})
MEMORY = {"small": 300 << 20}
PLENTY = 1 << 30
PRESET = {"small": "exact", "all_heads": "exact", "one_head": "fast"}


def lengths_of(tokens: torch.Tensor) -> torch.Tensor:
    """All rows are full: as many predicted tokens as there are pairs of neighbours."""
    return torch.full((len(tokens),), tokens.shape[1] - 1)


def questions(name: str, given: Setting) -> tuple[Subspace, tuple[Query, ...]]:
    """What is attributed and to what: likelihoods of rows on the whole model or heads, or one head's probe."""
    if name == "one_head":
        probe = repeat_probe(range(1, 4096), period=60, rows=16, seed=0, bos=0, context=given.train.shape[1])
        return head_subspace(given.model, HEADS[given.shape]), (attention_query(probe, HEADS[given.shape]),)
    space = head_subspaces(given.model) if name == "all_heads" else whole_model(given.model)
    return space, likelihood_queries(given.queries, lengths_of(given.queries))


def scores_of(name: str, given: Setting) -> np.ndarray:
    """The scores of a setting, [query, row] or, by token, [query, row, token]."""
    space, queries = questions(name, given)
    found, _ = run_influence(
        given.model, space, queries, given.train, lengths_of(given.train), OPTIONS[PRESET.get(name, name)],
        seed=0, memory=MEMORY.get(name, PLENTY), by_token=name == "per_token", plain=False, norms=False,
    )  # fmt: skip
    return found.rows if found.tokens is None else found.tokens


def time_inside(stages: Stages) -> list[BlockFactors]:
    """Split the one call into stages; the factors appear in the list that is returned, for their size."""
    whole = import_module("imprint.attribution.engine.influence")
    closed = "checks"
    stages.inside(whole, {"run_checks": closed, "query_gradients": "query", "_directions": "query"})
    stages.inside(ekfac, {"loss_gradients": "passes for the factors", "Rotations": "eigh"}, closed=closed)
    stages.inside(moments.Moments, {"add": "covariance"}, closed=closed)
    stages.inside(moments.Spectrum, {"add": "lambda"}, closed=closed)
    stages.inside(scoring, {"loss_gradients": "pass for the scores"}, closed=closed)
    stages.inside(whole.Shards, {"collect": "score"})
    factors: list[BlockFactors] = []
    fit = whole.fit_factors

    def kept(*given: Any, **named: Any) -> list[BlockFactors]:
        with stages.stage("covariance"):
            factors.extend(found := fit(*given, **named))
        return found

    whole.fit_factors = kept
    return factors


def stored_bytes(factors: list[BlockFactors], scratch: Path) -> int:
    """Size of the factors' file."""
    path = scratch / "factors.safetensors"
    save_factors(factors, path, half=True)
    return path.stat().st_size


def floor(model: PreTrainedModel, rows: torch.Tensor, stages: Stages, batch: int = 16) -> None:
    """Forward and backward of all rows: down to the embeddings without parameters, and as in training."""
    for dtype in (torch.float32, torch.bfloat16):
        model = model.to(dtype)
        for kind in ("forward and backward", "training pass"):
            model.requires_grad_(kind == "training pass")
            for start in range(0, len(rows), batch):
                tokens = rows[start : start + batch]
                with stages.stage(f"{kind}, {str(dtype).removeprefix('torch.')}"):
                    states = model.get_input_embeddings()(tokens[:, :-1]).detach().requires_grad_()
                    logits = model(inputs_embeds=states, use_cache=False).logits
                    token_losses(logits, tokens[:, 1:]).sum().backward()
                model.zero_grad(set_to_none=True)


def run(name: str, shape: str, scratch: Path) -> tuple[dict[str, Any], np.ndarray | None]:
    """One setting, timed by stage."""
    given = setting(shape)
    stages = Stages()
    if name == "floor":
        floor(given.model, given.train, stages)
        return stages.facts(), None
    factors = time_inside(stages)
    with stages.stage("other"):
        scores = scores_of(name, given)
    comparable = name in ("exact", "small", "float32", "fast", "per_token") and shape in SHAPES
    return stages.facts() | {"factor_bytes": stored_bytes(factors, scratch)}, scores if comparable else None


if __name__ == "__main__":
    answer(run, ["floor", "exact", "small", "float32", "fast", "per_token", "one_head", "all_heads"])
