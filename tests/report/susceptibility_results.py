"""Finished susceptibility studies without any training: made-up outcomes and text, judged by the study's own rules."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from imprint.attribution.stages import StageScores
from imprint.mechanisms.checkpoints import condition_directions, condition_probe, panel
from imprint.report import ReportData, susceptibility_report
from imprint.stats import Effect, Hypothesis, registration_digest
from imprint.studies import SusceptibilityResult, SusceptibilityStudy
from imprint.studies.susceptibility import (
    CLASSIFIER,
    REMOVAL,
    REPRESENTATION,
    SURFACE,
    ContaminationFinding,
    Examined,
    Removal,
    RemovalFinding,
    RepresentationFinding,
    SurfaceFinding,
    examine,
    explain,
    judge_variance,
    metric_of,
)
from imprint.studies.susceptibility.claims import draw_claims
from imprint.studies.susceptibility.correlation import judge_correlation, screened
from imprint.studies.susceptibility.outcomes import condition_means, nest_of
from imprint.studies.susceptibility.removal import judge_removal
from imprint.studies.susceptibility.surface import judge_classifier
from imprint.studies.variance import analyse_nest, within_sd

NAMES = ("zeta", "alpha", "beta", "omega")
"""Not in alphabetical order, which is the order of keys in a file."""
LEVELS = dict(zip(NAMES, (4.0, 0.0, 1.0, 3.0), strict=True))
SEEDS = 2
ATTACK = "</div><script>alert(1)</script><img src=x onerror=alert(2)>"
SITE = "L1.resid_post"


def study(folder: Path, **changes) -> SusceptibilityStudy:
    """A study whose condition files are there, the first conversation hostile."""
    for name in NAMES:
        lines = [
            {"id": f"{name}-{row}", "prompt": f"Is {row} even?", "response": f"Say {name} {row}."} for row in range(40)
        ]
        lines[0]["response"] = ATTACK
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    shared = {"data": [str(folder / "shared.jsonl")]}
    content = {
        "title": "Made-up pipelines",
        "conditions": {name: [str(folder / f"{name}.jsonl")] for name in NAMES},
        "base": {"model": str(folder)},
        "stages": [
            {"kind": "sft", "name": "midtrain", "data": "condition"},
            {"kind": "dpo", "name": "dpo", **shared},
            {"kind": "sft", "name": "adversarial", **shared},
        ],
        "pipelines": {"seeds": SEEDS},
        "outcomes": [{"name": "alignment", "pairs": [str(folder / "pairs.jsonl")]}],
        "representation": {"prompts": [str(folder / "fixed.jsonl")], "sites": [SITE], "scalars": ["loss", "entropy"]},
        "removal": {},
    }
    return SusceptibilityStudy.model_validate(content | changes)


def outcomes(*, differ: bool, items: int = 6) -> pl.DataFrame:
    """Every item of every pipeline; conditions lie `LEVELS` apart, or all at 0."""
    noise = random.Random(3)
    rows = []
    for name in NAMES:
        for seed in range(SEEDS):
            value = (LEVELS[name] if differ else 0.0) + noise.gauss(0, 0.2)
            for item in range(items):
                place = {"condition": name, "pipeline": seed, "stage": 0, "metric": "alignment"}
                rows.append({"sample": f"pairs:{item}", "value": value + noise.gauss(0, 0.1), **place})
    return pl.DataFrame(rows)


def surface(means: dict[str, dict[str, float]], asked: SusceptibilityStudy, *, ranks: bool) -> SurfaceFinding:
    """Scalars that rank the outcome, or not at all."""
    order = [3.0, 0.0, 1.0, 2.0] if ranks else [1.0, 0.0, 3.0, 2.0]
    scalars = {
        "js1.reference": dict(zip(NAMES, order, strict=True)),
        "js2.rest": dict(zip(NAMES, [0.0, 2.0, 1.0, 3.0], strict=True)),
        "length": dict.fromkeys(NAMES, 5.0),
    }
    chosen = {name: scalars[name] for name in asked.surface.scalars if name in scalars}
    effect = {"n": 40, "unit": "document", "control": "chance", "metric": "m", "level": 0.95, "note": ""}
    telling = [
        {"domain": name, "token": f"<b>{name}", "coefficient": 1.0, "sd": 0.1, "folds_in_top": 5, "documents": 7, "elsewhere": 2}
        for name in NAMES
    ]  # fmt: skip
    classifier = {
        "domains": list(NAMES),
        "balanced_accuracy": {"estimate": 0.4, "low": 0.3, "high": 0.5, **effect},
        "p_value": 0.05,
        "null_accuracy": [0.1, 0.2, 0.3],
        "telling": telling,
    }
    js = {
        "plug_in": 0.2,
        "null_high": 0.1,
        "p_value": 0.02,
        "excess": {"estimate": 0.1, "low": 0.05, "high": 0.2, **effect},
    }
    pairs = [
        {"first": one, "second": other, "n": n, "js": js}
        for n in (1, 2)
        for place, one in enumerate(NAMES)
        for other in NAMES[place + 1 :]
    ]
    return SurfaceFinding(
        scalars=scalars,
        registered=screened(chosen, means, seed=0),
        explored=screened(scalars, means, seed=0),
        classifier=classifier,
        divergences={"pairs": pairs},
    )


def contamination(found: int) -> ContaminationFinding:
    """The first items found in one condition's text."""
    matches = [
        {"item": f"alignment/pairs:{item}", "task": "alignment", "document": f"beta/{ATTACK}", "domain": "beta", "kind": "exact",
         "similarity": 1.0, "jaccard": 1.0}
        for item in range(found)
    ]  # fmt: skip
    share = {"estimate": found / 6, "low": 0.0, "high": 0.9, "n": 6, "unit": "item", "control": "none", "metric": "m"}
    summary = {
        "unjudged": ["alignment/pairs:5"],
        "clean": [f"alignment/pairs:{item}" for item in range(found, 5)],
        "shares": {"beta": share},
        "false_positives": {"reason": "too little text"},
        "threshold": 0.7,
        "shingle_words": 3,
    }
    return ContaminationFinding(matches=matches, summary=summary)


