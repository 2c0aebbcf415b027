"""Learning the prior from other tasks by empirical Bayes: expectation maximisation over the grid of curves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from imprint.emergence.allocation.belief import Learned
from imprint.emergence.allocation.curves import CEILING_LAWS, PLAIN_LAWS, Span, laws_for, span_of
from imprint.emergence.allocation.posterior import Prior, Scatter
from imprint.emergence.allocation.tables import TaskWorld

CEILINGS = np.geomspace(0.03, 1.0, 14)
"""Heights of the rise that are weighed in learning."""
CHECKPOINTS = 8
"""Checkpoints of an arm that are learned from: neighbours say the same."""
ROUNDS = 12
FLOOR = 0.5
"""The share of the default prior in what was learned."""
BLUR_CEILING, BLUR_MIDPOINT = 0.35, 0.1
"""How far a new task's curve may lie from those of the tasks learned from: log ceiling, and progress."""
TYPICAL_TARGET = 0.6
"""The misfit of a task on record is that of a target at this share of its best score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskEvidence:
    """How well every combination of kinship and shared curve explains one task's records."""

    task: str
    log_evidence: Float[np.ndarray, "kinship shape place midpoint"]


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The evidence of several tasks on one span of arms."""

    span: Span
    evidence: tuple[TaskEvidence, ...]

    def prior(self, base: Prior, *, without: str | None = None) -> Prior:
        """The prior that the tasks of this history teach, all but the one named; `base` itself if none is left."""
        chosen = [one for one in self.evidence if one.task != without]
        if not chosen:
            return base
        plain = np.array([law.ceiling_exponent == 0 for law in self.span.laws], dtype=np.float64)
        shape = np.repeat(plain, len(base.grid.floors) * len(base.grid.widths))
        default = np.broadcast_to(shape[None, :, None, None], chosen[0].log_evidence.shape)
        learned = expectation_maximisation(np.stack([one.log_evidence for one in chosen]))
        blurred = _blur(learned, base)
        weights = (1 - FLOOR) * blurred / blurred.sum() + FLOOR * default / default.sum()
        return replace(
            base,
            learned=Learned(
                span=self.span,
                log_ceilings=np.log(CEILINGS),
                weights=weights,
                tasks=tuple(one.task for one in chosen),
            ),
        )


def history_of(worlds: Sequence[TaskWorld], base: Prior) -> History:
    """The evidence of every task, on the laws and the span of all their arms."""
    arms = [arm for one in worlds for arm in one.world.arms]
    span = span_of(arms, laws_for(arms, (*PLAIN_LAWS, *CEILING_LAWS)))
    return History(span=span, evidence=tuple(task_evidence(one, span, base) for one in worlds))


def task_evidence(one: TaskWorld, span: Span, base: Prior) -> TaskEvidence:
    """The log evidence of one task's records, up to a constant."""
    grid = replace(base.grid, ceiling_ratios=tuple(CEILINGS.tolist()))
    scatters = [Scatter.of(grid, kinship) for kinship in base.kinships]
    misfit = base.misfit(TYPICAL_TARGET * one.top)
    total: Float[np.ndarray, "kinship shape place midpoint"] | float = 0.0
    for arm, scores, stderrs in zip(one.world.arms, one.world.scores, one.world.stderrs, strict=True):
        kept = np.unique(np.linspace(0, arm.depth - 1, min(CHECKPOINTS, arm.depth)).round().astype(int))
        curves = grid.curves(span.progress(arm)[:, kept], 1.0, span.lift(arm))
        away = (curves - scores[kept]) / np.hypot(stderrs[kept], misfit)
        own = -0.5 * base.temper * np.minimum(away**2, base.most_deviations**2).sum(-1)
        top = own.max()
        total = total + np.stack([np.log(np.maximum(one.forward(np.exp(own - top)), 1e-200)) + top for one in scatters])
    return TaskEvidence(task=one.task, log_evidence=np.asarray(total))


def expectation_maximisation(
    log_evidence: Float[np.ndarray, "task kinship shape place midpoint"], rounds: int = ROUNDS
) -> Float[np.ndarray, "kinship shape place midpoint"]:
    """The weights that make the tasks most likely: the mean over tasks of their posteriors, again and again.

    Half of every round is spread evenly, since a handful of tasks would otherwise leave a handful of combinations.
    """
    flat = log_evidence.reshape(len(log_evidence), -1)
    likelihood = np.exp(flat - flat.max(1, keepdims=True))
    even = 1.0 / flat.shape[1]
    weights = np.full(flat.shape[1], even)
    for _ in range(rounds):
        posterior = likelihood * weights
        weights = 0.5 * (posterior / posterior.sum(1, keepdims=True)).mean(0) + 0.5 * even
    return weights.reshape(log_evidence.shape[1:])


def _blur(
    weights: Float[np.ndarray, "kinship shape place midpoint"], base: Prior
) -> Float[np.ndarray, "kinship shape place midpoint"]:
    places, midpoints = np.log(CEILINGS), base.grid.midpoints
    over = np.exp(-0.5 * ((places[:, None] - places) / BLUR_CEILING) ** 2)
    along = np.exp(-0.5 * ((midpoints[:, None] - midpoints) / BLUR_MIDPOINT) ** 2)
    return np.asarray((over / over.sum(0)) @ weights @ (along / along.sum(0)).T)
