"""Every attribution method against retraining on natural text, as scorecard rows, one table, and sentences made of both."""

from collections.abc import Iterator

from imprint.stats import Effect
from imprint.studies.attribution_exact import exact_attribution_rows
from imprint.studies.attribution_judgement import Judgement, MethodJudgement, judge
from imprint.studies.attribution_methods import CURVED, EXACT, LEXICAL, NULL, PLAIN, RETRAINED, TRIGRAMS
from imprint.studies.attribution_retrainings import Laboratory
from imprint.studies.scorecard import Overview, Row, Scorecard

WORLD = "natural text"
EXACT_GATE = 0.9
"""LDS of small drops that metagradients of the same run must reach."""


def attribution_scorecard(lab: Laboratory) -> Scorecard:
    """AT-IF-2 to AT-IF-8 where answers are exact, then all methods on natural text (resumable)."""
    with lab.reporter.stage("attribution: exact answers", 1) as advance:
        exact = exact_attribution_rows()
        advance(1)
    judgement = judge(lab)
    return Scorecard(
        rows=(*exact, *judgement_rows(judgement)),
        overviews=(methods_overview(judgement), trust_overview(judgement)),
    )


def judgement_rows(judgement: Judgement) -> list[Row]:
    """The gates, then everything that was measured of every method."""
    return [*_gates(judgement), *_world_rows(judgement), *(row for one in judgement.methods for row in _rows_of(one))]


def _gates(judgement: Judgement) -> Iterator[Row]:
    exact = judgement.of(EXACT).small
    yield _row(EXACT, "small drops, same run", exact, gate=f">= {EXACT_GATE}", passed=exact.estimate >= EXACT_GATE)
    for other in (PLAIN, LEXICAL, TRIGRAMS):
        for name, retrained in (("small drops", judgement.small), ("half-subsets", judgement.half)):
            lead = retrained.lead(judgement.scores[CURVED], judgement.scores[other], control_name=other)
            words = f"{name}, same run, lead over {other}"
            yield _row(CURVED, words, lead, gate="> 0 by its interval", passed=lead.low > 0)
    negated = judgement.small.lds(-judgement.scores[EXACT])
    same = abs(negated.estimate + exact.estimate) < 1e-9
    yield _row(
        f"negated {EXACT}", "mutation: small drops, same run", negated, gate=f"= -{exact.estimate:.3f}", passed=same
    )
    for name, effect in (("small drops", judgement.of(NULL).small), ("half-subsets", judgement.of(NULL).half)):
        yield _row(NULL, f"null: {name}, same run", effect, gate="interval holds 0", passed=not effect.excludes_zero)


def _world_rows(judgement: Judgement) -> Iterator[Row]:
    for size, ratio in judgement.sums.items():
        yield _row(f"sum of {EXACT}", f"over the true effect of removing a query's top {size} rows", ratio)
    for name, retrained in (("small drops", judgement.small), ("half-subsets", judgement.half)):
        ceiling = retrained.ceiling()
        yield _row("retraining", f"{name}: agreement of halves of {ceiling.seeds} seeds", ceiling.halves)
        yield _plain(
            "retraining", f"{name}: ceiling of LDS over seeds (Spearman-Brown, root)", "LDS", ceiling.attainable
        )
    words = {
        "queries_before": "held-out text before training",
        "queries_after": "held-out text after training",
        "rows_after": "training text after training",
    }
    for key, question in words.items():
        yield _plain("the model", question, "nats a byte", judgement.facts[key])


def _rows_of(one: MethodJudgement) -> Iterator[Row]:
    effects = {
        "small drops, same run": one.small,
        "small drops, other seeds": one.small_others,
        "half-subsets, same run": one.half,
        "half-subsets, other seeds": one.half_others,
        "a query's loss without its top rows": one.qld,
        "one more step on the top rows": one.tail,
        "rows planted for a query": one.planted.recall,
        "rows planted for a query, first": one.planted.reciprocal_rank,
        "rows planted for a query, ranking": one.planted.auc,
    }
    yield from (_row(one.method, question, effect) for question, effect in effects.items() if effect is not None)
    yield _plain(one.method, f"cost (needs {one.needs})", "CPU-seconds", one.cpu_seconds)


