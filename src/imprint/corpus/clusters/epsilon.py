"""Diagnostics of eps before anything is clustered: the k-distance curve, where it bends, and what each eps would give."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from imprint.corpus.clusters.dbscan import dbscan
from imprint.corpus.clusters.scaled import check_states
from imprint.errors import ConfigError

_TILE = 1024
_QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_GIANT, _MOSTLY_NOISE = 0.9, 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class EpsCandidate:
    """What one eps gives on the sample that was tried."""

    eps: float
    reason: str
    """Why it was tried: "quantile 0.5 of the k-distances", "knee", "given"."""
    noise_share: float
    num_clusters: int
    largest_share: float
    """The largest cluster's share of all points."""
    neighbours: float
    """Mean number of points within eps, scaled to all points."""
    gigabytes: float
    """Estimated memory for the exact labels of all points."""

    @property
    def separates(self) -> bool:
        """At least two clusters, none holding 90 % of what is clustered, and less than 90 % noise."""
        clustered = 1 - self.noise_share
        dominated = self.largest_share > _GIANT * clustered
        return self.num_clusters >= 2 and not dominated and self.noise_share < _MOSTLY_NOISE


@dataclass(frozen=True, kw_only=True, slots=True)
class EpsReport:
    """The k-distance curve of a sample, the eps at its bends, and what candidates give."""

    min_samples: int
    points: int
    sample: int
    """Points that the candidates were tried on."""
    quantiles: tuple[float, ...]
    k_distances: tuple[float, ...]
    """k-distance at each quantile; k = min_samples - 1 other points, among ALL points."""
    knees: tuple[float, ...]
    candidates: tuple[EpsCandidate, ...]
    warning: str
    """What stands in the way of believing any of them; empty when nothing does."""

    @property
    def suggested(self) -> float | None:
        """The candidate that separates with the least noise; None if no candidate separates."""
        good = [candidate for candidate in self.candidates if candidate.separates]
        return min(good, key=lambda candidate: candidate.noise_share).eps if good else None

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return asdict(self) | {"suggested": self.suggested}


def k_distances(
    states: Float[np.ndarray, "n d"], *, k: int, sample: int = 1000, seed: int
) -> Float[np.ndarray, "sample"]:
    """Ascending distances from sampled points to their k-th nearest OTHER point among all states.

    Raises:
        ConfigError: k is not between 1 and the number of other points.

    Trust: single precision, so distances far below 1e-3 of the points' norms are rounding.
    """
    check_states(states)
    if not 1 <= k < len(states):
        raise ConfigError(f"k={k} must lie between 1 and {len(states) - 1}, the number of other points")
    chosen = np.random.default_rng(seed).permutation(len(states))[:sample]
    centre = states[np.sort(chosen)].mean(0, dtype=np.float64).astype(np.float32)
    queries = torch.from_numpy(states[chosen].astype(np.float32) - centre)
    best = torch.full((len(queries), k + 1), float("inf"))
    for start in range(0, len(states), _TILE):
        block = torch.from_numpy(states[start : start + _TILE].astype(np.float32) - centre)
        squared = torch.addmm((block**2).sum(1)[None], queries, block.T, alpha=-2.0) + (queries**2).sum(1)[:, None]
        best = torch.cat([best, squared], dim=1).topk(k + 1, largest=False, sorted=True).values
    # The nearest point is the query itself.
    return np.sort(best[:, k].clamp_min(0).sqrt().numpy().astype(np.float64))


def knees(curve: Float[np.ndarray, "query"]) -> tuple[float, ...]:
    """Where an ascending k-distance curve bends upwards most: farthest below its chord, on linear and on log distance.

    Satopää et al. 2011 (Kneedle) without its smoothing. Empty for a flat curve.
    """
    found = []
    for shape in (curve, np.log(np.maximum(curve, np.finfo(np.float64).tiny))):
        rise = shape[-1] - shape[0]
        if rise > 1e-9 * (1 + abs(shape[-1])):
            below = np.linspace(0, 1, len(shape)) - (shape - shape[0]) / rise
            found.append(float(curve[int(below.argmax())]))
    return tuple(dict.fromkeys(found))


