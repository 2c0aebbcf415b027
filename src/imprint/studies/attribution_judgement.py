"""What retraining says of every attribution method in the natural-text world."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from imprint.attribution.validation import (
    Dropped,
    PlantedRecall,
    Retrained,
    planted_recall,
    predicted_over_true,
    qld,
    tail_patches,
    top_rows,
)
from imprint.stats import Effect, bootstrap_mean
from imprint.studies.attribution_methods import (
    CANDIDATES,
    DATAMODELS,
    EXACT,
    SINGLE,
    VARIANTS,
    MethodScores,
    WorldFacts,
    needs,
)
from imprint.studies.attribution_retrainings import Laboratory

_TAIL_STEP = 0.05
Scores = Float64[np.ndarray, "query row"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodJudgement:
    """One method against retraining; LDS of the two settings must not be compared with each other."""

    method: str
    small: Effect
    """LDS of small drops from the run that was attributed."""
    small_others: Effect
    """The same, judged by runs of other seeds."""
    half: Effect
    half_others: Effect
    planted: PlantedRecall
    cpu_seconds: float
    needs: str
    qld: Effect | None = None
    """None for variants of a method, which are judged by LDS and planted rows only."""
    tail: Effect | None = None
    """Change of the query by one gradient step on its top rows, in nats."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """All methods, and what holds for the world as a whole."""

    methods: tuple[MethodJudgement, ...]
    scores: Mapping[str, Scores] = field(repr=False)
    """Of the natural queries, which alone are judged by retraining; planted rows have queries of their own."""
    small: Retrained
    half: Retrained
    sums: Mapping[int, Effect]
    """By the size of the group: the sum of exact metagradients of a query's top rows over the effect of removing them."""
    facts: Mapping[str, float]

    def of(self, method: str) -> MethodJudgement:
        """The judgement of one method."""
        return next(one for one in self.methods if one.method == method)


def judge(lab: Laboratory) -> Judgement:
    """Retrain, score, and compare; every retraining and every method is kept in the store, so this resumes."""
    natural = slice(0, lab.world.text.queries)
    small, half = (_natural(lab.retrained(one), natural) for one in (lab.small, lab.half))
    whole, scores, seconds, facts = _scored(lab)
    asked = {name: found[natural] for name, found in scores.items()}
    tops = {name: top_rows(found, lab.plan.dropped) for name, found in asked.items() if name not in VARIANTS}
    group = top_rows(asked[EXACT], max(1, round(lab.plan.group_share * lab.world.text.row_count)))
    removed = _removed(lab, [*tops.values(), group], natural)
    tails = _tails(lab, {name: asked[name] for name in tops})
    methods = [
        MethodJudgement(
            method=name,
            small=small.lds(asked[name]),
            small_others=small.lds(asked[name], seeds="others"),
            half=half.lds(asked[name]),
            half_others=half.lds(asked[name], seeds="others"),
            planted=_planted(lab, found),
            cpu_seconds=seconds[name],
            needs=needs(name),
            qld=qld(removed[tops[name]], small.own) if name in tops else None,
            tail=tails.get(name),
        )
        for name, found in scores.items()
    ]
    sums = {len(one[0]): _sum_ratio(asked[EXACT], one, whole[natural] - removed[one]) for one in (tops[EXACT], group)}
    return Judgement(
        methods=tuple(sorted(methods, key=lambda one: -one.small.estimate)),
        scores=asked,
        small=small,
        half=half,
        sums=sums,
        facts=facts,
    )


def _natural(retrained: Retrained, queries: slice) -> Retrained:
    return Retrained(subsets=retrained.subsets, values=retrained.values[:, :, queries])


def _scored(
    lab: Laboratory,
) -> tuple[Float64[np.ndarray, "query"], dict[str, Scores], dict[str, float], dict[str, float]]:
    """Values of the whole run, scores and CPU-seconds of every method, and facts of the world."""
    steps = [MethodScores(world=lab.world, method=name, seed=0) for name in CANDIDATES]
    facts = WorldFacts(world=lab.world, seed=0)
    stage = "natural text: every method"
    *folders, place = lab.executor.run(
        [*steps, facts], lab.store, progress=lab.reporter, stage=stage, units=len(steps) + 1
    )
    loaded = [MethodScores.load(folder) for folder in folders]
    scores = {name: found for name, (found, _) in zip(CANDIDATES, loaded, strict=True)}
    seconds = {name: taken for name, (_, taken) in zip(CANDIDATES, loaded, strict=True)}
    known = WorldFacts.load(place)
    scores[SINGLE], whole = lab.leave_one_out()
    scores[DATAMODELS] = lab.datamodels()
    seconds[SINGLE] = known["cpu_seconds"] * lab.world.text.row_count
    seconds[DATAMODELS] = known["cpu_seconds"] * lab.plan.datamodel_runs
    return whole, scores, seconds, known


def _removed(
    lab: Laboratory, groups: list[tuple[Dropped, ...]], natural: slice
) -> dict[tuple[Dropped, ...], Float64[np.ndarray, "query"]]:
    """For each list of one set of rows a query: the value of every query after training without its own set."""
    sets = [rows for group in groups for rows in group]
    values = lab.without(sets, 1, "without the top rows")[0][:, natural]
    queries = len(groups[0])
    return {
        group: np.diagonal(values[number * queries : (number + 1) * queries]).copy()
        for number, group in enumerate(groups)
    }


def _tails(lab: Laboratory, scores: Mapping[str, Scores]) -> dict[str, Effect]:
    problem = lab.world.open(lab.store, 0).problem(0)
    queries = problem.queries[: lab.world.text.queries]
    found = {}
    for name, values in scores.items():
        changes = tail_patches(
            problem.model,
            problem.tokens,
            problem.lengths,
            queries,
            values,
            top=lab.plan.dropped,
            learning_rate=_TAIL_STEP,
        )
        found[name] = bootstrap_mean(changes, seed=0, unit="item", control_name="no step", metric="tail patch (nats)")
    return found


def _planted(lab: Laboratory, scores: Scores) -> PlantedRecall:
    """Recall of the planted rows by the queries that have some."""
    text = lab.world.text
    first = text.documents * text.passages
    planted = np.zeros((text.planted, text.row_count), dtype=bool)
    for query in range(text.planted):
        planted[query, first + query * text.copies : first + (query + 1) * text.copies] = True
    return planted_recall(scores[text.queries :], planted)


def _sum_ratio(scores: Scores, rows: tuple[Dropped, ...], true: Float64[np.ndarray, "query"]) -> Effect:
    predicted = np.array([scores[query, list(one)].sum() for query, one in enumerate(rows)])
    return predicted_over_true(predicted, true, seed=0)