def methods_overview(judgement: Judgement) -> Overview:
    """Which method is right about what, and what it costs."""
    columns = ("method", "LDS small drop", "LDS half", "LDS half, other seeds", "QLD", "planted", "CPU s", "needs")
    lines = [
        (
            one.method,
            _interval(one.small),
            _interval(one.half),
            _interval(one.half_others),
            "" if one.qld is None else _interval(one.qld),
            round(one.planted.recall.estimate, 3),
            round(one.cpu_seconds, 1),
            one.needs,
        )
        for one in judgement.methods
    ]
    size = judgement.small.subsets
    few = int((~size.kept[0]).sum())
    title = (
        f"Attribution on natural text: {len(size)} subsets a setting, {few} of {size.rows} rows dropped or half of them;"
        " the two settings are different questions"
    )
    return Overview(title=title, columns=columns, lines=tuple(lines))


def trust_overview(judgement: Judgement) -> Overview:
    """The same in words."""
    return Overview(
        title="Which method to trust for what", columns=("",), lines=tuple((line,) for line in sentences(judgement))
    )


def sentences(judgement: Judgement) -> list[str]:
    """Sentences made from the numbers: recorded run, trained model, text alone, removal, and sums (AT-IF-3)."""
    single = [one for one in judgement.methods if one.method not in RETRAINED]
    by_need = {need: [one for one in single if one.needs == need] for need in {one.needs for one in single}}
    said = []
    for need, condition in (
        ("the recorded run", "Where the run was recorded"),
        ("the trained model", "With the trained model alone"),
        ("the text", "With the text alone"),
    ):
        found = by_need.get(need, [])
        if found:
            near, far = (max(found, key=lambda one: key(one).estimate) for key in (_small, _half_others))
            said.append(
                f"{condition}, {near.method} ranks best what dropping a few rows does to this run"
                f" (LDS {_interval(near.small)}), {far.method} what half of the data does to another run"
                f" (LDS {_interval(far.half_others)})."
            )
    ceiling = judgement.half.ceiling()
    said.append(
        f"No score that was made from one run can be expected above {ceiling.attainable:.2f} for half-subsets of other seeds:"
        f" seeds agree with each other only to {ceiling.halves.estimate:.2f}."
    )
    harmed = [one for one in single if one.qld is not None]
    best = max(harmed, key=lambda one: one.qld.estimate if one.qld is not None else 0.0)
    assert best.qld is not None
    said.append(
        f"To find the rows that a query depends on, take {best.method}: without them it loses {_interval(best.qld)} nats."
    )
    return [*said, *_sum_sentences(judgement)]


def _sum_sentences(judgement: Judgement) -> list[str]:
    parts = [f"{_interval(ratio)} of it for the top {size} rows" for size, ratio in judgement.sums.items()]
    return [
        "Never read a sum of scores as the predicted effect of removal: the sum of exact metagradients is"
        f" {' and '.join(parts)} of a query; retraining says what removal does (AT-IF-3)."
    ]


def _small(one: MethodJudgement) -> Effect:
    return one.small


def _half_others(one: MethodJudgement) -> Effect:
    return one.half_others


def _interval(effect: Effect) -> str:
    return f"{effect.estimate:.2f} [{effect.low:.2f}, {effect.high:.2f}]"


def _row(method: str, question: str, effect: Effect, gate: str = "", passed: bool | None = None) -> Row:
    words = f"{question} [{effect.low:.3f}, {effect.high:.3f}]"
    return _plain(method, words, effect.metric, effect.estimate, gate, passed)


def _plain(method: str, question: str, metric: str, value: float, gate: str = "", passed: bool | None = None) -> Row:
    return Row(
        world=WORLD,
        method=method,
        question=question,
        metric=metric,
        value=float(value),
        gate=gate,
        passed=None if passed is None else bool(passed),
    )
