"""Influence of training rows on a subspace: - grad L(z)^T H^-1 grad f, for many queries in one pass over the rows."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.checks import run_checks
from imprint.attribution.ekfac import LEAST_ROWS, EkfacOptions, fit_factors, precondition
from imprint.attribution.queries import Query, query_gradient
from imprint.attribution.scores import Scores
from imprint.attribution.scoring import Pass, score_rows
from imprint.attribution.subspace import Subspace
from imprint.errors import ConfigError, SelfCheckFailed
from imprint.models import evaluating
from imprint.types import Advance, no_progress

PLAIN = "dot"
"""Name suffix of the same query without curvature (the identity in place of the inverse Fisher)."""


def influence(
    model: PreTrainedModel,
    subspace: Subspace,
    queries: Sequence[Query],
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    options: EkfacOptions,
    *,
    seed: int,
    batch: int = 64,
    advance: Advance = no_progress,
) -> tuple[Scores, Pass]:
    """EK-FAC influence of every row and token on every query, each also without curvature (`<query>/dot`).

    Positive = training on the row raises the query. The loss of a row is the *sum* over its tokens, so long rows weigh
    more; `per_token` gives the normalised ranking. The self-checks run first and raise when they fail.
    Source: Mechanistic Data Attribution, with the probe at the right position (METHODS §1.4 lists the published defects).
    Trust: reliable inside the transition, when the mechanism is forming; before it, loss or gradient norm ranks as well.

    Raises:
        ConfigError: fewer than 4 rows.
        SelfCheckFailed: a self-check does not hold, or a score is not finite.
    """
    if len(tokens) < LEAST_ROWS:
        raise ConfigError(f"influence needs at least {LEAST_ROWS} rows to fit its factors twice, not {len(tokens)}")
    with evaluating(model):
        fitted = _fit_rows(len(tokens), options.max_rows, seed)
        factors = fit_factors(model, subspace, tokens[fitted], lengths[fitted], options, seed=seed, advance=advance)
        gradients = [query_gradient(model, subspace, query) for query in queries]
        checks = run_checks(model, subspace, queries, gradients, tokens[fitted], lengths[fitted], options, seed=seed)
        directions = [*(precondition(factors, gradient) for gradient in gradients), *gradients]
        collected = score_rows(model, subspace, directions, tokens, lengths, batch=batch, advance=advance)
    whole = torch.cat(collected.scores, dim=1)
    names = [query.name for query in queries]
    names += [f"{name}/{PLAIN}" for name in names]
    scores = Scores(
        queries=tuple(names),
        rows=_finite(whole.double().sum(-1).numpy(), names),
        tokens=whole[: len(queries)].float().numpy(),
        subspace=subspace.name,
        checks=checks,
    )
    return scores, collected


def _fit_rows(rows: int, most: int, seed: int) -> Int[Tensor, "fitted"]:
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    return order[:most].sort().values


def _finite(rows: Float64[np.ndarray, "query row"], names: Sequence[str]) -> Float64[np.ndarray, "query row"]:
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        query, row = bad[0]
        raise SelfCheckFailed(
            f"{len(bad)} influence scores are not finite, the first is that of row {row} on '{names[query]}'; look for a"
            " diverged checkpoint, or raise the damping"
        )
    return rows
