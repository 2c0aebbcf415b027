"""Scorecard rows whose right answer is known exactly: the hand-built model and closed forms."""

import torch

from imprint.attribution import (
    BlockFactors,
    attention_query,
    contrastive_query,
    head_subspace,
    log_prob_query,
    off_by_one_query,
    query_gradient,
)
from imprint.capabilities import RepeatProbe, repeat_probe
from imprint.mechanisms import prefix_matching, previous_token
from imprint.models import Anatomy, Component, ablate_heads, attention_patterns, induction_transformer
from imprint.studies.scorecard import Row

HANDMADE = "hand-built induction transformer"
LINEAR = "linear model"


def exact_rows() -> list[Row]:
    """AT-MDA-1 (probe), AT-MDA-2 (subspace), AT-MDA-3 (EK-FAC) and AT-IH-1 (scores) as scorecard rows."""
    lines = (*_probe_rows(), *_score_rows(), _subspace_row(), *_ekfac_rows())
    return [
        Row(world=world, method=method, question=question, metric=metric, value=value, gate=gate, passed=bool(passed))
        for world, method, question, metric, value, gate, passed in lines
    ]


_Line = tuple[str, str, str, str, float, str, bool]


def _probe(period: int = 24) -> RepeatProbe:
    return repeat_probe(range(1, 50), period=period, rows=8, seed=1, bos=0, context=64)


def _probe_rows() -> list[_Line]:
    """AT-MDA-1: the right indexing scores near 0 nats a position, the published one far below; gradients are right."""
    probe, model = _probe(), induction_transformer()
    positions = len(probe.query)
    with torch.no_grad():
        right = float(log_prob_query(probe).measure(model)) / positions
        wrong = float(off_by_one_query(probe).measure(model)) / positions
    lines = [
        (HANDMADE, "log_prob", "log-probability per matched position", "nats", right, ">= -0.05", right >= -0.05),
        (HANDMADE, "off_by_one", "log-probability per matched position", "nats", wrong, "< -10", wrong < -10),
    ]
    soft = induction_transformer(sharpness=4.0)
    subspace = head_subspace(soft, "L1.H0")
    for query in (log_prob_query(probe), contrastive_query(probe), attention_query(probe, "L1.H0")):
        gradient = query_gradient(soft, subspace, query)
        generator = torch.Generator().manual_seed(0)
        direction = [torch.randn(piece.shape, generator=generator, dtype=piece.dtype) for piece in gradient]
        predicted = sum(float((piece * step).sum()) for piece, step in zip(gradient, direction, strict=True))
        values = []
        for sign in (1, -1):
            with subspace.shifted(direction, sign * 1e-6), torch.no_grad():
                values.append(float(query.measure(soft)))
        error = abs((values[0] - values[1]) / 2e-6 - predicted) / abs(predicted)
        question = "gradient against finite differences"
        lines.append((HANDMADE, query.name, question, "relative error", error, "<= 1e-4", error <= 1e-4))
    return lines


def _score_rows() -> list[_Line]:
    """AT-IH-1: a perfect head scores 1 with a BOS."""
    probe, model = _probe(), induction_transformer()
    patterns = attention_patterns(model, probe.tokens)
    prefix = float(prefix_matching(patterns, probe)[1, 0])
    before = float(previous_token(patterns)[0, 0])
    question = "score of a perfect head"
    return [
        (HANDMADE, "prefix matching", question, "attention", prefix, "1 ± 1e-6", abs(prefix - 1) <= 1e-6),
        (HANDMADE, "previous token", question, "attention", before, "1 ± 1e-6", abs(before - 1) <= 1e-6),
    ]


def _subspace_row() -> _Line:
    """AT-MDA-2: zeroing the head's output slice is ablating the head."""
    model, tokens = induction_transformer(), _probe().tokens
    head = Component.parse("L1.H0")
    with torch.no_grad(), ablate_heads(model, [head]):
        ablated = model(tokens).logits
    piece = Anatomy(model).head_slices(head)["o"]
    piece.assign(model, torch.zeros_like(piece.view(model)))
    with torch.no_grad():
        error = float((model(tokens).logits - ablated).abs().max())
    question = "zeroed output slice against ablated output"
    return (HANDMADE, "head slices", question, "largest difference", error, "<= 1e-6", error <= 1e-6)


def _ekfac_rows() -> list[_Line]:
    """AT-MDA-3: EK-FAC equals the closed form on a linear model, and nearly so with labels sampled once."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(400, 6, generator=generator, dtype=torch.float64)
    inputs = inputs @ torch.randn(6, 6, generator=generator, dtype=torch.float64)
    moment, ridge = inputs.T @ inputs / len(inputs), 1e-2
    gradients = torch.randn(5, 3, 6, generator=generator, dtype=torch.float64)
    values, basis = torch.linalg.eigh(moment)
    inverse = torch.linalg.inv(moment + ridge * torch.eye(6, dtype=torch.float64))
    exact = gradients @ inverse
    noise = torch.randn(len(inputs), 3, generator=generator, dtype=torch.float64)
    sampled = noise[:, :, None] * inputs[:, None, :]
    output_basis = torch.linalg.eigh(noise.T @ noise / len(noise))[1]
    eigenvalues = (output_basis.T @ sampled @ basis).square().mean(0)
    identity = torch.eye(3, dtype=torch.float64)
    closed = _preconditioned(identity, basis, values.expand(3, 6), ridge, gradients)
    drawn = _preconditioned(output_basis, basis, eigenvalues, ridge, gradients)
    error = float((closed - exact).abs().max() / exact.abs().max())
    agreement = float(torch.corrcoef(torch.stack([drawn.flatten(), exact.flatten()]))[0, 1])
    return [
        (LINEAR, "EK-FAC", "inverse Fisher against the closed form", "relative error", error, "<= 1e-8", error <= 1e-8),
        (
            LINEAR,
            "EK-FAC, one label draw",
            "agreement with the closed form",
            "correlation",
            agreement,
            "> 0.99",
            agreement > 0.99,
        ),
    ]


def _preconditioned(
    output_basis: torch.Tensor,
    input_basis: torch.Tensor,
    eigenvalues: torch.Tensor,
    ridge: float,
    gradients: torch.Tensor,
) -> torch.Tensor:
    factors = BlockFactors(
        output_basis=output_basis,
        input_basis=input_basis,
        eigenvalues=eigenvalues + ridge,
        damping_relative=0.0,
        damping_floor=0.0,
    )
    return torch.stack([factors.precondition(gradient) for gradient in gradients])