def epsilon_report(
    states: Float[np.ndarray, "n d"],
    *,
    min_samples: int = 10,
    given: tuple[float, ...] = (),
    sample: int = 10_000,
    queries: int = 1000,
    seed: int,
) -> EpsReport:
    """The k-distance curve with its knees, and what each candidate eps gives on a sample: noise, clusters, memory.

    Candidates are quantiles of the k-distances, the knees, and the `given` ones. A sample is sparser than the whole, so
    its eps are scaled by the ratio of the two k-distance curves at the same quantile; the reported eps are for ALL points.

    Raises:
        CorpusError: values that are not finite.
        ConfigError: min_samples is not between 2 and the number of points.

    Trust: the shares come from the sample; near a percolation threshold (one eps gives 100 clusters, the next gives 1)
    the whole can lie on the other side. Never accept an eps because it is suggested: see `cluster_quality`.
    """
    if not 2 <= min_samples <= len(states):
        raise ConfigError(f"min_samples={min_samples} must lie between 2 and {len(states)}, the number of points")
    curve = k_distances(states, k=min_samples - 1, sample=queries, seed=seed)
    part = states
    if len(states) > sample:
        part = np.asarray(states[np.sort(np.random.default_rng(seed).choice(len(states), sample, replace=False))])
    thin = k_distances(part, k=min(min_samples, len(part)) - 1, sample=queries, seed=seed)
    bends = knees(curve)
    tried = [_candidate(eps, why, curve, thin, states, part, min_samples) for eps, why in _wanted(curve, bends, given)]
    return EpsReport(
        min_samples=min_samples,
        points=len(states),
        sample=len(part),
        quantiles=_QUANTILES,
        k_distances=tuple(float(np.quantile(curve, quantile)) for quantile in _QUANTILES),
        knees=bends,
        candidates=tuple(tried),
        warning=_warning(tried),
    )


def thinner(
    states: Float[np.ndarray, "n d"],
    part: Float[np.ndarray, "some d"],
    eps: float,
    *,
    min_samples: int,
    seed: int,
    queries: int = 1000,
) -> float:
    """How many times farther apart the points of a sample are than all points, at the quantile where eps lies."""
    whole = k_distances(states, k=max(1, min_samples - 1), sample=queries, seed=seed)
    thin = k_distances(part, k=max(1, min(min_samples, len(part)) - 1), sample=queries, seed=seed)
    return _stretch(eps, whole, thin)


def _wanted(
    curve: Float[np.ndarray, "query"], bends: tuple[float, ...], given: tuple[float, ...]
) -> list[tuple[float, str]]:
    wanted = {float(np.quantile(curve, q)): f"quantile {q} of the k-distances" for q in _QUANTILES}
    wanted |= dict.fromkeys(bends, "knee") | dict.fromkeys(given, "given")
    return sorted((eps, why) for eps, why in wanted.items() if eps > 0 or why == "given")


def _candidate(
    eps: float,
    reason: str,
    curve: Float[np.ndarray, "query"],
    thin: Float[np.ndarray, "thin_query"],
    states: Float[np.ndarray, "n d"],
    part: Float[np.ndarray, "sample d"],
    min_samples: int,
) -> EpsCandidate:
    found = dbscan(part, eps=eps * _stretch(eps, curve, thin), min_samples=min_samples)
    sizes = np.bincount(found.labels[found.labels >= 0], minlength=1)
    neighbours = _within(states, part, eps)
    return EpsCandidate(
        eps=eps,
        reason=reason,
        noise_share=found.noise_share,
        num_clusters=found.num_clusters,
        largest_share=float(sizes.max()) / len(part),
        neighbours=neighbours,
        gigabytes=_gigabytes(len(states), states.shape[1], min_samples),
    )


def _stretch(eps: float, curve: Float[np.ndarray, "query"], thin: Float[np.ndarray, "thin_query"]) -> float:
    """How much farther apart the sample's points are than all points, at the quantile where eps lies."""
    quantile = float(np.searchsorted(curve, eps) / len(curve))
    whole = float(np.quantile(curve, quantile))
    return float(np.quantile(thin, quantile)) / whole if whole > 0 else 1.0


def _within(states: Float[np.ndarray, "n d"], part: Float[np.ndarray, "sample d"], eps: float) -> float:
    few = torch.from_numpy(part[:256].astype(np.float32))
    others = torch.from_numpy(part.astype(np.float32))
    return float((torch.cdist(few, others) <= eps).float().mean()) * len(states)


def _gigabytes(points: int, width: int, min_samples: int) -> float:
    """States in their order (4 bytes a number), their rounded form (2), and undecided pairs (8 bytes each)."""
    return points * (6 * width + 8 * min_samples + 500) / 1e9


def _warning(tried: list[EpsCandidate]) -> str:
    if any(candidate.separates for candidate in tried):
        return ""
    if all(candidate.noise_share >= _MOSTLY_NOISE for candidate in tried):
        return "no eps separates: at every candidate nearly all points are noise; lower min_samples or take more tokens"
    return (
        "no eps separates: as eps grows, noise turns into one giant cluster without a stage of several clusters; "
        "DBSCAN cannot divide these states, so use domains or topics, or another layer"
    )
