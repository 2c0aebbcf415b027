"""The joint posterior over all arms' curves: what one arm shows moves the forecast of every other."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from imprint.emergence.allocation.arms import Arm, Reading
from imprint.emergence.allocation.belief import Learned
from imprint.emergence.allocation.curves import Grid, laws_for, span_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Kinship:
    """How far an arm's own ceiling and midpoint may lie from those that all arms share."""

    midpoint_spread: float
    """Standard deviation of an arm's midpoint, in units of the world's progress."""
    ceiling_spread: float
    """Standard deviation of an arm's log ceiling."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """What is believed before any score is seen: every combination of the grid and of the kinships alike.

    Trust: widths, anchor, temper and misfit were chosen on planted worlds and on tables other than those that results are
    reported on; see docs/results/allocation.md.
    """

    grid: Grid = field(default_factory=Grid)
    kinships: tuple[Kinship, ...] = (
        Kinship(midpoint_spread=0.05, ceiling_spread=0.0),
        Kinship(midpoint_spread=0.15, ceiling_spread=0.5),
    )
    doubt: Kinship = Kinship(midpoint_spread=0.3, ceiling_spread=1.0)
    """Arms that hardly resemble each other: weighed only before saying that no arm will cross."""
    misfit_relative: float = 0.1
    """Standard deviation of what no curve explains, as a share of the target; it is added to a score's own error."""
    misfit_least: float = 0.01
    temper: float = 0.5
    """How much one checkpoint counts: neighbours on a curve err together, so less than 1."""
    anchor: int = 2
    """How many last scores say how far an arm lies off its curve; that distance persists."""
    most_deviations: float = 4.0
    """One score may not speak louder than this many standard deviations."""
    learned: Learned | None = None
    """What other tasks have taught; None weighs every combination alike."""

    def misfit(self, target: float) -> float:
        """The standard deviation of what no curve explains, for this target."""
        return max(self.misfit_relative * abs(target), self.misfit_least)


class _ArmBelief:
    """What one arm's readings say of its own curve. Shapes: [shape, ceiling, midpoint]."""

    def __init__(self, curves: Float[np.ndarray, "shape ceiling midpoint depth"], target: float, prior: Prior) -> None:
        self.curves, self.target, self.prior, self.misfit = curves, target, prior, prior.misfit(target)
        self.seen: list[Reading] = []
        self.log_likelihood = np.zeros(curves.shape[:-1])
        self.first = self._first_crossing()

    def read(self, reading: Reading) -> None:
        """Take in the next checkpoint's score."""
        depth = len(self.seen)
        self.seen.append(reading)
        away = (self.curves[..., depth] - reading.score) / np.hypot(reading.stderr, self.misfit)
        self.log_likelihood -= 0.5 * self.prior.temper * np.minimum(away**2, self.prior.most_deviations**2)
        self.first = self._first_crossing()

    def _first_crossing(self) -> Int[np.ndarray, "shape ceiling midpoint"]:
        """The first unseen depth (from 1) at which each curve, moved by what the last scores lay off it, is at the target.

        One beyond the last depth where it never is.
        """
        seen, ahead = len(self.seen), self.curves[..., len(self.seen) :]
        if not ahead.shape[-1]:
            return np.full(self.curves.shape[:-1], seen + 1)
        if seen:
            last = self.seen[-self.prior.anchor :]
            off = np.array([reading.score for reading in last]) - self.curves[..., seen - len(last) : seen]
            noise = sum(reading.stderr**2 for reading in last) / len(last) ** 2
            ahead = ahead + (off.mean(-1) * self.misfit**2 / (self.misfit**2 + noise))[..., None]
        reached = ahead >= self.target
        return np.asarray(np.where(reached.any(-1), reached.argmax(-1) + 1, ahead.shape[-1] + 1) + seen)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scatter:
    """How an arm's own curve lies around the shared one: row-stochastic matrices over ceilings and over midpoints."""

    ceiling: Float[np.ndarray, "ceiling ceiling"]
    midpoint: Float[np.ndarray, "midpoint midpoint"]

    @staticmethod
    def of(grid: Grid, kinship: Kinship) -> "Scatter":
        """The scatter of a kinship on a grid."""
        return Scatter(
            ceiling=_normal_rows(np.log(grid.ceiling_ratios), kinship.ceiling_spread),
            midpoint=_normal_rows(grid.midpoints, kinship.midpoint_spread),
        )

    def forward(self, own: Float[np.ndarray, "shape ceiling midpoint"]) -> Float[np.ndarray, "shape ceiling midpoint"]:
        """The mean over an arm's own curve, for every shared one."""
        return np.asarray(self.ceiling @ own @ self.midpoint.T)

    def backward(
        self, shared: Float[np.ndarray, "shape ceiling midpoint"]
    ) -> Float[np.ndarray, "shape ceiling midpoint"]:
        """Weight of the shared curves as weight of an arm's own."""
        return np.asarray(self.ceiling.T @ shared @ self.midpoint)