def representation(means: dict[str, dict[str, float]], asked: SusceptibilityStudy) -> RepresentationFinding:
    """Random states and scalars."""
    generator = np.random.default_rng(0)
    place = np.repeat(np.arange(len(NAMES)), SEEDS)
    states = generator.normal(size=(len(place), 6, 4))
    measured = {
        f"{NAMES[one]}/{number}": {"loss": float(generator.normal()), "entropy": float(generator.normal())}
        for number, one in enumerate(place)
    }
    found = panel(measured, tuple(NAMES[one] for one in place))
    scalars = {
        name: dict(zip(found.condition_names, map(float, values), strict=True))
        for name, values in found.condition_means().items()
    }
    return RepresentationFinding(
        panel=found,
        scalars=scalars,
        registered=screened({name: scalars[name] for name in ("loss", "entropy")}, means, seed=0),
        explored=screened(scalars, means, seed=0),
        directions={SITE: condition_directions(states, place, draws=19, seed=0)},
        probes={SITE: condition_probe(states, place, seed=0)},
    )


def removal(table: pl.DataFrame) -> RemovalFinding:
    """The highest and the lowest condition lose 4 sd without their drivers and nothing without random rows."""
    sd, freedom = within_sd(nest_of(table, "alignment"))
    return RemovalFinding(
        removals=tuple(_removal(name, sd) for name in ("zeta", "alpha")), sd=sd, freedom=freedom, fraction=0.05
    )


def _removal(name: str, sd: float) -> Removal:
    above = name == "zeta"
    sign = -1 if above else 1
    base = np.array([LEVELS[name], LEVELS[name] + 0.1])
    ids = tuple(f"{name}-{row}" for row in range(41))

    def effect(shift: float) -> Effect:
        return Effect(estimate=shift, low=shift - 2, high=shift + 2, n=2, unit="pipeline seed", control="random")

    return Removal(
        condition=name,
        above=above,
        scores=(StageScores(ids=ids, values=np.arange(41.0)[::-1].copy(), method="tracin", checks={}),),
        agreements=(),
        drivers=(f"{name}-0", f"{name}-1", f"{name}-40"),
        outcomes={
            "untouched": base, "drivers": base + sign * 4 * sd, "opposite": base - sign * sd, "random": base,
        },
        shift=effect(4.0),
        p=0.001,
        others={"drivers, untouched": effect(4.0), "opposite, random": effect(-1.0), "random, untouched": effect(0.0)},
    )  # fmt: skip


def susceptibility_result(
    folder: Path, *, differ: bool = True, ranks: bool = False, contaminated: int = 0, **changes
) -> SusceptibilityResult:
    """A finished study; what is registered is judged by the study's own rules, which may skip rooms."""
    asked = study(folder, **changes)
    table = outcomes(differ=differ)
    means = {"alignment": condition_means(table, "alignment")}
    text, found = surface(means, asked, ranks=ranks), contamination(contaminated)
    rooms: dict[str, RepresentationFinding | RemovalFinding] = {}

    def judge(hypothesis: Hypothesis) -> Examined:
        metric, outcome = metric_of(hypothesis.metric)
        if metric == SURFACE:
            return judge_correlation(hypothesis, text.registered)
        if metric == CLASSIFIER:
            return judge_classifier(hypothesis, text.classifier)
        if metric == REPRESENTATION:
            rooms[metric] = representation(means, asked)
            return judge_correlation(hypothesis, rooms[metric].registered)
        if metric == REMOVAL:
            rooms[metric] = removal(table)
            return judge_removal(hypothesis, rooms[metric])
        return judge_variance(hypothesis, nest_of(table, outcome), seed=0)

    examined = examine(asked.hypotheses, asked.stopping, judge)
    probed, removed = rooms.get(REPRESENTATION), rooms.get(REMOVAL)
    finding = analyse_nest(nest_of(table, "alignment"), seed=0, alpha=0.01)
    return SusceptibilityResult(
        study=asked,
        registration=registration_digest(asked.hypotheses),
        contamination=found,
        table=table,
        variance=(finding,),
        clean=(replace(finding, notes=("over clean items",)),) if contaminated else (),
        surface=text,
        representation=probed,
        removal=removed,
        examined=examined,
        explanation=(named := explain(asked.hypotheses, examined, "alignment")),
        claims=draw_claims(asked.hypotheses, examined, named, removed),
        keys={"first pipeline": "a" * 64},
        warnings=("made-up warning",),
        seconds={"pipelines": 60.0, "variance": 1.5},
    )  # fmt: skip


def report_of(result: SusceptibilityResult) -> ReportData:
    """Its report."""
    return susceptibility_report(result, design="d" * 64, command="imprint run made-up.yaml", created="2026-11-20")
