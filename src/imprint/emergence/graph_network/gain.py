"""What the graph adds: the same network with the graph, hearing everything, hearing nothing, and with shuffled edges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.stats import rankdata

from imprint.emergence.graph_network.kinship import Kinship, complete, shuffled
from imprint.emergence.graph_network.network import NetworkSettings, fit_network
from imprint.emergence.graph_network.run_graph import RunGraph
from imprint.errors import InputError
from imprint.stats import Effect

GRAPH, WITHOUT, OWN, SHUFFLED = "graph", "without graph", "own features", "shuffled edges"
SHUFFLES = 3
DRAWS = 1000
Metric = Literal["AUC", "Brier"]
Said = Mapping[str, Float[np.ndarray, "version question"]]
"""By model the probabilities; shuffled edges have several versions, whose scores are averaged."""


@dataclass(frozen=True, kw_only=True)
class GraphGain:
    """AUC and Brier of the four models, and their differences with intervals of a paired bootstrap over abilities.

    Positive gain: the graph ranks better. A gain is claimed only where the graph beats the same network that hears every node,
    the one that hears none and the one with shuffled edges, and its probabilities are not worse.
    """

    auc: dict[str, float]
    brier: dict[str, float]
    gain: Effect
    """AUC with the graph minus AUC without."""
    over_own: Effect
    """AUC with the graph minus AUC from a question's own features alone."""
    over_shuffled: Effect
    shuffled_gain: Effect
    """AUC with shuffled edges minus AUC without the graph: the null."""
    brier_gain: Effect
    """Brier without minus Brier with the graph; positive: the graph is better."""
    questions: int
    edges: int
    said: Said = field(repr=False)
    """The probabilities behind the numbers."""

    @property
    def claimed(self) -> bool:
        """Whether all three intervals lie above 0, and the probabilities did not get worse."""
        return self.ranks_better and not self.brier_gain.high < 0

    @property
    def ranks_better(self) -> bool:
        """Whether all three intervals of the AUC lie above 0."""
        return min(self.gain.low, self.over_own.low, self.over_shuffled.low) > 0

    @property
    def sentence(self) -> str:
        """The finding in words."""
        parts = (
            f"{_said(self.gain)} AUC over the same network without the graph, {_said(self.over_own)} over own features alone, "
            f"{_said(self.over_shuffled)} over shuffled edges"
        )
        if self.claimed:
            return f"graph features gain {parts}"
        if self.ranks_better:
            lost = self.brier_gain
            worse = f"Brier score {-lost.estimate:+.3f} [{-lost.high:+.3f}, {-lost.low:+.3f}]"
            return f"no gain from graph features: they rank better ({parts}), but the probabilities are worse ({worse})"
        return f"no gain from graph features: {parts}"

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        effects = {
            name: getattr(self, name).as_dict()
            for name in ("gain", "over_own", "over_shuffled", "shuffled_gain", "brier_gain")
        }
        plain = {name: getattr(self, name) for name in ("auc", "brier", "questions", "edges", "claimed", "sentence")}
        return {**plain, **effects}


def graph_gain(
    world: RunGraph,
    kinship: Kinship,
    *,
    folds: int = 5,
    settings: NetworkSettings | None = None,
    shuffles: int = SHUFFLES,
    draws: int = DRAWS,
    seed: int = 0,
) -> GraphGain:
    """The gain with abilities held out in folds: every question is answered by networks that never saw its ability.

    Raises:
        InputError: fewer than 2 abilities a fold, or one class only.
        ConfigError: torch-geometric is not installed.

    Trust: without the graph the network hears every node of the run, so it lacks nothing but the edges.
    """
    fold = ability_folds(world, folds, seed=seed)
    said = {
        name: np.zeros((count, len(world)))
        for name, count in ((GRAPH, 1), (WITHOUT, 1), (OWN, 1), (SHUFFLED, shuffles))
    }
    for held in range(folds):
        known, asked = world.asking(np.flatnonzero(fold != held)), world.asking(np.flatnonzero(fold == held))
        found = four_answers(known, asked, kinship, settings=settings, shuffles=shuffles, seed=seed)
        for name, values in found.items():
            said[name][:, fold == held] = values
    edges = world.edges(kinship).shape[1]
    return compare(world.emerged, world.question_ability, said, edges=edges, draws=draws, seed=seed)


def ability_folds(world: RunGraph, folds: int, *, seed: int) -> Int[np.ndarray, "question"]:
    """The fold of every question, whole abilities together.

    Raises:
        InputError: fewer than 2 abilities a fold.
    """
    abilities = np.unique(world.question_ability)
    if len(abilities) < 2 * folds:
        raise InputError(f"{len(abilities)} abilities in {folds} folds leave too few to hold out: use fewer folds")
    place = dict(zip(np.random.default_rng(seed).permutation(abilities).tolist(), range(len(abilities)), strict=True))
    return np.array([place[ability] % folds for ability in world.question_ability.tolist()])


