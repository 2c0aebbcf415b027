"""Problems small enough to know the answer: a tiny GPT-2 in double precision, briefly trained."""

import numpy as np
import torch
from attribution_models import likelihood_query, ragged_rows, tiny

from imprint.attribution.engine import Query
from imprint.attribution.engine.selections import head_subspace, whole_model
from imprint.attribution.methods import Problem
from imprint.attribution.unrolled import Sgd, language_model_training

ROWS = 8
OPTIMISER = Sgd(learning_rate=0.02)
BATCHES = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7], [0, 2, 4, 6], [1, 3, 5, 7], [0, 1, 6, 7]])


def scaled(query, factor):
    """The query times a constant."""
    return Query(name=query.name, measure=lambda model: factor * query.measure(model))


def problem(*, head=False, tokens=None, lengths=None, model=None, **fields):
    """Ragged rows, two queries of the likelihood of other rows, with their text and groups."""
    model = tiny() if model is None else model
    if tokens is None:
        tokens, lengths = ragged_rows(ROWS)
    texts, text_lengths = ragged_rows(2, seed=7)
    defaults = {
        "queries": tuple(named(text, text_lengths[i], f"q{i}") for i, text in enumerate(texts)),
        "subspace": head_subspace(model, "L1.H0") if head else whole_model(model),
        "query_tokens": texts,
        "query_lengths": text_lengths,
        "row_groups": np.array(["a", "b"] * (len(tokens) // 2) + ["a"] * (len(tokens) % 2)),
        "query_groups": np.array(["a", "b"]),
    }
    return Problem(model=model, tokens=tokens, lengths=lengths, **(defaults | fields))


def named(text, length, name):
    """The log-likelihood of one text without its padding."""
    return Query(name=name, measure=likelihood_query(text[None, : int(length) + 1]).measure)


def trained_problem(*, batches=BATCHES, optimiser=OPTIMISER, **fields):
    """A problem whose model is the end of its recorded run."""
    start = tiny()
    tokens, lengths = fields.pop("tokens", None), fields.pop("lengths", None)
    if tokens is None:
        tokens, lengths = ragged_rows(ROWS)
    training = language_model_training(start, tokens, lengths, batches, optimiser)
    model = training.holding(training.run())
    return problem(model=model, tokens=tokens, lengths=lengths, training=training, **fields)


def row_loss_gradients(asked):
    """Every row's gradient of its summed loss at the subspace's weights and biases, by autograd: [row, parameter]."""
    parameters = [p for module in asked.subspace.modules.values() for p in (module.weight, module.bias)]
    return torch.stack(
        [
            explicit_gradient(-named(text, length, "row").measure(asked.model), parameters)
            for text, length in zip(asked.tokens, asked.lengths, strict=True)
        ]
    )


def query_gradients(asked):
    """Every query's gradient at the same parameters: [query, parameter]."""
    parameters = [p for module in asked.subspace.modules.values() for p in (module.weight, module.bias)]
    return torch.stack([explicit_gradient(query.measure(asked.model), parameters) for query in asked.queries])


def explicit_gradient(value, parameters):
    return torch.cat([piece.flatten() for piece in torch.autograd.grad(value, parameters)])


def own_rows(chosen, **fields):
    """A trained problem whose queries are these of its own training rows."""
    tokens, lengths = ragged_rows(ROWS)
    return trained_problem(
        queries=tuple(named(tokens[row], lengths[row], f"row {row}") for row in chosen),
        query_tokens=tokens[chosen],
        query_lengths=lengths[chosen],
        row_groups=np.arange(ROWS),
        query_groups=np.array(chosen),
        **fields,
    )
