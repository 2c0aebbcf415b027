"""A taxonomy of abilities: which are moved by the same things, against the same abilities with their profiles shuffled."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from imprint.emergence.graph.edge_effects import EdgeEffect
from imprint.emergence.graph.edge_tests import EdgeFindings
from imprint.emergence.graph.refinement import RefinedGraph
from imprint.errors import InputError

FEWEST_ABILITIES = 3
Distances = Float[np.ndarray, "ability ability"]


@dataclass(frozen=True, kw_only=True)
class Taxonomy:
    """Groups of abilities, how well they are set apart, and how often shuffled profiles do as well.

    `distance` is the mean of 1 - Jaccard of the ancestor sets and (1 - cosine) / 2 of the effect profiles.
    """

    abilities: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    shared: tuple[tuple[str, ...], ...]
    """Ancestors that all abilities of a group share."""
    distance: Distances
    merges: Float[np.ndarray, "merge 4"]
    """scipy's linkage, for a dendrogram."""
    silhouette: float
    """Mean silhouette of the groups: 1 far apart, 0 not set apart."""
    p: float
    alpha: float

    @property
    def beyond_chance(self) -> bool:
        """Whether shuffled profiles seldom group as well."""
        return self.p <= self.alpha

    @property
    def sentence(self) -> str:
        """The finding in words."""
        if not self.beyond_chance:
            return f"no grouping beyond chance (silhouette {self.silhouette:.2f}, p {self.p:.2g})"
        named = "; ".join(
            f"{', '.join(group)} (share {', '.join(shared) or 'no ancestor'})"
            for group, shared in zip(self.groups, self.shared, strict=True)
        )
        return f"{len(self.groups)} groups (silhouette {self.silhouette:.2f}, p {self.p:.2g}): {named}"


def taxonomy(
    refined: RefinedGraph, findings: EdgeFindings, *, alpha: float = 0.05, draws: int = 1000, seed: int = 0
) -> Taxonomy:
    """Abilities grouped by average linkage, the number of groups by the silhouette.

    The null exchanges, within each ability, which cause is an ancestor and which arm had which effect.

    Raises:
        InputError: fewer than 3 abilities, or no arm whose effect on all of them was measured.

    Trust: with few arms profiles hold little; groups say what was moved alike here, not what abilities are.
    """
    abilities = refined.graph.abilities
    if len(abilities) < FEWEST_ABILITIES:
        raise InputError(f"{len(abilities)} abilities cannot be grouped: the graph needs at least {FEWEST_ABILITIES}")
    above = _ancestors(refined, abilities)
    effects = _profiles(findings, abilities)
    distance = distances(above, effects)
    labels, silhouette_found = grouped(distance)
    generator = np.random.default_rng(seed)
    shuffled = [grouped(distances(_shuffled(above, generator), _shuffled(effects, generator)))[1] for _ in range(draws)]
    groups = tuple(
        tuple(name for name, label in zip(abilities, labels, strict=True) if label == one) for one in np.unique(labels)
    )
    return Taxonomy(
        abilities=abilities,
        groups=groups,
        shared=tuple(_shared(refined, group) for group in groups),
        distance=distance,
        merges=linkage(squareform(distance, checks=False), "average"),
        silhouette=silhouette_found,
        p=(1 + sum(one >= silhouette_found - 1e-12 for one in shuffled)) / (1 + draws),
        alpha=alpha,
    )


def distances(above: Float[np.ndarray, "ability cause"], effects: Float[np.ndarray, "ability arm"]) -> Distances:
    """The mean of both distances between all abilities; two abilities without any ancestor are as far apart as can be."""
    both = above @ above.T
    either = above.sum(1)[:, None] + above.sum(1)[None, :] - both
    jaccard = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    found = (1 - jaccard + (1 - _cosines(effects)) / 2) / 2
    np.fill_diagonal(found, 0.0)
    return np.asarray((found + found.T) / 2)


def grouped(distance: Distances) -> tuple[Int[np.ndarray, "ability"], float]:
    """The cut of the average-linkage tree with the best silhouette, and that silhouette."""
    tree = linkage(squareform(distance, checks=False), "average")
    cuts = [fcluster(tree, count, "maxclust") for count in range(2, len(distance))]
    best = max(cuts, key=lambda labels: silhouette(distance, labels))
    return np.asarray(best), silhouette(distance, best)


def silhouette(distance: Distances, labels: Int[np.ndarray, "ability"]) -> float:
    """Mean of (nearest other group - own group) / larger of the two; an ability alone in its group counts 0."""
    found = []
    for place, label in enumerate(labels):
        own = (labels == label) & (np.arange(len(labels)) != place)
        others = [distance[place, labels == other].mean() for other in np.unique(labels) if other != label]
        if not own.any() or not others:
            found.append(0.0)
            continue
        inside, outside = float(distance[place, own].mean()), float(min(others))
        found.append((outside - inside) / max(inside, outside, 1e-12))
    return float(np.mean(found))


def _ancestors(refined: RefinedGraph, abilities: Sequence[str]) -> Float[np.ndarray, "ability cause"]:
    kept = refined.kept.digraph
    causes = [name for name in refined.graph.names if name not in abilities]
    found = [[float(cause in nx.ancestors(kept, ability)) for cause in causes] for ability in abilities]
    return np.array(found, dtype=float)


def _profiles(findings: EdgeFindings, abilities: Sequence[str]) -> Float[np.ndarray, "ability arm"]:
    """Effects in standard errors (estimate over the smallest detectable), so that noisy abilities do not look extreme."""
    seen = {(test.arm, test.effect): test.found for test in findings.tests if test.valid and test.found is not None}
    arms = sorted({arm for arm, _ in seen if all((arm, ability) in seen for ability in abilities)})
    if not arms:
        raise InputError("no arm's effect was measured on all abilities: there are no profiles to compare")
    rows = [[_standard(seen[arm, ability]) for arm in arms] for ability in abilities]
    return np.array(rows, dtype=float)


def _standard(found: EdgeEffect) -> float:
    estimate, detectable = found.effect.estimate, found.detectable
    return float(np.clip(estimate / detectable, -3, 3)) if detectable > 0 else 3.0 * float(np.sign(estimate))


def _cosines(effects: Float[np.ndarray, "ability arm"]) -> Distances:
    """Cosines of the profiles: which arms move an ability, and which way; 0 where nothing moves it."""
    length = np.linalg.norm(effects, axis=1, keepdims=True)
    unit = np.divide(effects, length, out=np.zeros_like(effects), where=length > 0)
    return np.asarray(np.clip(unit @ unit.T, -1, 1))


def _shuffled(
    rows: Float[np.ndarray, "ability cause"], generator: np.random.Generator
) -> Float[np.ndarray, "ability cause"]:
    return np.asarray(generator.permuted(rows, axis=1))


def _shared(refined: RefinedGraph, group: Iterable[str]) -> tuple[str, ...]:
    kept = refined.kept.digraph
    common = set.intersection(*(set(nx.ancestors(kept, ability)) for ability in group))
    return tuple(name for name in refined.graph.names if name in common)
