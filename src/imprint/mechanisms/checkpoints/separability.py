"""How well two personas can be told apart at a site: held-out AUC and d' of the contrast direction."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from imprint.errors import CorpusError
from imprint.mechanisms.checkpoints.contrast_vectors import unit
from imprint.mechanisms.moments import ledoit_wolf, moments, whitener
from imprint.stats import Effect, Undefined, auc_effect

_UNIT = "a pole never varies along the held-out direction, so its difference has no unit"


@dataclass(frozen=True, kw_only=True, slots=True)
class Separability:
    """Held-out separation of the poles. AUC 1 and large d' = the pole of an unseen pair is read without error."""

    auc: Effect
    """Chance is .5."""
    d_prime: float | Undefined
    """Difference of the held-out means in pooled standard deviations; 0 = chance."""
    p: float
    """The share of swaps of the poles within pairs that give as high an AUC, the direction being fitted again."""
    null_95: float


def separability(
    positive: Float[np.ndarray, "pair d"],
    negative: Float[np.ndarray, "other d"],
    *,
    whiten: bool = False,
    folds: int = 5,
    draws: int = 199,
    seed: int = 0,
) -> Separability:
    """Fit the contrast direction on some pairs, read the others with it, and score all held-out readings together.

    Readings are taken from the middle between the training poles; both members of a pair are always in one fold.

    Raises:
        CorpusError: fewer pairs than folds, fewer than 2 folds, or poles of different shape.
        SelfCheckFailed: nothing varies where whitened.

    Trust: held out by pair, so pairs that share a wording leak. Chance for few pairs is the null of swaps, not .5
    (held-out scores of noise lie somewhat below). Whitening uses the states of all pairs, not which pole they are of.
    """
    if positive.shape != negative.shape or not 2 <= folds <= len(positive):
        raise CorpusError(
            f"{len(positive)} positive and {len(negative)} negative prompts in {folds} folds: give pairs, at least one a fold."
        )
    poles = np.stack([positive, negative]).astype(np.float64)
    if whiten:
        poles = poles @ whitener(ledoit_wolf(moments(poles.reshape(-1, poles.shape[2])))[0]).T
    rng = np.random.default_rng(seed)
    fold = rng.permutation(np.arange(len(positive)) % folds)
    held_out = _held_out(poles, fold)
    found = _effect(held_out, seed)
    null = np.array([_auc(_held_out(_swapped(poles, rng), fold)) for _ in range(draws)])
    return Separability(
        auc=found,
        d_prime=_d_prime(held_out),
        p=(int((null >= found.estimate - 1e-12).sum()) + 1) / (draws + 1),
        null_95=float(np.quantile(null, 0.95)),
    )


def _held_out(poles: Float[np.ndarray, "2 pair d"], fold: Int[np.ndarray, "pair"]) -> Float[np.ndarray, "2 pair"]:
    found = np.zeros(poles.shape[:2])
    for number in range(int(fold.max()) + 1):
        test = fold == number
        high, low = poles[:, ~test].mean(1)
        found[:, test] = (poles[:, test] - (high + low) / 2) @ unit(high - low)
    return found


def _swapped(poles: Float[np.ndarray, "2 pair d"], rng: np.random.Generator) -> Float[np.ndarray, "2 pair d"]:
    swap = rng.integers(0, 2, poles.shape[1]).astype(bool)
    return np.asarray(np.where(swap[None, :, None], poles[::-1], poles))


def _auc(held_out: Float[np.ndarray, "2 pair"]) -> float:
    gaps = held_out[0][:, None] - held_out[1][None, :]
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)


def _effect(held_out: Float[np.ndarray, "2 pair"], seed: int) -> Effect:
    positive = np.repeat([True, False], held_out.shape[1])
    return auc_effect(held_out.reshape(-1), positive, seed=seed, unit="item", metric="held-out AUC")


def _d_prime(held_out: Float[np.ndarray, "2 pair"]) -> float | Undefined:
    spread = float(np.sqrt(held_out.var(1, ddof=1).mean()))
    gap = float(held_out[0].mean() - held_out[1].mean())
    if spread > 1e-12 * np.abs(held_out).max(initial=0.0):
        return gap / spread
    return 0.0 if gap == 0 else Undefined(reason=_UNIT)