def four_answers(
    known: RunGraph,
    asked: RunGraph,
    kinship: Kinship,
    *,
    settings: NetworkSettings | None = None,
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> dict[str, Float[np.ndarray, "version question"]]:
    """Probabilities of the asked questions from the four models, each learned from the known ones."""
    kinds: dict[str, Sequence[Kinship]] = {
        GRAPH: [kinship],
        WITHOUT: [complete(kinship)],
        OWN: [np.zeros_like(kinship)],
        SHUFFLED: [
            shuffled(kinship, seed=seed * 100 + number, among_tasks=known.among_tasks) for number in range(shuffles)
        ],
    }
    return {
        name: np.stack([_answers(known, asked, version, settings, seed) for version in versions])
        for name, versions in kinds.items()
    }


def _answers(
    known: RunGraph, asked: RunGraph, kinship: Kinship, settings: NetworkSettings | None, seed: int
) -> Float[np.ndarray, "question"]:
    answer = fit_network(known, known.edges(kinship), settings=settings, seed=seed)
    return answer(asked, asked.edges(kinship))


def compare(
    emerged: Bool[np.ndarray, "question"],
    groups: Shaped[np.ndarray, "question"],
    said: Said,
    *,
    edges: int,
    draws: int = DRAWS,
    seed: int = 0,
) -> GraphGain:
    """The gain from answers, whole groups (abilities, tasks) resampled together.

    Raises:
        InputError: one class only.
    """
    if emerged.all() or not emerged.any():
        raise InputError("all answers are the same: an AUC needs questions with either answer")

    def differs(one: str, other: str, metric: Metric) -> Effect:
        pair = (said[one], said[other])
        return difference(emerged, groups, *pair, metric=metric, control=other, draws=draws, seed=seed)

    return GraphGain(
        auc={name: auc_of(emerged, values) for name, values in said.items()},
        brier={name: brier_of(emerged, values) for name, values in said.items()},
        gain=differs(GRAPH, WITHOUT, "AUC"),
        over_own=differs(GRAPH, OWN, "AUC"),
        over_shuffled=differs(GRAPH, SHUFFLED, "AUC"),
        shuffled_gain=differs(SHUFFLED, WITHOUT, "AUC"),
        brier_gain=differs(GRAPH, WITHOUT, "Brier"),
        questions=len(emerged),
        edges=edges,
        said=said,
    )


def difference(
    emerged: Bool[np.ndarray, "question"],
    groups: Shaped[np.ndarray, "question"],
    one: Float[np.ndarray, "version question"],
    other: Float[np.ndarray, "version2 question"],
    *,
    metric: Metric = "AUC",
    control: str,
    draws: int = DRAWS,
    seed: int = 0,
) -> Effect:
    """How much better `one` is than `other`, with a paired bootstrap interval over whole groups. Positive: `one` is better.

    Trust: resamples with one class only have no AUC and are left out.
    """
    score = auc_of if metric == "AUC" else lambda truth, said: -brier_of(truth, said)
    drawn = [
        score(emerged[rows], one[:, rows]) - score(emerged[rows], other[:, rows])
        for rows in group_samples(groups, draws=draws, seed=seed)
    ]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Effect(
        estimate=score(emerged, one) - score(emerged, other),
        low=float(low),
        high=float(high),
        n=len(np.unique(groups)),
        unit="task",
        control=control,
        metric=metric,
    )


def group_samples(groups: Shaped[np.ndarray, "question"], *, draws: int, seed: int) -> list[Int[np.ndarray, "row"]]:
    """Rows of groups drawn with replacement."""
    generator = np.random.default_rng(seed)
    names = np.unique(groups)
    rows = {name: np.flatnonzero(groups == name) for name in names.tolist()}
    return [np.concatenate([rows[name] for name in generator.choice(names, len(names)).tolist()]) for _ in range(draws)]


def auc_of(emerged: Bool[np.ndarray, "row"], said: Float[np.ndarray, "version row"]) -> float:
    """The area under the ROC curve, averaged over versions; nan with one class."""
    positive = int(emerged.sum())
    if positive in (0, len(emerged)):
        return float("nan")
    ranks = rankdata(said, axis=1)[:, emerged].sum(axis=1)
    areas = (ranks - positive * (positive + 1) / 2) / (positive * (len(emerged) - positive))
    return float(areas.mean())


def brier_of(emerged: Bool[np.ndarray, "row"], said: Float[np.ndarray, "version row"]) -> float:
    """The mean squared error of the probabilities, averaged over versions."""
    return float(np.mean((said - emerged) ** 2))


def _said(effect: Effect) -> str:
    return f"{effect.estimate:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"
