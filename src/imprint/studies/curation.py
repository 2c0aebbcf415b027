"""Curation guidelines: how much of a kind of data an ability needs, from mixture runs, never beyond what was tested."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from imprint.capabilities.abilities import ability_items
from imprint.corpus import ABILITIES, CAUSE, Ability
from imprint.errors import InputError
from imprint.runs import Executor, Reporter, Store
from imprint.stats import Effect, Estimate, Undefined
from imprint.stats.samples import require_sample
from imprint.studies.ability_training import AbilityTraining, accuracies_of, shares_with

SHARES = (0.01, 0.02, 0.05, 0.10, 0.25)
ENOUGH = 0.8
"""Part of the level at the largest tested share that counts as having the ability."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guideline:
    """The smallest tested share of `kind` from which on `ability` keeps `enough` of its level at the largest share."""

    kind: str
    ability: str
    enough: float
    shares: tuple[float, ...]
    """The tested shares, ascending."""
    scores: Float64[np.ndarray, "share seed"]
    """Ability of every run, 0 = chance."""
    needed: Estimate
    """The share, with its interval over pipeline seeds; undefined where no tested share is enough, or nothing was learned."""
    runs: tuple[str, ...]
    """Keys of the training runs behind it, share by share."""
    budget: str = ""
    """How long every run was trained: the guideline is about this budget."""

    @property
    def sentence(self) -> str:
        """The guideline in words, with its interval, its runs and the range in which it was tested."""
        tested = f"{_percent(self.shares[0])} to {_percent(self.shares[-1])}"
        runs = f"{self.scores.size} runs{' of ' + self.budget if self.budget else ''}"
        behind = f"{runs} at {', '.join(map(_percent, self.shares))}; nothing is said outside {tested}"
        if isinstance(self.needed, Undefined):
            return f"No guideline of {self.kind} for {self.ability}: {self.needed.reason} ({behind})."
        found, place = self.needed, self.shares.index(self.needed.estimate)
        bound = "which is the least that was tested, so less may do"
        if place:
            bound = f"{_percent(self.shares[place - 1])} was not enough"
        return (
            f"At least {_percent(found.estimate)} of {self.kind} for {self.ability} to reach {_percent(self.enough)} of"
            f" its level at {_percent(self.shares[-1])}: {bound} (95 % interval {_percent(found.low)} to"
            f" {_percent(found.high)} over {found.n} seeds; {behind})."
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        plain = {name: getattr(self, name) for name in ("kind", "ability", "enough", "budget", "sentence")}
        lists = {"shares": list(self.shares), "scores": self.scores.tolist(), "runs": list(self.runs)}
        return plain | lists | {"needed": self.needed.as_dict()}


def guideline(
    kind: str,
    ability: str,
    shares: Sequence[float],
    scores: Float[np.ndarray, "share seed"],
    *,
    runs: Sequence[str] = (),
    budget: str = "",
    enough: float = ENOUGH,
    seed: int = 0,
    level: float = 0.95,
    draws: int = 2000,
) -> Guideline:
    """What mixture runs say about the share that is needed; `scores` are 0 at chance, one column a pipeline seed.

    A share is enough if it and every larger tested one reach `enough` of the mean at the largest. Its interval
    resamples seeds (paired over shares) and consists of tested shares.

    Raises:
        InputError: fewer than 3 shares or 2 seeds, shares outside (0, 1] or not ascending, `enough` outside (0, 1).
        SelfCheckFailed: a score is not finite.

    Trust: true for this model size, budget and mixture of the rest. With few seeds the interval is too narrow, and it
    knows nothing of what lies between two tested shares.
    """
    _check(shares, scores, enough)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, scores.shape[1], size=(draws, scores.shape[1]))
    resampled = scores[:, chosen].mean(-1).T
    places = _first_enough(np.concatenate([scores.mean(1)[None], resampled]), enough)
    return Guideline(
        kind=kind,
        ability=ability,
        enough=enough,
        shares=tuple(shares),
        scores=scores.astype(np.float64),
        needed=_needed(np.array(shares), scores, places, enough, level),
        runs=tuple(runs),
        budget=budget,
    )


def _check(shares: Sequence[float], scores: np.ndarray, enough: float) -> None:
    if len(shares) < 3 or len(shares) != len(scores) or scores.shape[1] < 2:
        raise InputError(
            f"{len(shares)} shares with scores of shape {scores.shape} give no guideline: test at least 3 shares with 2 seeds."
        )
    if not all(0 < share <= 1 for share in shares) or list(shares) != sorted(set(shares)):
        raise InputError(f"shares {list(shares)} must ascend within (0, 1]: sort them and drop repeats.")
    if not 0 < enough < 1:
        raise InputError(f"enough={enough} must lie strictly between 0 and 1: 0.8 asks for 80 % of the level.")
    require_sample(scores, name="the scores")


def _first_enough(curves: Float64[np.ndarray, "curve share"], enough: float) -> np.ndarray:
    """For every curve the first share from which on all reach the bar."""
    reached = curves >= enough * curves[:, -1:]
    kept = np.logical_and.accumulate(reached[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(np.argmax(kept, axis=1))


def _needed(
    shares: Float64[np.ndarray, " share"], scores: np.ndarray, places: np.ndarray, enough: float, level: float
) -> Estimate:
    top = scores[-1]
    if top.mean() - 2 * top.std(ddof=1) / top.size**0.5 <= 0 or top.mean() < 0.2:
        return Undefined(reason=f"it was not learned even at {_percent(shares[-1])} ({top.mean():.2f} above chance)")
    if places[0] == len(shares) - 1:
        return Undefined(
            reason=f"only {_percent(shares[-1])}, the largest tested share, reaches {_percent(enough)} of its own level"
        )
    low, high = np.percentile(places[1:], [50 * (1 - level), 50 * (1 + level)], method="closest_observation")
    return Effect(
        estimate=float(shares[places[0]]),
        low=float(min(shares[int(low)], shares[places[0]])),
        high=float(max(shares[int(high)], shares[places[0]])),
        n=top.size,
        unit="pipeline seed",
        control=f"its level at a share of {_percent(shares[-1])}",
        metric="share of the training rows",
        level=level,
        note=f"tested shares only; bootstrap of {top.size} seeds",
    )


def ability_guideline(
    training: AbilityTraining,
    ability: Ability,
    *,
    shares: Sequence[float] = SHARES,
    seeds: int,
    enough: float = ENOUGH,
    store: Store,
    executor: Executor,
    reporter: Reporter,
) -> Guideline:
    """The guideline of one planted ability: as many rows in every run, the share of its cause varied (resumable)."""
    kind = CAUSE[ability]
    runs = [training.run(seed, shares_with(training.world, kind, share)) for share in shares for seed in range(seeds)]
    units = sum(run.updates for run in runs)
    executor.run(runs, store, progress=reporter, stage=f"mixtures of {kind}: train", units=units)
    asked = [training.asked(run) for run in runs]
    checkpoints = sum(len(run.checkpoints) for run in runs)
    folders = executor.run(asked, store, progress=reporter, stage=f"mixtures of {kind}: ask", units=checkpoints)
    chance = ability_items(ability, count=1).chance
    right = np.array([accuracies_of(folder)[ABILITIES.index(ability)] for folder in folders])
    scores = (right.reshape(len(shares), seeds) - chance) / (1 - chance)
    budget = f"{training.steps} steps"
    return guideline(kind, ability, shares, scores, runs=[run.key for run in runs], budget=budget, enough=enough)


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
