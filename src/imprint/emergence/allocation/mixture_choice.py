"""The mixture to train on: the best of many candidates as proxies predict them, and how far such predictions held before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.model_selection import KFold

from imprint.emergence.allocation.mixture import LEAST_PROXIES, Proxies, best_mixtures, predict_losses, transfer
from imprint.errors import ConfigError
from imprint.stats import Effect

LEVEL = 0.95
_FOLDS = 3
_LEAST = LEAST_PROXIES * _FOLDS // (_FOLDS - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictedLoss:
    """A loss of the chosen mixture at the proxies' scale, with the interval in which held-out proxies fell 19 times in 20."""

    loss: str
    estimate: float
    low: float
    high: float
    rank_agreement: Effect
    """Spearman of predicted and measured loss over held-out proxies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MixtureChoice:
    """The candidate with the least mean predicted loss."""

    shares: dict[str, float]
    """The chosen share of every domain."""
    mean_loss: PredictedLoss
    losses: tuple[PredictedLoss, ...]
    best_proxy: float
    """The least mean loss that any proxy measured."""
    proxies: int
    candidates: int

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return {
            "shares": self.shares,
            "mean loss": _told(self.mean_loss),
            "losses": [_told(one) for one in self.losses],
            "best proxy": self.best_proxy,
            "proxies": self.proxies,
            "candidates": self.candidates,
        }


def _told(one: PredictedLoss) -> dict[str, Any]:
    return {
        "loss": one.loss,
        "estimate": one.estimate,
        "low": one.low,
        "high": one.high,
        "held-out spearman": one.rank_agreement.as_dict(),
    }


def candidate_mixtures(proxies: Proxies, count: int, *, seed: int) -> Float[np.ndarray, "candidate domain"]:
    """Mixtures drawn around those of random proxies: halfway to another proxy's, so none lies outside what was tried.

    Raises:
        ConfigError: `count` is below 1.
    """
    if count < 1:
        raise ConfigError(f"{count} candidates leave nothing to choose from: draw 1 or more")
    rng = np.random.default_rng(seed)
    pairs = rng.integers(len(proxies.mixtures), size=(count, 2))
    share = rng.random((count, 1))
    drawn = share * proxies.mixtures[pairs[:, 0]] + (1 - share) * proxies.mixtures[pairs[:, 1]]
    return np.asarray(drawn / drawn.sum(1, keepdims=True))


def choose_mixture(
    proxies: Proxies,
    candidates: Float[np.ndarray, "candidate domain"],
    *,
    domains: Sequence[str],
    losses: Sequence[str],
    seed: int = 0,
) -> MixtureChoice:
    """The best candidate, its predicted losses with intervals, and the rank agreement on proxies held out from all fitting.

    Trust: losses are those of the proxies' scale, and the choice holds at a larger one only if mixtures rank alike there. The
    interval is that of one candidate; the least of many predictions is on the whole a little too low.

    Raises:
        ConfigError: too few proxies to hold any out, or candidates of other domains.
    """
    if len(proxies.mixtures) < _LEAST:
        raise ConfigError(f"{len(proxies.mixtures)} proxies leave too few to hold out: give {_LEAST} or more")
    predicted, held_out = predict_losses(proxies, candidates, seed=seed), _held_out(proxies, seed)
    chosen = int(best_mixtures(predicted)[0])
    rows = [
        _predicted(name, predicted[chosen, at], held_out[:, at], proxies.losses[:, at], seed)
        for at, name in enumerate(losses)
    ]
    measured = proxies.losses.mean(1)
    return MixtureChoice(
        shares=dict(zip(domains, candidates[chosen].tolist(), strict=True)),
        mean_loss=_predicted("mean", predicted[chosen].mean(), held_out.mean(1), measured, seed),
        losses=tuple(rows),
        best_proxy=float(measured.min()),
        proxies=len(proxies.mixtures),
        candidates=len(candidates),
    )


def _held_out(proxies: Proxies, seed: int) -> Float[np.ndarray, "run loss"]:
    """Every proxy's losses as predicted from the folds without it, the choice of model included."""
    found = np.empty_like(proxies.losses, dtype=np.float64)
    for learned, asked in KFold(_FOLDS, shuffle=True, random_state=seed + 1).split(proxies.mixtures):
        fold = Proxies(mixtures=proxies.mixtures[learned], losses=proxies.losses[learned])
        found[asked] = predict_losses(fold, proxies.mixtures[asked], seed=seed)
    return found


def _predicted(
    name: str,
    estimate: float,
    held_out: Float[np.ndarray, " run"],
    measured: Float[np.ndarray, " run"],
    seed: int,
) -> PredictedLoss:
    """The interval is the conformal one: the estimate plus and minus what 95 % of held-out proxies missed by at most."""
    missed = np.sort(np.abs(measured - held_out))
    reach = float(missed[min(len(missed) - 1, int(np.ceil(LEVEL * (len(missed) + 1))) - 1)])
    return PredictedLoss(
        loss=name,
        estimate=float(estimate),
        low=float(estimate) - reach,
        high=float(estimate) + reach,
        rank_agreement=transfer(held_out, measured, seed=seed),
    )