class _Relation:
    """All arms' beliefs joined by one kinship: an arm's own ceiling and midpoint scatter around the shared ones."""

    def __init__(
        self, arms: Sequence[_ArmBelief], scatter: Scatter, log_prior: Float[np.ndarray, "shape ceiling midpoint"]
    ) -> None:
        self.arms, self.scatter, self.log_prior = arms, scatter, log_prior.ravel()
        blank = scatter.forward(np.ones_like(arms[0].log_likelihood))
        self.likelihood = [np.ones_like(one.log_likelihood) for one in arms]
        self.evidence = [blank] * len(arms)
        self.log_evidence = np.zeros((len(arms), blank.size))

    def refresh(self, number: int) -> None:
        """Take over what an arm now believes of its own curve."""
        log_likelihood = self.arms[number].log_likelihood
        top = log_likelihood.max()
        self.likelihood[number] = np.exp(log_likelihood - top)
        self.evidence[number] = np.maximum(self.scatter.forward(self.likelihood[number]), 1e-200)
        self.log_evidence[number] = np.log(self.evidence[number]).ravel() + top

    @property
    def shared(self) -> Float[np.ndarray, " belief"]:
        """The log weight of every shared curve, prior and evidence, up to a constant that all kinships share."""
        return np.asarray(self.log_evidence.sum(0) + self.log_prior)

    def crossed_by(self, number: int, weight: Float[np.ndarray, " belief"], depth: int) -> Float[np.ndarray, " depth"]:
        """This kinship's part of the probability that an arm has crossed by each depth."""
        if not weight.any():
            return np.zeros(depth)
        shared = weight.reshape(self.evidence[number].shape) / self.evidence[number]
        own = self.likelihood[number] * self.scatter.backward(shared)
        mass = np.bincount(self.arms[number].first.ravel(), weights=own.ravel(), minlength=depth + 2)
        return np.asarray(np.cumsum(mass)[1 : depth + 1])

    def any_crosses(self, reach: Sequence[int]) -> float:
        """The probability that some arm crosses by the depth given for it, if this kinship holds."""
        log_weight = self.shared
        weight = np.exp(log_weight - log_weight.max())
        none = weight / weight.sum()
        for number, depth in enumerate(reach):
            crossing = self.scatter.forward(self.likelihood[number] * (self.arms[number].first <= depth))
            none = none * np.clip(1.0 - (crossing / self.evidence[number]).ravel(), 0.0, 1.0)
        return float(1.0 - none.sum())


class Posterior:
    """The curves of all arms given all readings: `read` adds one, the other methods forecast."""

    def __init__(self, arms: Sequence[Arm], target: float, prior: Prior) -> None:
        """Forecast crossings of `target` by these arms."""
        grid = prior.grid
        span = span_of(arms, laws_for(arms)) if prior.learned is None else prior.learned.span
        curves = [grid.curves(span.progress(arm), target, span.lift(arm)) for arm in arms]
        self._depths = [arm.depth for arm in arms]
        self._arms = [_ArmBelief(one, target, prior) for one in curves]
        blank = np.zeros(curves[0].shape[:-1])
        if prior.learned is None:
            log_priors = [blank] * len(prior.kinships)
        else:
            heights = np.minimum(np.array(grid.ceiling_ratios) * target, 1.0)
            log_priors = list(prior.learned.log_weights(heights))
        self._relations = [
            _Relation(self._arms, Scatter.of(grid, kinship), log_prior)
            for kinship, log_prior in zip(prior.kinships, log_priors, strict=True)
        ]
        self._doubt = _Relation(self._arms, Scatter.of(grid, prior.doubt), blank)

    def read(self, arm: int, reading: Reading) -> None:
        """Take in the score of an arm's next checkpoint."""
        self._arms[arm].read(reading)
        for relation in (*self._relations, self._doubt):
            relation.refresh(arm)

    def crossed_by(self) -> list[Float[np.ndarray, " _"]]:
        """For every arm the probability that it has reached the target by each of its depths."""
        log_weights = [relation.shared for relation in self._relations]
        top = max(float(one.max()) for one in log_weights)
        weights = [np.exp(one - top) for one in log_weights]
        total = sum(float(one.sum()) for one in weights)
        parts = [
            [relation.crossed_by(number, weight / total, depth) for number, depth in enumerate(self._depths)]
            for relation, weight in zip(self._relations, weights, strict=True)
        ]
        return [np.clip(sum(arm), 0.0, 1.0) for arm in zip(*parts, strict=True)]

    def any_crosses(self, reach: Sequence[int]) -> float:
        """The probability that any arm reaches the target by the depth given for it, under the kinship that gives most."""
        return max(relation.any_crosses(reach) for relation in (*self._relations, self._doubt))


def _normal_rows(places: Float[np.ndarray, " n"], spread: float) -> Float[np.ndarray, "n n"]:
    """A row-stochastic matrix: from each place to the places around it."""
    if spread == 0:
        return np.eye(len(places))
    rows = np.exp(-0.5 * ((places[:, None] - places[None, :]) / spread) ** 2)
    return np.asarray(rows / rows.sum(1, keepdims=True))
