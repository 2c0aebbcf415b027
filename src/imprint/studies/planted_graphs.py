"""Planted worlds for the graph network: one in which only the graph says what an ability needs, one that needs no graph."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from imprint.emergence.graph_network import GraphGain, NetworkSettings, RunGraph, graph_gain
from imprint.emergence.graph_network.gain import GRAPH, SHUFFLED, ability_folds, auc_of, difference
from imprint.emergence.graph_network.kinship import Kinship
from imprint.runs import Reporter, derive, silent
from imprint.stats import Effect
from imprint.studies.scorecard import Row

THRESHOLD, SLOPE = 2.2, 0.1
LOSSES = (1.0, 3.7)
LEAST_GAIN = 0.05
"""In AUC: what the graph must add where only it says what an ability needs."""
LEAST_AUC = 0.98
NEED = 0.12
"""How sharply both components must be there, in units of their strength (uniform between 0 and 1)."""
HALF = 0.55
NETWORK, LOGISTIC = "graph network", "logistic regression"


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphWorldSizes:
    """How large the worlds are; the defaults are those of the gates."""

    runs: int = 60
    components: int = 12
    abilities: int = 30
    threshold_runs: int = 20
    threshold_abilities: int = 20
    folds: int = 5
    """Of abilities held out."""
    shuffles: int = 3
    draws: int = 1000
    network: NetworkSettings = field(default_factory=NetworkSettings)


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


def graph_world_rows(
    seeds: Sequence[int], sizes: GraphWorldSizes | None = None, *, reporter: Reporter = silent
) -> list[Row]:
    """AT-EM-1, AT-EM-2 and AT-EM-6 as scorecard rows, in the worlds of every seed.

    Raises:
        ConfigError: torch-geometric is not installed.
    """
    sizes = sizes or GraphWorldSizes()
    rows = []
    with reporter.stage("planted graph worlds", 3 * len(seeds)) as advance:
        for seed in seeds:
            for part in (_threshold_rows, _needs_both_rows, _shuffled_label_rows):
                rows += part(seed, sizes)
                advance(1)
    return rows


def _threshold_rows(seed: int, sizes: GraphWorldSizes) -> list[Row]:
    planted, name = loss_threshold_world(seed, sizes), f"loss threshold 2.2, seed {seed}"
    best = auc_of(planted.world.emerged, -planted.world.questions.T)
    found = _gain(planted.world, planted, sizes)
    auc = found.auc[GRAPH]
    return [
        _row(name, "loss alone", "which abilities emerge", "AUC", best),
        _row(name, NETWORK, "which abilities emerge", "AUC", auc, f">= {LEAST_AUC}", auc >= LEAST_AUC),
        _row(name, NETWORK, "Brier score", "Brier", found.brier[GRAPH]),
        _row(name, NETWORK, "gain over no graph", "AUC", found.gain.estimate, "no gain claimed", not found.claimed),
    ]


def _needs_both_rows(seed: int, sizes: GraphWorldSizes) -> list[Row]:
    planted, name = needs_both_world(seed, sizes), f"needs two components, seed {seed}"
    emerged, abilities = planted.world.emerged, planted.world.question_ability
    found = _gain(planted.world, planted, sizes)
    logistic = logistic_answers(planted, ability_folds(planted.world, sizes.folds, seed=0))
    lead = difference(emerged, abilities, found.said[GRAPH], logistic, control=LOGISTIC, draws=sizes.draws)
    vanished = found.shuffled_gain.estimate < LEAST_GAIN and found.shuffled_gain.low <= 0
    gate = f"< {LEAST_GAIN}, interval not above 0"
    return [
        _row(name, "true probability", "which abilities emerge", "AUC", auc_of(emerged, planted.bayes[None])),
        _row(name, LOGISTIC, "which abilities emerge", "AUC", auc_of(emerged, logistic)),
        _row(name, NETWORK, "which abilities emerge", "AUC", found.auc[GRAPH]),
        _gain_row(name, "gain over logistic regression", lead),
        _gain_row(name, "gain over no graph", found.gain),
        _row(name, SHUFFLED, "gain over no graph", "AUC", found.shuffled_gain.estimate, gate, vanished),
    ]


def _shuffled_label_rows(seed: int, sizes: GraphWorldSizes) -> list[Row]:
    planted, name = needs_both_world(seed, sizes), f"shuffled answers, seed {seed}"
    generator = np.random.default_rng(derive(seed, "shuffled answers"))
    world = planted.world.answered(generator.permutation(planted.world.emerged))
    found = _gain(world, planted, sizes)
    auc = found.auc[GRAPH]
    return [
        _row(name, NETWORK, "which abilities emerge", "AUC", auc, "0.5 ± 0.05", abs(auc - 0.5) <= 0.05),
        _row(name, NETWORK, "gain over no graph", "AUC", found.gain.estimate, "no gain claimed", not found.claimed),
    ]


def logistic_answers(planted: PlantedWorld, fold: Int[np.ndarray, "question"]) -> Float[np.ndarray, "1 question"]:
    """A logistic regression on a question's own features and every component of the run, abilities held out."""
    said = np.zeros((1, len(planted.table)))
    for held in np.unique(fold):
        known = fold != held
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(
            planted.table[known], planted.world.emerged[known]
        )
        said[0, ~known] = model.predict_proba(planted.table[~known])[:, 1]
    return said


def _gain(world: RunGraph, planted: PlantedWorld, sizes: GraphWorldSizes) -> GraphGain:
    return graph_gain(
        world, planted.kinship, folds=sizes.folds, settings=sizes.network, shuffles=sizes.shuffles, draws=sizes.draws
    )


def _gain_row(world: str, question: str, gain: Effect) -> Row:
    passed = gain.estimate >= LEAST_GAIN and gain.low > 0
    return _row(world, NETWORK, question, "AUC", gain.estimate, f">= {LEAST_GAIN}, interval above 0", passed)


def _row(
    world: str, method: str, question: str, metric: str, value: float, gate: str = "", passed: bool | None = None
) -> Row:
    return Row(world=world, method=method, question=question, metric=metric, value=value, gate=gate, passed=passed)


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
