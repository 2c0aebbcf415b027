"""Finished emergence studies without any training: made-up trajectories, judged by the study's own rules."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl

from imprint.emergence.graph import refine
from imprint.emergence.predictor import Prediction
from imprint.report import ReportData, emergence_report
from imprint.stats import Effect, Undefined, registration_digest
from imprint.studies import EmergenceResult, EmergenceStudy
from imprint.studies.emergence import (
    AUC,
    SAVING,
    AllocationFinding,
    Run,
    held_out_runs,
    history,
    observations,
    trained_runs,
)
from imprint.studies.emergence.abruptness import abruptness
from imprint.studies.emergence.beside import beside
from imprint.studies.emergence.claims import draw_claims
from imprint.studies.emergence.policies import judge_allocation
from imprint.studies.emergence.prediction import compare_with_outcome, judge_prediction, questions
from imprint.studies.emergence.study import test_graph as tested_graph
from imprint.studies.examined import Examined

ATTACK = "</svg><script>alert(1)</script><img src=x onerror=alert(2)>"
CHANCE = {"copy": 0.04, "sums": 0.2, "brackets": 0.25}
ITEMS = 200
WIDTHS = {"w16": 16, "w24": 24, "w40": 40}
LOSSES = {"few early heads": {"copy": 0.95}, "few repeats": {"copy": 0.9}, "little arithmetic": {"sums": 1.2}}
"""By arm, how much later in log10 of compute an ability comes; in slow training all come a little later."""


def study(**changes) -> EmergenceStudy:
    """Three abilities, five arms, three scales and a held-out one; one edge of every state is planted."""

    def node(name: str, kind: str, tier: str, about: str = "") -> dict[str, str]:
        return {"name": name, "kind": kind, "tier": tier, "about": about}

    def edge(cause: str, effect: str, because: str, sign: str = "+") -> dict[str, str]:
        return {"cause": cause, "effect": effect, "sign": sign, "because": because}

    few = {"action": "ablate", "sites": ["L0.z"], "share": 0.75}
    weak = {"action": "scale", "sites": ["L*.neurons"], "factor": 0.5}
    before, early, late = "before training", "early training", "abilities"
    content = {
        "title": "Made-up runs",
        "graph": {
            "title": "a made-up graph",
            "tiers": [before, early, late],
            "nodes": [
                node("novel repeats", "data", before, ATTACK),
                node("arithmetic", "data", before),
                node("early heads", "component", before),
                node("neurons", "component", before),
                node("learning rate", "optimiser", before),
                node("loss", "dynamics", early),
                node("previous-token attention", "dynamics", early),
                node("induction attention", "dynamics", early),
                *(node(name, "ability", late) for name in CHANCE),
            ],
            "edges": [
                edge("novel repeats", "copy", "nothing else can be copied"),
                edge("early heads", "previous-token attention", f"<b>layer</b> {ATTACK}"),
                edge("neurons", "copy", "a guess that the data should drop"),
                edge("previous-token attention", "induction attention", "Olsson et al. 2022"),
                edge("induction attention", "copy", "Olsson et al. 2022"),
                edge("learning rate", "loss", "slower is worse early", "-"),
                edge("learning rate", "sums", "slower reaches less"),
            ],
        },
        "scales": [{"name": name, "width": width} for name, width in WIDTHS.items()],
        "seeds": 5,
        "training": {"steps": 1000, "checkpoints": 10},
        "interventions": [
            {"name": "few early heads", "sets": ["early heads"], "edits": [few]},
            {"name": "few neurons", "sets": ["neurons"], "edits": [weak]},
            {"name": "few repeats", "sets": ["novel repeats"], "shares": {"novel repeats": 0.03}},
            {"name": "little arithmetic", "sets": ["arithmetic"], "shares": {"arithmetic": 0.01}},
            {"name": "slow training", "sets": ["learning rate"], "optimisation": {"learning_rate": 0.001}},
        ],
        "measuring": {"items": ITEMS},
        "held_out": {"scale": {"name": "w80", "width": 80}, "seeds": 2},
        "deviations": ["One arm was trained\u202e twice <b>as long</b>."],
    }  # fmt: skip
    return EmergenceStudy.model_validate(content | changes)


def table(runs: list[Run], *, rises: bool = True) -> pl.DataFrame:
    """Every run at every checkpoint: abilities rise with compute where the arm lets them, or not at all."""
    generator = np.random.default_rng(5)
    sizes = {run.scale.name: run.params for run in {run.scale.name: run for run in runs}.values()}
    luck = {
        place: float(generator.normal(0, 0.05)) for place in dict.fromkeys((run.scale.name, run.seed) for run in runs)
    }
    rows = []
    for run in runs:
        size = sizes[run.scale.name]
        place = {"scale": run.scale.name, "params": float(size), "arm": run.arm, "seed": run.seed}
        for step in run.train.checkpoints:
            compute = math.log10(size * max(step, 1)) + luck[run.scale.name, run.seed]
            abilities = _abilities(run.arm, compute if rises and step else 0.0, generator)
            for node in (*abilities, *_dynamics(run.arm, step, generator)):
                rows.append({**node, **place, "step": step, "tokens": float(step * 32 * 64)})
    columns = ("step", "node", "kind", "value", "chance", "n", "log_prob", "scale", "params", "arm", "seed", "tokens")
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"seed": pl.Int32}).select(columns)


def _abilities(arm: str, compute: float, generator: np.random.Generator) -> list[dict[str, object]]:
    """Copying jumps, sums rise slowly, brackets never come."""
    found = []
    for ability, (middle, steepness) in {"copy": (7.0, 9.0), "sums": (7.2, 2.5), "brackets": (12.0, 4.0)}.items():
        late = LOSSES.get(arm, {}).get(ability, 0.0) + (0.25 if arm == "slow training" else 0.0)
        share = 1 / (1 + math.exp(-steepness * (compute - middle - late)))
        chance = CHANCE[ability]
        right = chance + (1 - chance) * share
        value = float(generator.binomial(ITEMS, right)) / ITEMS
        log_prob = -3.0 + 2.5 * share + 0.2 * (compute - 6)
        found.append(
            {"node": ability, "kind": "ability", "value": value, "chance": chance, "n": ITEMS, "log_prob": log_prob}
        )
    return found


def _dynamics(arm: str, step: int, generator: np.random.Generator) -> list[dict[str, object]]:
    """The loss is higher in slow training; previous-token attention needs early heads, induction noise."""
    noise = generator.normal(0, 0.02, 3)
    attention = 0.2 if arm == "few early heads" else 0.6
    values = {
        "loss": 4.0 - 0.4 * math.log10(1 + step) + (0.5 if arm == "slow training" and step else 0.0) + noise[0],
        "previous-token attention": attention * step / 1000 + noise[1],
        "induction attention": 0.3 * step / 1000 + 4 * noise[2],
    }
    return [{"node": name, "kind": "dynamics", "value": float(value)} for name, value in values.items()]


def allocation() -> AllocationFinding:
    """Freeze-thaw is the cheapest but for the oracle."""

    def factor(estimate: float, control: str) -> Effect:
        return Effect(
            estimate=estimate, low=estimate * 0.8, high=estimate * 1.3, n=2, unit="task", control=control, metric="compute"
        )  # fmt: skip

    policies = {"oracle": 1.0, "freeze-thaw": 1.4, "successive halving 3": 2.2, "uniform (compute)": 3.1, "random": 4.4}
    return AllocationFinding(
        targets=4,
        abilities=("copy", "sums"),
        arms=18,
        over_oracle=tuple((name, factor(estimate, "oracle")) for name, estimate in policies.items()),
        saving=replace(factor(2.2, "uniform (compute)"), metric=SAVING),
        saving_p=0.004,
    )


def emergence_result(*, rises: bool = True, **changes) -> EmergenceResult:
    """A finished study, everything but predictions and allocation as the study itself finds it."""
    asked = study(**changes)
    trained = table(trained_runs(asked), rises=rises)
    held_out = table(held_out_runs(asked), rises=rises) if asked.held_out else None
    findings = tested_graph(asked, trained)
    refined = refine(asked.causal_graph, findings)
    prediction = None if held_out is None else _prediction(asked, trained, held_out, rises=rises)
    policies = None if asked.allocating is None else allocation() if rises else Undefined(reason="no ability rises")
    whole = trained if held_out is None else pl.concat([trained, held_out])
    examined: tuple[Examined, ...] = tuple(
        judge_prediction(one, prediction)
        if one.metric.startswith(AUC.partition(".")[0]) and prediction is not None
        else judge_allocation(one, policies)
        for one in asked.hypotheses
    )
    return EmergenceResult(
        study=asked,
        registration=registration_digest(asked.hypotheses),
        design="d" * 64,
        table=whole,
        findings=findings,
        refined=refined,
        beside=beside(observations(asked, trained), findings, refined, seed=0),
        abruptness=abruptness(whole),
        prediction=prediction,
        foretold=prediction is not None,
        backtest=Undefined(reason="left out of this synthetic study"),
        allocation=policies,
        examined=examined,
        claims=draw_claims(asked, findings, refined),
        keys={"first run": "a" * 64, "last run": "b" * 64},
        warnings=("made-up warning",),
        seconds={"interventions": 60.0, "graph": 1.5},
    )


def _prediction(asked: EmergenceStudy, trained: pl.DataFrame, held_out: pl.DataFrame, *, rises: bool):
    """Sensible probabilities, one of them wrong with confidence."""
    if not rises:
        return Undefined(reason="no ability has emerged at any point")
    scores = history(trained)
    params = float(held_out["params"][0])
    made = []
    for number, one in enumerate(questions(scores, params, {"seed 0", "seed 1"})):
        p = {"copy": 0.8, "sums": 0.6, "brackets": 0.1}[one.task] - 0.1 * (number % 3)
        p = 0.9 if (one.family, one.task) == ("few neurons", "brackets") else max(p, 0.02)
        made.append(
            Prediction(
                question_id=one.question_id, p=p, p_low=max(p - 0.2, 0.0), p_high=min(p + 0.2, 1.0), model="stack"
            )
        )
    return compare_with_outcome(asked, made, scores, history(held_out))


@cache
def finished() -> EmergenceResult:
    """The study as it stands, made once."""
    return emergence_result()


def report_of(result: EmergenceResult) -> ReportData:
    """Its report."""
    return emergence_report(result, command="imprint run made-up.yaml", created="2026-11-20")


def with_edges(result: EmergenceResult, state: str, to: str) -> EmergenceResult:
    """The same with the first edge of a state in another state."""
    first = result.refined.in_state(state)[0]
    edges = tuple(replace(edge, state=to) if edge == first else edge for edge in result.refined.edges)
    return replace(result, refined=replace(result.refined, edges=edges))
