"""A finished mechanism study without any model: made-up numbers, real text, and every part consistent with the rest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from imprint.attribution import Scores
from imprint.corpus import Corpus, Document, byte_tokenizer, pack
from imprint.emergence import Onset
from imprint.stats import Effect, Hypothesis, concentration, judge, registration_digest
from imprint.studies import ArmEffect, MechanismResult, draw_claims, parse_study
from imprint.studies.mechanism.ranking_quality import MethodScore, domain_shares

TEXTS = {
    "poem": "über dem Fluß",
    "novel repeats": "ab}Qab}Qab}Qab}Q",
    "code": "return [x for x in y]",
    "prose": "a winter morning",
}
SEEDS = range(5)
QUERIES = ("log_prob", "contrastive", "attention")


def effect(low, high, *, unit="item", n=64, control="", metric=""):
    return Effect(estimate=(low + high) / 2, low=low, high=high, n=n, unit=unit, control=control, metric=metric)


def shift(arm, control, low, high, *, metric="onset", late=(0, 0), p=0.0625):
    return ArmEffect(
        arm=arm,
        control=control,
        metric=metric,
        effect=effect(low, high, unit="pipeline seed", n=5, control=control, metric=metric),
        p=p,
        censored_arm=late[0],
        censored_control=late[1],
        is_control=control == "keep",
    )


EFFECTS = [
    shift("delete_top", "delete_random", 0.3, 0.5, late=(2, 0)),
    shift("delete_top", "delete_random", -0.4, -0.2, metric="induction.prefix_matching"),
    shift("delete_random", "keep", -0.05, 0.05, p=0.5),
    shift("delete_natural", "delete_random", -0.1, 0.1, p=1.0),
]


def _corpus() -> Corpus:
    documents = [
        Document(id=f"{domain}/{number}", text=f"{text} {number}", domain=domain, source=f"{domain}.txt:{number}")
        for domain, text in TEXTS.items()
        for number in range(10)
    ]
    return Corpus(documents=tuple(documents))


def _location() -> dict:
    def head(name, prefix, ablation, role):
        return {
            "head": name,
            "prefix_matching": effect(prefix - 0.01, prefix + 0.01).as_dict(),
            "previous_token": 0.9 if name == "L0.H1" else 0.1,
            "best_offset": 1,
            "p_induction": 0.005 if role else 1.0,
            "ablation": effect(ablation - 0.1, ablation + 0.1).as_dict(),
            "ablation_accuracy": 0.25,
            "role": role,
        }

    heads = [head("L0.H0", 0.02, -0.2, ""), head("L0.H1", 0.03, 0.1, ""), head("L1.H0", 0.04, 0.0, "")]
    heads.append(head("L1.H1", 0.81, 1.23, "induction"))
    shares = {"L0.H0": 0.0, "L0.H1": 0.1, "L1.H0": 0.0, "L1.H1": 0.62}
    return {
        "heads": heads,
        "denoising": [{"head": name, "effect": effect(s - 0.05, s + 0.05).as_dict()} for name, s in shares.items()],
        "null_prefix_95": 0.05,
        "null_previous_95": 0.2,
        "copy_chance": 1 / 95,
    }


def _methods() -> list[MethodScore]:
    rows = []
    for method, value, baseline in (("consensus", 0.97, False), ("loss", 0.4, True), ("log_prob/dot", 0.91, True)):
        for question in ("all other documents", "natural text"):
            found = effect(value - 0.02, value + 0.02, unit="document", n=40, control=question, metric="AUC")
            question = f"novel repeats against {question}"
            row = MethodScore(
                method=method, question=question, metric="AUC", value=value, effect=found, baseline=baseline
            )
            rows.append(row)
    purity = MethodScore(
        method="consensus",
        question="top 10% that are novel repeats",
        metric="purity",
        value=0.8,
        effect=None,
        baseline=False,
    )
    return [*rows, purity]


def mechanism_result(folder: Path, **changes) -> MechanismResult:
    """The result; `folder` gets its corpus, `changes` replace fields."""
    corpus = _corpus()
    corpus.save(folder / "corpus.jsonl")
    packed = pack(corpus, byte_tokenizer(), context=24)
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(3, len(packed), 24)).astype(np.float32)
    tokens[:, packed.row_domains == "novel repeats"] += 2.0
    rows = tokens.astype(np.float64).sum(-1)
    scores = Scores(queries=QUERIES, rows=rows, tokens=tokens, subspace="L1.H1/qkvo", checks={"split_half": 0.93})
    rule = {"id": "H1", "statement": "It is so.", "metric": "auc.novel_repeats", "threshold": 0.9}
    hypothesis = Hypothesis.model_validate(rule | {"direction": "greater", "test": "normal"})
    study = parse_study({"hypotheses": [hypothesis.model_dump()], "title": "Made up"}, where="x")
    methods, location = _methods(), _location()
    auc = replace(methods[0].effect, metric="auc.novel_repeats")
    runs = [(arm, seed) for arm in study.arms for seed in SEEDS]
    order = np.argsort(-rows[0], kind="stable")
    effects = changes.get("effects", EFFECTS)
    result = MechanismResult(
        study=study,
        registration=registration_digest([hypothesis]),
        packed=packed,
        texts=folder / "corpus.jsonl",
        reference_seed=0,
        transition=800,
        window=(600, 2000),
        head="L1.H1",
        location=location,
        trajectories=pl.DataFrame(
            [
                {"arm": arm, "seed": seed, "step": step, "metric": metric, "value": step / 2000}
                for arm, seed in runs
                for step in (0, 1000, 2000)
                for metric in ("induction.prefix_matching", "copy.accuracy")
            ]
        ),
        onsets={
            (arm, seed): Onset(step=2000.0, censored=True)
            if (arm, seed) in (("delete_top", 0), ("delete_top", 1))
            else Onset(step=900.5, censored=False)
            for arm, seed in runs
        },
        scores=scores,
        order=order,
        methods=methods,
        domains=domain_shares(rows[1], packed, order[:4]),
        concentration=concentration(rows[1], seed=0),
        effects=effects,
        treated_rows=dict.fromkeys(study.arms[1:], 4),
        verdicts=[judge(hypothesis, auc, 0.001)],
        claims=draw_claims(study, "L1.H1", location, methods, effects),
        keys={"corpus": "c" * 64, "attribution": "a" * 64},
        warnings=("one domain is missing",),
        seconds={"corpus": 1.5, "train": 60.0},
    )
    return replace(result, **changes)
