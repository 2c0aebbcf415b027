"""Which node speaks to which ability: from a refined graph or shared keywords, everything to everything, or shuffled."""

from collections.abc import Collection, Sequence

import networkx as nx
import numpy as np
from jaxtyping import Bool

from imprint.emergence.graph import CausalGraph

Kinship = Bool[np.ndarray, "node ability"]
TRIES = 20


def ancestral(graph: CausalGraph, nodes: Sequence[str], abilities: Sequence[str]) -> Kinship:
    """True where a node is an ancestor of an ability (`refined.kept` holds supported and added edges)."""
    above = [nx.ancestors(graph.digraph, ability) for ability in abilities]
    return np.array([[node in ancestors for ancestors in above] for node in nodes], dtype=bool).reshape(len(nodes), -1)


def nearest_kin(words: Sequence[Collection[str]], *, most: int = 8) -> Kinship:
    """For every task up to `most` others that share words with it, by the summed rarity of what they share (idf Jaccard).

    Ties go to the task listed first. A task that shares nothing has no kin.
    """
    count = len(words)
    named = sorted({word for one in words for word in one})
    there = np.array([[word in one for word in named] for one in words], dtype=float).reshape(count, len(named))
    rarity = np.log(count / np.maximum(there.sum(0), 1.0))
    both = (there * rarity) @ there.T
    either = (there @ rarity)[:, None] + (there @ rarity)[None, :] - both
    near = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    np.fill_diagonal(near, 0.0)
    kin = np.zeros((count, count), dtype=bool)
    for task in range(count):
        ranked = np.argsort(-near[:, task], kind="stable")[:most]
        kin[ranked[near[ranked, task] > 0], task] = True
    return kin


def complete(kinship: Kinship) -> Kinship:
    """Every node to every ability: what the same network reads without the graph."""
    return np.ones_like(kinship)


def shuffled(kinship: Kinship, *, seed: int, among_tasks: bool = False) -> Kinship:
    """The same edges with the nodes renamed at random: what any graph of this shape would say.

    `among_tasks`: nodes and abilities are the same tasks and are renamed alike, so that none comes to speak to itself.
    Edges that fall on their old place by chance stay: a null that avoided them would tell what an ability does not need.
    """
    generator = np.random.default_rng(seed)
    for _ in range(TRIES):
        order = generator.permutation(len(kinship))
        renamed = kinship[order][:, order] if among_tasks else kinship[order]
        if not np.array_equal(renamed, kinship):
            return np.asarray(renamed)
    return kinship
