"""Influence of training rows on a subspace: - grad L(z)^T H^-1 grad f, for many queries in one pass over the rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine.checks import run_checks, to_check
from imprint.attribution.engine.damping import damping_sweep
from imprint.attribution.engine.ekfac import LEAST_ROWS, BlockFactors, EkfacOptions, at_precision, fit_factors
from imprint.attribution.engine.factor_file import kept_factors
from imprint.attribution.engine.memory import plan_memory
from imprint.attribution.engine.pruning import without_idle_outputs
from imprint.attribution.engine.queries import Query, query_gradients
from imprint.attribution.engine.scores import Scores
from imprint.attribution.engine.scoring import Pass
from imprint.attribution.engine.shards import Shards, claim
from imprint.attribution.engine.subspace import Subspace
from imprint.errors import ConfigError, SelfCheckFailed
from imprint.models import evaluating
from imprint.types import Advance, no_progress

_QUERY_BATCH = 4
_CHECK_BYTES = 32
"""A parameter in double precision, with its gradient and copies: what the self-checks hold where there is room."""
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
    memory: int | None = None,
    by_token: bool = True,
    plain: bool = True,
    norms: bool = True,
    shards: Path | None = None,
    advance: Advance = no_progress,
) -> tuple[Scores, Pass]:
    """EK-FAC influence of every row (and token) on every query, each also without curvature (`<query>/dot`).

    Positive = training on the row raises the query. The loss of a row is the *sum* over its tokens, so long rows weigh
    more; `per_token` gives the normalised ranking. The self-checks run first and raise when they fail. Without
    `by_token` rows are scored only, split by the subspace's groups (heads, modules), which is much cheaper for many
    queries. With `memory` (bytes beyond the model) batches and groups of queries are cut to fit. With a folder `shards`
    a killed run goes on where it was and ends with the same bytes.
    Source: Mechanistic Data Attribution, with the probe at the right position (METHODS §1.4 lists the published defects).
    Trust: the rest of the model counts as frozen. Reliable inside the transition, when the mechanism is forming; before
    it, loss or gradient norm ranks as well.

    Raises:
        ConfigError: no query, fewer than 4 rows, or a folder of another run's shards.
        SelfCheckFailed: a self-check does not hold, or a score is not finite.
    """
    if len(tokens) < LEAST_ROWS:
        raise ConfigError(f"influence needs at least {LEAST_ROWS} rows to fit its factors twice, not {len(tokens)}")
    _check_queries(queries)
    _check_rows(model, tokens, lengths)
    together = len(queries)
    if memory is not None:
        seq = tokens.shape[1] - 1
        fit_rows = min(len(tokens), options.max_rows)
        more = {"seq": seq, "queries": together, "fit_rows": fit_rows, "directions": 1 + plain}
        plan = plan_memory(memory, model, subspace, options=options, **more)
        batch, together = plan.batch, plan.queries
        options = options.model_copy(update={"batch": plan.fit_batch, "keep_bytes": plan.keep_bytes})
    with evaluating(model):
        fitted = fitting_rows(len(tokens), options.max_rows, seed)
        known = tokens[fitted], lengths[fitted]
        fast = at_precision(model, options)
        there = subspace.on(fast)
        sample = to_check(queries)
        roomy = memory is None or _CHECK_BYTES * sum(p.numel() for p in model.parameters()) <= memory
        wide = torch.float64 if roomy else torch.float32
        gradients = query_gradients(model, subspace, sample, batch=_QUERY_BATCH)

        def fit() -> tuple[list[BlockFactors], dict[str, float]]:
            factors = fit_factors(fast, there, *known, options, seed=seed, advance=advance)
            checks = run_checks(
                model, subspace, sample, gradients, *known, options, seed=seed, factors=factors, fast=fast, dtype=wide
            )
            if options.damping_sweep:
                checks |= damping_sweep(fast, there, factors, gradients, *known, options.damping_sweep, batch=batch)
            return factors, checks

        if shards is not None:
            kind = (by_token, norms, plain, together, seed, subspace.name, [query.name for query in queries])
            sides = [(block.input_key, block.output_key) for block in subspace.blocks]
            words = (kind, sides, options.model_dump_json(exclude={"batch", "keep_bytes"}))
            texts = [query.likelihood_of[0] for query in queries if query.likelihood_of is not None]
            parts_of = [tokens, lengths, *texts, *gradients, *model.state_dict().values()]
            claim(shards, "shards of another scoring pass", words, parts_of)
        factors, checks = fit() if shards is None else kept_factors(shards, options, fit)
        gradients.clear()
        parts = list[Pass]()
        for start in range(0, len(queries), together):
            asked = queries[start : start + together]
            directions = query_directions(model, subspace, factors, asked, fast.dtype, plain=plain)
            folder = shards if shards is None or together >= len(queries) else shards / f"queries_{start:05d}"
            scored = there
            if by_token and options.token_energy < 1:
                scored, directions = without_idle_outputs(there, factors, directions, options.token_energy)
            work = Shards(folder, tokens, lengths, directions)
            with_norms = norms and start == 0
            parts.append(work.collect(fast, scored, by_token=by_token, norms=with_norms, batch=batch, advance=advance))
    collected = _joined(parts, curved=[min(together, len(queries) - n) for n in range(0, len(queries), together)])
    names = [query.name for query in queries]
    names += [f"{name}/{PLAIN}" for name in names] if plain else []
    by_row = torch.cat(collected.scores, dim=1).sum(-1, dtype=torch.float64) if by_token else None
    by_group = None if by_token else torch.cat(collected.rows, dim=2).numpy()
    rows = by_row.numpy() if by_row is not None else np.asarray(by_group, dtype=np.float64).sum(1)
    scores = Scores(
        queries=tuple(names),
        rows=_finite(rows, names),
        tokens=torch.cat(collected.scores, dim=1)[: len(queries)].float().numpy() if by_token else None,
        by_group=by_group,
        groups=subspace.groups,
        subspace=subspace.name,
        checks=checks,
    )
    return scores, collected


def query_directions(
    model: PreTrainedModel,
    subspace: Subspace,
    factors: Sequence[BlockFactors],
    queries: Sequence[Query],
    dtype: torch.dtype,
    *,
    plain: bool,
) -> list[Float[Tensor, "direction _out _in"]]:
    """Preconditioned gradients (and the plain ones after them) in the precision of the pass; only a few are ever wider."""
    count = len(queries)
    directions = [
        torch.empty((1 + plain) * count, *block.eigenvalues.shape, dtype=dtype, device=model.device)
        for block in factors
    ]
    for start in range(0, count, _QUERY_BATCH):
        few = queries[start : start + _QUERY_BATCH]
        for block, stack, raw in zip(factors, directions, query_gradients(model, subspace, few), strict=True):
            stack[start : start + len(few)] = block.precondition(raw, back_in=dtype)
            if plain:
                stack[count + start : count + start + len(few)] = raw.to(dtype)
    return directions


def _joined(parts: Sequence[Pass], *, curved: Sequence[int]) -> Pass:
    """The passes of all groups of queries as one: first every query with curvature, then every plain one."""
    if len(parts) == 1:
        return parts[0]

    def merge(pieces: Sequence[list[Tensor]], axis: int) -> list[Tensor]:
        if not pieces[0]:
            return []
        pairs = list(zip((torch.cat(piece, dim=axis) for piece in pieces), curved, strict=True))
        return [torch.cat([*(whole[:count] for whole, count in pairs), *(whole[count:] for whole, count in pairs)])]

    first = parts[0]
    return Pass(
        losses=first.losses,
        squared_norms=first.squared_norms,
        scores=merge([part.scores for part in parts], axis=1),
        rows=merge([part.rows for part in parts], axis=2),
    )


def _check_queries(queries: Sequence[Query]) -> None:
    if not queries:
        raise ConfigError("no query was given, so there is nothing to attribute; give at least one")
    names = [query.name for query in queries]
    for name in names:
        if names.count(name) > 1 or name.endswith(f"/{PLAIN}"):
            raise ConfigError(
                f"'{name}' cannot name a query here: names must differ, and '/{PLAIN}' at the end is taken"
            )


def _check_rows(model: PreTrainedModel, tokens: Int[Tensor, "row seq_plus_1"], lengths: Int[Tensor, "row"]) -> None:
    most, vocabulary = tokens.shape[1] - 1, int(model.config.vocab_size)
    if len(lengths) != len(tokens) or int(lengths.min()) < 0 or int(lengths.max()) > most:
        raise ConfigError(f"{len(tokens)} rows predict up to {most} tokens each, but the lengths given do not fit them")
    if int(lengths.sum()) == 0:
        raise ConfigError("no row has a token to predict, so there is nothing to attribute to; give longer rows")
    if int(tokens.min()) < 0 or int(tokens.max()) >= vocabulary:
        raise ConfigError(
            f"the rows hold token id {int(tokens.max())} but the model has a vocabulary of {vocabulary}; use the model's own"
            " tokenizer"
        )


def fitting_rows(rows: int, most: int, seed: int) -> Int[Tensor, "fitted"]:
    """The rows that factors are fitted on, ascending: at most `most`, drawn by the seed."""
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
