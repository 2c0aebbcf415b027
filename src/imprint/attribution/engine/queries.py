"""Queries: differentiable scalars of a model, higher = more of the mechanism, whose gradient influence is taken towards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine.subspace import Subspace, row_gradients
from imprint.capabilities import RepeatProbe
from imprint.errors import ComponentNotFound, ConfigError, SelfCheckFailed
from imprint.models import Anatomy, Component, OutputGradients, captured, eager_attention, evaluating, log_probs_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A named scalar f(model), in nats or attention mass; higher means more of the mechanism."""

    name: str
    measure: Callable[[PreTrainedModel], Any]
    """Runs the model exactly once and returns a differentiable scalar."""
    likelihood_of: tuple[Int[Tensor, "seq_plus_1"], int] | None = None
    """The row (tokens, number of predicted ones) whose log-likelihood it is, if that is all: such queries go in batches."""


def likelihood_query(tokens: Int[Tensor, "seq_plus_1"], length: int | None = None, name: str = "likelihood") -> Query:
    """The log-likelihood of one row in nats, summed over its first `length` predicted tokens (all by default).

    Raises:
        ConfigError: the row has no token to predict.
    """
    predicted = len(tokens) - 1 if length is None else length
    if not 0 < predicted < len(tokens):
        raise ConfigError(f"query '{name}' predicts {predicted} of {len(tokens)} tokens; give a row of at least two")

    def measure(model: PreTrainedModel) -> Float[Tensor, ""]:
        row = tokens[None, : predicted + 1].to(model.device)
        total: Tensor = log_probs_of(model(row[:, :-1], use_cache=False).logits, row[:, 1:]).sum()
        return total

    return Query(name=name, measure=measure, likelihood_of=(tokens, predicted))


def likelihood_queries(tokens: Int[Tensor, "row seq_plus_1"], lengths: Int[Tensor, "row"]) -> tuple[Query, ...]:
    """The log-likelihood of every row, in nats, as queries `row 0`, `row 1`, ..."""
    pairs = zip(tokens, lengths.tolist(), strict=True)
    return tuple(likelihood_query(row, length, name=f"row {number}") for number, (row, length) in enumerate(pairs))


def margin_query(
    tokens: Int[Tensor, "seq"], right: int, wrong: Sequence[int], *, position: int = -1, name: str = "margin"
) -> Query:
    """The logit of the right next token minus the mean logit of wrong ones at one position of a row of tokens.

    Raises:
        ConfigError: no wrong token is given, or the position is outside the row.
    """
    if not wrong or not -len(tokens) <= position < len(tokens):
        raise ConfigError(
            f"query '{name}' needs wrong tokens to compare with and a position inside its {len(tokens)} tokens"
        )

    if min(right, *wrong) < 0:
        raise ConfigError(f"query '{name}' names token {min(right, *wrong)}; give token ids from 0 up")

    def measure(model: PreTrainedModel) -> Float[Tensor, ""]:
        logits = model(tokens[None].to(model.device), use_cache=False).logits[0, position]
        difference: Tensor = logits[right] - logits[list(wrong)].mean()
        return difference

    return Query(name=name, measure=measure)


def log_prob_query(probe: RepeatProbe) -> Query:
    """The mean over sequences of the summed log-probability of the right copy, in nats.

    Trust: before the head exists this mostly measures how flat the output is on random text; see `contrastive_query`.
    """
    return Query(name="log_prob", measure=lambda model: _log_probs(model, probe.tokens, probe).sum(1).mean())


def contrastive_query(probe: RepeatProbe) -> Query:
    """Log-probability of the copy after its own first half minus that after an unrelated first half, in nats."""

    def measure(model: PreTrainedModel) -> Float[Tensor, ""]:
        log_probs = _log_probs(model, torch.cat([probe.tokens, probe.unrelated]), probe).sum(1)
        rows = len(probe.tokens)
        return (log_probs[:rows] - log_probs[rows:]).mean()

    return Query(name="contrastive", measure=measure)


def attention_query(probe: RepeatProbe, head: Component | str) -> Query:
    """The mean over sequences of the summed attention that `head` pays to the token after the previous occurrence."""
    return Query(name="attention", measure=lambda model: _attention(model, probe, head, probe.query, probe.match))


def previous_token_query(probe: RepeatProbe, head: Component | str) -> Query:
    """The mean over sequences of the summed attention that `head` pays to the position just before."""
    positions = torch.arange(1, probe.tokens.shape[1])
    return Query(name="previous_token", measure=lambda model: _attention(model, probe, head, positions, positions - 1))


def off_by_one_query(probe: RepeatProbe) -> Query:
    """The published code's defect, kept as a mutant: the right target scored one position too early. Never use it."""

    def measure(model: PreTrainedModel) -> Float[Tensor, ""]:
        tokens = probe.tokens.to(model.device)
        logits = model(tokens, use_cache=False).logits
        return log_probs_of(logits[:, probe.query - 1], tokens[:, probe.query + 1]).sum(1).mean()

    return Query(name="off_by_one", measure=measure)


