"""Persona vectors and the assistant axis: differences of means over paired prompts, with null and stability."""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from imprint.errors import CorpusError
from imprint.mechanisms.moments import ledoit_wolf, moments, whitener

_LEAST_PAIRS = 4
_EXACT_PAIRS = 10
"""Up to this many pairs all swaps are enumerated."""
_TIE = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class ContrastVector:
    """A unit direction in activation space, positive towards the first pole, and whether the pairs agree on it."""

    direction: Float[np.ndarray, "d"]
    length: float
    """Of the difference of means: raw, or in within-pair standard deviations where whitened."""
    p: float
    """The share of swaps of the poles within pairs that give as long a difference; all of them up to 10 pairs."""
    null_95: float
    """The 95th percentile of the length when poles are swapped."""
    stability: float
    """Mean cosine between the directions of two random halves of the pairs: 1 = the pairs agree."""
    stability_null_95: float
    """The 95th percentile of that mean cosine when poles are swapped."""
    pairs: int
    whitened: bool


def contrast_vector(
    positive: Float[np.ndarray, "pair d"],
    negative: Float[np.ndarray, "other d"],
    *,
    whiten: bool = False,
    draws: int = 999,
    halves: int = 20,
    seed: int = 0,
) -> ContrastVector:
    """The direction from the negative to the positive pole of paired prompts: mean difference, unit length.

    With `whiten` it is Fisher's: the inverse Ledoit-Wolf covariance of all states times the mean difference, which reads
    the pole best where dimensions have unlike spread. Swapping poles leaves that covariance as it is, so p is exact.
    Source: persona vectors (Chen et al. 2025), difference of means.

    Raises:
        CorpusError: fewer than 4 pairs, or poles of different shape.
        SelfCheckFailed: nothing varies where whitened.

    Trust: the direction holds whatever differs between the poles (length, format, a name) beside the persona; p and
    stability say that the pairs agree, not what on. Pairs must be independent; 4 pairs give no p below .125, 6 none below
    .031. Whitening is the same in any rotation, so one dimension 100 times as wide as the others still spoils it.
    """
    _check_pairs(positive, negative)
    gaps = positive.astype(np.float64) - negative.astype(np.float64)
    whitening = _whitener(positive, negative) if whiten else None
    metric = gaps if whitening is None else gaps @ whitening.T
    length = float(np.linalg.norm(metric.mean(0)))
    signs = _signs(len(gaps), draws, seed)
    gram = metric @ metric.T
    null = np.sqrt(np.maximum(np.einsum("sk,kl,sl->s", signs, gram, signs), 0)) / len(gaps)
    halving = _halves(len(gaps), halves, seed)
    hits = int((null >= length * (1 - _TIE)).sum())
    mean = metric.mean(0) if whitening is None else whitening.T @ metric.mean(0)
    return ContrastVector(
        direction=unit(mean),
        length=length,
        p=hits / len(null) if len(gaps) <= _EXACT_PAIRS else (hits + 1) / (len(null) + 1),
        null_95=float(np.quantile(null, 0.95)),
        stability=_stability(gram, halving),
        stability_null_95=float(
            np.quantile([_stability(gram * np.outer(sign, sign), halving) for sign in signs[:200]], 0.95)
        ),
        pairs=len(gaps),
        whitened=whiten,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class AssistantAxis:
    """The direction from the mean of many roles to the default assistant, and how it ranks among the roles' own axes."""

    axis: ContrastVector
    role_lengths: Float[np.ndarray, "role"]
    """The length of the same axis with each role in the assistant's place."""
    p_roles: float
    """The assistant's rank among all: the share of characters (itself included) that lie as far from the others' mean."""


def assistant_axis(
    assistant: Float[np.ndarray, "prompt d"],
    roles: Float[np.ndarray, "role prompt d"],
    *,
    whiten: bool = False,
    draws: int = 999,
    seed: int = 0,
) -> AssistantAxis:
    """The axis from the mean over roles to the assistant, positive = more assistant; the same prompts asked of each.

    Raises:
        CorpusError: fewer than 2 roles, fewer than 4 prompts, or other prompts for the roles.

    Trust: `axis.p` says that the assistant differs from the mean role, which any character does; `p_roles` whether it
    differs more than a role does, and with R roles is at least 1 / (R + 1).
    """
    if roles.ndim != 3 or len(roles) < 2 or roles.shape[1:] != assistant.shape:
        raise CorpusError(
            f"The assistant answered {assistant.shape[0]} prompts and {len(roles)} roles {roles.shape[1]}: give the same "
            "prompts to the assistant and to at least 2 roles."
        )
    axis = contrast_vector(assistant, roles.mean(0), whiten=whiten, draws=draws, seed=seed)
    means = np.concatenate([assistant[None], roles]).astype(np.float64).mean(1)
    others = (means.sum(0) - means) / (len(means) - 1)
    lengths = np.linalg.norm(means - others, axis=1)
    return AssistantAxis(
        axis=axis, role_lengths=lengths[1:].copy(), p_roles=float((lengths >= lengths[0] * (1 - _TIE)).mean())
    )


def unit(vector: Float[np.ndarray, "d"]) -> Float[np.ndarray, "d"]:
    """The vector at length 1; zero stays zero."""
    length = np.linalg.norm(vector)
    return np.asarray(vector / length if length > 0 else vector)


def _check_pairs(positive: np.ndarray, negative: np.ndarray) -> None:
    if positive.shape != negative.shape or len(positive) < _LEAST_PAIRS:
        raise CorpusError(
            f"A contrast needs at least {_LEAST_PAIRS} pairs of prompts: got {len(positive)} positive and {len(negative)} "
            "negative ones."
        )


def _whitener(positive: np.ndarray, negative: np.ndarray) -> Float[np.ndarray, "d d"]:
    return whitener(ledoit_wolf(moments(np.concatenate([positive, negative])))[0])


def _signs(pairs: int, draws: int, seed: int) -> Float[np.ndarray, "draw pair"]:
    if pairs <= _EXACT_PAIRS:
        return np.array(list(itertools.product((1.0, -1.0), repeat=pairs)))
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, pairs))


def _halves(pairs: int, count: int, seed: int) -> Float[np.ndarray, "half pair"]:
    half = np.zeros(pairs)
    half[: pairs // 2] = 1.0
    return np.random.default_rng(seed + 1).permuted(np.tile(half, (count, 1)), axis=1)


def _stability(gram: Float[np.ndarray, "pair pair"], first: Float[np.ndarray, "half pair"]) -> float:
    second = 1 - first
    sizes = [np.sqrt(np.maximum(np.einsum("hk,kl,hl->h", half, gram, half), 0)) for half in (first, second)]
    inner = np.einsum("hk,kl,hl->h", first, gram, second)
    product = sizes[0] * sizes[1]
    return float(np.divide(inner, product, out=np.zeros_like(inner), where=product > 0).mean())
