"""The scorecard rows of the susceptibility study: four planted worlds, of which it must name the right explanation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from imprint.corpus.planted_conditions import Cause
from imprint.runs import Executor, Reporter, Store
from imprint.stats import Verdict
from imprint.studies.planted_noise import NoiseVerdict, judge_noise_worlds, simulated_noise, train_pool
from imprint.studies.planted_pipelines import OUTCOME, PipelineSizes, planted_files, planted_study
from imprint.studies.scorecard import Row
from imprint.studies.susceptibility import (
    Named,
    RemovalFinding,
    SusceptibilityResult,
    run_susceptibility_study,
)
from imprint.studies.susceptibility.outcomes import condition_means, nest_of
from imprint.studies.variance import within_sd

STUDY = "susceptibility study"
RIGHT: Mapping[Cause, Named] = {
    "surface": "surface",
    "representation": "representation",
    "few examples": "few conversations",
}
WORLDS: Mapping[Cause, str] = {
    "surface": "planted: only the surface differs",
    "representation": "planted: only the representation differs",
    "few examples": "planted: ten examples",
    "noise": "planted: seed noise",
}
LEAST_RECALL = 8
MOST_CLAIMS = 0.05
MOST_SIMULATED = 0.02
"""The registered level of the gate is .01; so much more is left to the chance of 2 000 tables (.01 + 4.5 standard errors)."""


def susceptibility_rows(sizes: PipelineSizes, out: Path, executor: Executor, reporter: Reporter) -> list[Row]:
    """The real study on each world, its noise worlds, and simulated tables; resumable in `out`."""
    rows: list[Row] = []
    for cause, right in RIGHT.items():
        files = planted_files(cause, sizes, out / "worlds")
        folder = out / cause.replace(" ", "-")
        result = run_susceptibility_study(
            planted_study(cause, files, sizes), folder, executor=executor, reporter=reporter
        )
        rows += named_rows(cause, result, right)
        if cause == "few examples" and isinstance(result.removal, RemovalFinding):
            rows += removal_rows(result.removal, files.planted)
    return rows + _noise_rows(sizes, out, executor, reporter)


def named_rows(cause: Cause, result: SusceptibilityResult, right: Named) -> list[Row]:
    """Whether the study names the planted explanation, and how far the conditions lie apart."""
    world, named = WORLDS[cause], result.explanation.named
    also = f", also {', '.join(result.explanation.also)}" if result.explanation.also else ""
    means = np.array(list(condition_means(result.table, OUTCOME).values()))
    apart = float(np.ptp(means)) / within_sd(nest_of(result.table, OUTCOME))[0]
    verdicts = [
        _row(world, f"{one.id}: {one.verdict}, {one.reason}", one.metric, one.statistic)
        for one in result.examined
        if isinstance(one, Verdict)
    ]
    return [
        _row(world, f"names {right}; it named: {named}{also}", "1 = yes", named == right, "= 1", named == right),
        _row(world, "range of the conditions' means", "sd of a pipeline", apart),
        *verdicts,
    ]


def removal_rows(found: RemovalFinding, planted: Mapping[str, Sequence[str]]) -> list[Row]:
    """How many of the ten the attribution ranks among the removed, and what removal does, in every condition that has them."""
    world = WORLDS["few examples"]
    rows = []
    for one in found.removals:
        ten = set(planted[one.condition])
        if not ten:
            continue
        hits = len(ten & set(one.drivers))
        top = f"the top {found.fraction:.0%} by {one.scores[0].method}"
        words = f"of {len(ten)} planted conversations of {one.condition} in {top}"
        rows.append(_row(world, words, "recall", hits, f">= {LEAST_RECALL}", hits >= LEAST_RECALL))
        rows.append(
            _row(
                world, f"without them less without random ones, {one.condition}", "sd of a pipeline", one.shift.estimate
            )
        )
        for pair in ("random, untouched", "opposite, random"):
            rows.append(_row(world, f"{pair}, {one.condition}", "sd of a pipeline", one.others[pair].estimate))
    return rows


def _noise_rows(sizes: PipelineSizes, out: Path, executor: Executor, reporter: Reporter) -> list[Row]:
    study = planted_study("noise", planted_files("noise", sizes, out / "worlds"), sizes)
    store = Store(out / "noise" / "store")
    pool = train_pool(study, store, executor, reporter)
    worlds = judge_noise_worlds(pool, sizes, store, executor, reporter)
    with reporter.stage("simulated noise tables", 1) as advance:
        simulated = simulated_noise(study, sizes.simulated_worlds)
        advance(1)
    drawn = (
        f"{len(worlds)} worlds drawn from {sizes.pool} conditions x {sizes.pool_seeds} seeds, so they share pipelines"
    )
    return [
        *noise_rows(drawn, worlds, MOST_CLAIMS),
        *noise_rows(f"{len(simulated)} simulated tables", simulated, MOST_SIMULATED),
    ]


def noise_rows(words: str, verdicts: Sequence[NoiseVerdict], most: float) -> list[Row]:
    """The share of worlds of which anything is claimed, and what H1 would have claimed without the gate before it."""
    claimed = float(np.mean([one.claims for one in verdicts]))
    ungated = float(np.mean([one.surface for one in verdicts]))
    world = WORLDS["noise"]
    return [
        _row(world, f"claims something in {words}", "share", claimed, f"<= {most}", claimed <= most),
        _row(world, f"surface alone, without the gate on variance, in {words}", "share", ungated),
    ]


def _row(world: str, question: str, metric: str, value: float | int, gate: str = "", passed: bool | None = None) -> Row:
    return Row(
        world=world, method=STUDY, question=question, metric=metric, value=float(value), gate=gate, passed=passed
    )