def induction_queries(probe: RepeatProbe, head: Component | str) -> tuple[Query, Query, Query]:
    """The three probes of an induction head: log-probability, contrastive and attention."""
    return log_prob_query(probe), contrastive_query(probe), attention_query(probe, head)


def query_gradient(model: PreTrainedModel, subspace: Subspace, query: Query) -> list[Float[Tensor, "_out _in"]]:
    """The gradient of the query with respect to the subspace, one matrix per block.

    Raises:
        ConfigError: the query gives anything but one number as a tensor.
        SelfCheckFailed: the gradient is not finite, or zero on the whole subspace.
    """
    with evaluating(model), captured(subspace.modules) as capture:
        value = query.measure(model)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise ConfigError(
                f"query '{query.name}' must give one differentiable number; let it return a tensor of one element"
            )
        if not value.requires_grad:
            raise SelfCheckFailed(f"query '{query.name}' does not depend on {subspace.name}; choose a query that does")
        deltas = capture.output_gradients(value)
    whole = OutputGradients(inputs=capture.inputs, deltas=deltas)
    gradient = [piece.sum(0) for piece in subspace.gradients(_as_one_row(whole))]
    _check_gradient(gradient, query, subspace)
    return gradient


def _as_one_row(batch: OutputGradients) -> OutputGradients:
    """All rows one after another: the sum of their gradients without forming each."""
    return OutputGradients(
        inputs={name: states.flatten(0, 1)[None] for name, states in batch.inputs.items()},
        deltas={name: states.flatten(0, 1)[None] for name, states in batch.deltas.items()},
    )


def query_gradients(
    model: PreTrainedModel, subspace: Subspace, queries: Sequence[Query], *, batch: int = 16
) -> list[Float[Tensor, "query _out _in"]]:
    """The gradients of many queries, stacked a block at a time; log-likelihoods of rows are taken in batches.

    Raises:
        ConfigError: there is no query.
        SelfCheckFailed: as `query_gradient`.
    """
    if not queries:
        raise ConfigError("no query was given, so there is nothing to attribute; give at least one")
    stacks = [
        torch.empty(len(queries), *subspace.block_shape(block), dtype=model.dtype, device=model.device)
        for block in subspace.blocks
    ]
    rows = [number for number, query in enumerate(queries) if query.likelihood_of is not None]
    for start in range(0, len(rows), batch):
        chosen = rows[start : start + batch]
        pairs = [pair for number in chosen if (pair := queries[number].likelihood_of) is not None]
        tokens = torch.nn.utils.rnn.pad_sequence([row for row, _ in pairs], batch_first=True)
        lengths = torch.tensor([length for _, length in pairs])
        for stack, piece in zip(stacks, row_gradients(model, subspace, tokens, lengths), strict=True):
            stack[chosen] = -piece
        for number in chosen:
            _check_gradient([stack[number] for stack in stacks], queries[number], subspace)
    for number, query in enumerate(queries):
        if query.likelihood_of is None:
            for stack, piece in zip(stacks, query_gradient(model, subspace, query), strict=True):
                stack[number] = piece
    return stacks


def _check_gradient(gradient: Sequence[Float[Tensor, "_out _in"]], query: Query, subspace: Subspace) -> None:
    norm = sum(float(piece.double().square().sum()) for piece in gradient) ** 0.5
    if norm != norm or norm == float("inf"):
        raise SelfCheckFailed(f"the gradient of query '{query.name}' on {subspace.name} is not finite")
    if norm == 0.0:
        raise SelfCheckFailed(
            f"the gradient of query '{query.name}' is zero on all of {subspace.name}; all scores would be 0"
        )


def _log_probs(model: PreTrainedModel, tokens: Tensor, probe: RepeatProbe) -> Float[Tensor, "row query"]:
    """Log-probability at each query position of the token that comes next there (the copy)."""
    tokens = tokens.to(model.device)
    logits = model(tokens, use_cache=False).logits[:, probe.query]
    return log_probs_of(logits, tokens[:, probe.query + 1])


def _attention(
    model: PreTrainedModel, probe: RepeatProbe, head: Component | str, queries: Tensor, keys: Tensor
) -> Float[Tensor, ""]:
    component = Anatomy(model).find(head)
    if component.site != "head" or component.layer is None:
        raise ComponentNotFound(f"'{component}' is not a head, so it pays no attention; write for example L1.H0")
    with eager_attention(model):
        passed = model.base_model(probe.tokens.to(model.device), use_cache=False, output_attentions=True)
        attentions: tuple[Tensor, ...] = passed.attentions
    return attentions[component.layer][:, component.head, queries, keys].sum(1).mean()
