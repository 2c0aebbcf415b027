"""Planted worlds for the graph network: one in which only the graph says what an ability needs, one that needs no graph."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from imprint.emergence.graph_network import GraphGain, NetworkSettings, RunGraph, compare, graph_gain
from imprint.emergence.graph_network.kinship import Kinship
from imprint.runs import derive
from imprint.studies.scorecard import Row

THRESHOLD, SLOPE = 2.2, 0.1
LOSSES = (1.0, 3.7)
LEAST_GAIN = 0.05
"""In AUC: what the graph must add where only it says what an ability needs."""
LEAST_AUC = 0.98
NEED = 0.12
"""How sharply both components must be there, in units of their strength (uniform between 0 and 1)."""
HALF = 0.55
FOLDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphWorldSizes:
    """How large the worlds are; the defaults are those of the gates."""

    runs: int = 60
    components: int = 12
    abilities: int = 30
    threshold_runs: int = 20
    threshold_abilities: int = 20
    network: NetworkSettings = NetworkSettings()


@dataclass(frozen=True, kw_only=True)
class PlantedWorld:
    """A world, its kinship, and what a tabular predictor sees of every question: its own features and all components."""

    world: RunGraph
    kinship: Kinship
    table: Float[np.ndarray, "question column"]
    bayes: Float[np.ndarray, "question"]
    """The true probability of every answer."""


def needs_both_world(seed: int, sizes: GraphWorldSizes | None = None) -> PlantedWorld:
    """AT-EM-2: every ability needs two components at once; which two differs by ability, and only the graph says it."""
    sizes = sizes or GraphWorldSizes()
    generator = np.random.default_rng(derive(seed, "needs both"))
    strength = generator.uniform(0, 1, (sizes.runs, sizes.components))
    pairs = [generator.choice(sizes.components, 2, replace=False) for _ in range(sizes.abilities)]
    kinship = np.zeros((sizes.components, sizes.abilities), dtype=bool)
    for ability, pair in enumerate(pairs):
        kinship[pair, ability] = True
    weaker = np.stack([strength[:, pair].min(axis=1) for pair in pairs], axis=1)
    bayes = _sigmoid((weaker - HALF) / NEED)
    loss = -strength.mean(axis=1, keepdims=True) + 0.05 * generator.standard_normal(bayes.shape)
    return _planted(strength, kinship, loss, bayes, generator)


def loss_threshold_world(seed: int, sizes: GraphWorldSizes | None = None) -> PlantedWorld:
    """AT-EM-1: an ability is there iff its loss is below 2.2 (slope .1); the graph that is given has nothing to do with it."""
    sizes = sizes or GraphWorldSizes()
    generator = np.random.default_rng(derive(seed, "loss threshold"))
    shape = (sizes.threshold_runs, sizes.threshold_abilities)
    loss = generator.uniform(*LOSSES, shape)
    strength = generator.uniform(0, 1, (shape[0], sizes.components))
    kinship = generator.random((sizes.components, shape[1])) < 2 / sizes.components
    return _planted(strength, kinship, loss, _sigmoid((THRESHOLD - loss) / SLOPE), generator)


def graph_world_rows(seed: int, sizes: GraphWorldSizes | None = None) -> list[Row]:
    """AT-EM-1, AT-EM-2 and AT-EM-6 as scorecard rows, in the worlds of one seed."""
    sizes = sizes or GraphWorldSizes()
    return [*_threshold_rows(seed, sizes), *_needs_both_rows(seed, sizes)]


def gain_over_logistic(planted: PlantedWorld, *, settings: NetworkSettings, seed: int) -> tuple[GraphGain, GraphGain]:
    """The gain over the network without the graph, and over a logistic regression that sees every component of the run."""
    raise NotImplementedError


def _planted(
    strength: Float[np.ndarray, "run component"],
    kinship: Kinship,
    loss: Float[np.ndarray, "run ability"],
    bayes: Float[np.ndarray, "run ability"],
    generator: np.random.Generator,
) -> PlantedWorld:
    runs, components = strength.shape
    abilities = loss.shape[1]
    run, ability = np.repeat(np.arange(runs), abilities), np.tile(np.arange(abilities), runs)
    world = RunGraph(
        evidence=strength.reshape(-1, 1),
        evidence_run=np.repeat(np.arange(runs), components),
        evidence_node=np.tile(np.arange(components), runs),
        questions=loss.reshape(-1, 1),
        question_run=run,
        question_ability=ability,
        emerged=generator.random(loss.size) < bayes.ravel(),
    )
    return PlantedWorld(
        world=world, kinship=kinship, table=np.c_[loss.reshape(-1, 1), strength[run]], bayes=bayes.ravel()
    )


def _sigmoid(x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    return np.asarray(1 / (1 + np.exp(-x)))
