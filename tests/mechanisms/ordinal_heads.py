"""Hand-built transformers whose L1.H0 writes something else than what it reads, or that have two induction heads."""

import torch
from handmade_heads import CONTEXT, LOUD, SHARP, VOCABULARY, directions, rewrite

from imprint.models import Anatomy, induction_transformer


def writing_transformer(matrix):
    """L1.H0 attends as an induction head and, reading token i, writes row i of a [token, token] matrix into the logits."""
    model = induction_transformer(VOCABULARY, CONTEXT)
    token, previous = directions(0, VOCABULARY), directions(VOCABULARY, VOCABULARY)
    rewrite(model, "L1.H0", SHARP * token, previous, token, matrix @ token)
    return model


def successor_transformer(step=1):
    """L1.H0 writes the token `step` after the one it reads (with 1: 49 is followed by 0)."""
    return writing_transformer(LOUD * torch.eye(VOCABULARY, dtype=torch.float64).roll(step, 1))


def twin_transformer():
    """L1.H1 is a second induction head: it is fed by L0.H0 as L1.H0 is."""
    model = induction_transformer(VOCABULARY, CONTEXT)
    token, previous = directions(0, VOCABULARY), directions(VOCABULARY, VOCABULARY)
    for head in ("L1.H0", "L1.H1"):
        rewrite(model, head, SHARP * token, previous, token, LOUD * token)
    return model


def duplicate_transformer():
    """L0.H1 attends every place with the same token, its own among them, and writes nothing."""
    model = induction_transformer(VOCABULARY, CONTEXT)
    token = directions(0, VOCABULARY)
    rewrite(model, "L0.H1", SHARP * token, token, token, 0 * token)
    return model


def silence(model, head):
    """The head writes nothing any more."""
    out = Anatomy(model).head_slices(head)["o"]
    out.assign(model, torch.zeros_like(out.view(model)))
    return model
