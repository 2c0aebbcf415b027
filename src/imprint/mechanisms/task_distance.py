"""How near a cluster's activations are to those of a task's prompts: Delta_task of source 000, with null and floor."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from imprint.errors import CorpusError
from imprint.mechanisms.drift import split_half_distances
from imprint.mechanisms.moments import DocumentMeans, document_means, ledoit_wolf, moments, pooled, whitener
from imprint.stats import Effect

_LEAST_DOCUMENTS = 4
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskDistance:
    """Mahalanobis distance between a cluster and a task, in pooled within-group standard deviations. Small = alike."""

    distance: Effect
    """Delta_task, with an interval over documents along the line that joins the two means."""
    debiased: float
    """The distance with its expected noise taken out; 0 where the noise alone explains it. Rank clusters by this."""
    p: float
    """Share of shuffled labels (document = cluster or prompt) that give as large a distance."""
    null_95: float
    floor: float
    """Mean distance between two random halves of the cluster itself: no task can be nearer than this and mean it."""
    shrinkage: float


def task_distance(
    cluster_states: Float[np.ndarray, "token d"],
    cluster_documents: Int[np.ndarray, "token"],
    task_states: Float[np.ndarray, "prompt_token d_task"],
    task_prompts: Int[np.ndarray, "prompt_token"],
    *,
    draws: int = 999,
    seed: int = 0,
) -> TaskDistance:
    """Delta_task between a cluster and a task's prompts: sqrt((mu_k - mu_t)' Sigma^-1 (mu_k - mu_t)).

    Sigma is the Ledoit-Wolf covariance of the tokens around the mean of their own group; means are over documents (a
    long one counts once); null, interval and floor resample documents and prompts.

    Raises:
        CorpusError: fewer than 4 documents or prompts, or different widths.

    Trust: measures resemblance of format as much as of content (prompts have a template), so compare clusters for one
    task, not tasks for one cluster; a large distance is the rule and says little.
    """
    if cluster_states.shape[1] != task_states.shape[1]:
        raise CorpusError(
            f"The cluster has {cluster_states.shape[1]} dimensions and the task {task_states.shape[1]}: capture one site."
        )
    groups = _documents(cluster_states, cluster_documents, "cluster"), _documents(task_states, task_prompts, "task")
    covariance, shrinkage = ledoit_wolf(pooled(moments(cluster_states), moments(task_states)))
    whiten = whitener(covariance)
    inside, asked = (group.means @ whiten.T for group in groups)
    gap = inside.mean(0) - asked.mean(0)
    distance = float(np.linalg.norm(gap))
    noise = sum(float(group.var(0, ddof=1).sum()) / len(group) for group in (inside, asked))
    null = _shuffled(np.concatenate([inside, asked]), len(inside), draws, seed)
    ones = np.ones(len(inside), dtype=np.int64)
    return TaskDistance(
        distance=_along_gap(inside, asked, gap, distance),
        debiased=float(np.sqrt(max(0.0, distance**2 - noise))),
        p=(int((null >= distance * (1 - 1e-12)).sum()) + 1) / (draws + 1),
        null_95=float(np.quantile(null, 0.95)),
        floor=float(split_half_distances(inside - inside.mean(0), ones, draws=draws, seed=seed + 1).mean()),
        shrinkage=shrinkage,
    )


def _documents(states: np.ndarray, documents: np.ndarray, name: str) -> DocumentMeans:
    found = document_means(states, documents)
    if len(found.means) < _LEAST_DOCUMENTS:
        raise CorpusError(
            f"The {name} has {len(found.means)} document(s), but its distance needs at least {_LEAST_DOCUMENTS}: "
            "give more of them."
        )
    return found


def _shuffled(rows: np.ndarray, first: int, draws: int, seed: int) -> Float[np.ndarray, "draw"]:
    generator = np.random.default_rng(seed)
    member = np.zeros(len(rows))
    member[:first] = 1.0
    choice = np.stack([generator.permutation(member) for _ in range(draws)])
    gaps = choice @ rows / first - (1 - choice) @ rows / (len(rows) - first)
    return np.asarray(np.linalg.norm(gaps, axis=1))


def _along_gap(inside: np.ndarray, asked: np.ndarray, gap: np.ndarray, distance: float) -> Effect:
    direction = gap / distance if distance > 0 else gap
    half = _NORMAL_95 * float(np.sqrt(sum((group @ direction).var(ddof=1) / len(group) for group in (inside, asked))))
    return Effect(
        estimate=distance,
        low=max(0.0, distance - half),
        high=distance + half,
        n=len(inside) + len(asked),
        unit="document",
        control="the task's prompts",
        metric="task distance",
    )
