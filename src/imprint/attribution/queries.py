"""Queries: differentiable scalars of a model, higher = more of the mechanism, whose gradient influence is taken towards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.subspace import Subspace
from imprint.capabilities import RepeatProbe
from imprint.errors import ComponentNotFound, SelfCheckFailed
from imprint.models import Anatomy, Component, OutputGradients, captured, eager_attention, log_probs_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A named scalar f(model), in nats or attention mass; higher means more of the mechanism."""

    name: str
    measure: Callable[[PreTrainedModel], Float[Tensor, ""]]
    """Runs the model exactly once and returns a differentiable scalar."""


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
        logits = model(probe.tokens, use_cache=False).logits
        return log_probs_of(logits[:, probe.query - 1], probe.tokens[:, probe.query + 1]).sum(1).mean()

    return Query(name="off_by_one", measure=measure)


def induction_queries(probe: RepeatProbe, head: Component | str) -> tuple[Query, Query, Query]:
    """The three probes of an induction head: log-probability, contrastive and attention."""
    return log_prob_query(probe), contrastive_query(probe), attention_query(probe, head)


def query_gradient(model: PreTrainedModel, subspace: Subspace, query: Query) -> list[Float[Tensor, "_out _in"]]:
    """The gradient of the query with respect to the subspace, one matrix per block.

    Raises:
        SelfCheckFailed: the gradient is not finite, or zero on the whole subspace.
    """
    with captured(subspace.modules) as capture:
        value = query.measure(model)
        if not value.requires_grad:
            raise SelfCheckFailed(f"query '{query.name}' does not depend on {subspace.name}; choose a query that does")
        deltas = capture.output_gradients(value)
    whole = OutputGradients(inputs=capture.inputs, deltas=deltas)
    gradient = [piece.sum(0) for piece in subspace.gradients(whole)]
    _check_gradient(gradient, query, subspace)
    return gradient


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
    logits = model(tokens, use_cache=False).logits[:, probe.query]
    return log_probs_of(logits, tokens[:, probe.query + 1])


def _attention(
    model: PreTrainedModel, probe: RepeatProbe, head: Component | str, queries: Tensor, keys: Tensor
) -> Float[Tensor, ""]:
    component = Anatomy(model).find(head)
    if component.site != "head" or component.layer is None:
        raise ComponentNotFound(f"'{component}' is not a head, so it pays no attention; write for example L1.H0")
    with eager_attention(model):
        attentions: tuple[Tensor, ...] = model(probe.tokens, use_cache=False, output_attentions=True).attentions
    return attentions[component.layer][:, component.head, queries, keys].sum(1).mean()
