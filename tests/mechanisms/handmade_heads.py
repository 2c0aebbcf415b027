"""Variants of the hand-built transformer whose copying heads attend elsewhere."""

import torch

from imprint.models import Anatomy, induction_transformer

VOCABULARY, CONTEXT = 50, 64
SHARP, LOUD = 200.0, 30.0


def directions(start, count):
    """One-hot directions of the residual stream: tokens from 0, previous tokens from 50, positions from 100."""
    return torch.eye(2 * VOCABULARY + CONTEXT, dtype=torch.float64)[start : start + count]


def rewrite(model, head, query, key, value, out):
    """Let a head attend from query[i] to key[i], and write out[i] where it reads value[i]."""
    slices = Anatomy(model).head_slices(head)
    for role, rows in (("q", query), ("k", key), ("v", value), ("o", out)):
        weight = rows.new_zeros(len(slices[role].index), rows.shape[1])
        weight[: len(rows)] = rows
        slices[role].assign(model, weight if role == "o" else weight.T)


def fixed_distance_transformer(distance):
    """L1.H0 copies the token `distance` positions back, whatever it is: right at period `distance` + 1 only."""
    model = induction_transformer(VOCABULARY, CONTEXT)
    token, position = directions(0, VOCABULARY), directions(2 * VOCABULARY, CONTEXT)
    rewrite(model, "L1.H0", SHARP * position[distance:], position[:-distance], token, LOUD * token)
    return model


def two_back_transformer(sharpness=SHARP):
    """Knows tokens 1 to 24. L1.H0 attends two after the previous occurrence and reads what L0.H0 stored there (P10).

    L0.H1 stores the token two back in the directions of the unused tokens 25 to 49, where L1.H0 looks for its match.
    """
    model = induction_transformer(VOCABULARY, CONTEXT, sharpness=sharpness)
    token, two_back, previous = directions(0, 25), directions(25, 25), directions(VOCABULARY, 25)
    position = directions(2 * VOCABULARY, CONTEXT)
    rewrite(model, "L0.H1", sharpness * position[2:], position[:-2], token, two_back)
    rewrite(model, "L1.H0", sharpness * token, two_back, previous, LOUD * token)
    return model
