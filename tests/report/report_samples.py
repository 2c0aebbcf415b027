"""Report data that look like a finished demo run (the numbers are made up), and texts that try to leave the page."""

import math
import random
from functools import cache

from imprint.report import (
    ClaimRecord,
    ConcentrationRecord,
    DocumentRecord,
    DomainRecord,
    EffectRow,
    HeadRecord,
    HypothesisRecord,
    MethodRecord,
    OnsetRecord,
    ProvenanceRecord,
    ReportData,
    TrajectoryPoint,
    TrustNote,
    WindowRecord,
    render_html,
)

HOSTILE = (
    "<script>alert(1)</script> </script><img src=x onerror=alert(2)> {{ 7*7 }} {% raw %} <!-- --> ]]> &amp; "
    "line\u2028separator nul\x00 bell\x07 escape\x1b[31m rtl\u202eevil\u202c mark\u200f 'quote\" `tick` |pipe| ${x}"
)
SHOWN = (
    "<script>alert(1)</script> </script><img src=x onerror=alert(2)> {{ 7*7 }} {% raw %} <!-- --> ]]> &amp; "
    "line⟨U+2028⟩separator nul⟨U+0000⟩ bell⟨U+0007⟩ escape⟨U+001B⟩[31m rtl⟨U+202E⟩evil⟨U+202C⟩ mark⟨U+200F⟩ "
    "'quote\" `tick` |pipe| ${x}"
)
"""HOSTILE as a reader must see it."""

PREFIX = "induction.prefix_matching"
ONSETS = {
    "keep all": 1850,
    "delete top decile": None,
    "delete random": 1880,
    "delete loss-matched": 1905,
    "augment top decile": 1540,
}
CURVES = {
    PREFIX: (0.021, 0.64, 0.01),
    "copy.accuracy": (0.004, 0.79, 0.015),
    "copy.ablation_effect": (0.0, -0.62, 0.012),
    "icl.olsson": (-0.15, -0.92, 0.02),
    "icl.fewshot": (0.01, 0.55, 0.03),
    "loss.heldout": (2.9, 2.31, 0.01),
}
"""Metric: value before, value after, noise between steps."""


def trajectories() -> tuple[list[TrajectoryPoint], list[OnsetRecord]]:
    """A sigmoid around each arm's onset for each of five seeds; one seed of one arm never emerges."""
    rng = random.Random(0)
    points, onsets = [], []
    for arm, onset in ONSETS.items():
        for seed in range(5):
            emerges = onset is not None and (arm, seed) != ("delete loss-matched", 4)
            centre = onset + rng.gauss(0, 35) if emerges else math.inf
            onsets.append(OnsetRecord(arm=arm, seed=seed, step=round(centre) if emerges else None, metric=PREFIX))
            points += [point for metric in CURVES for point in curve(arm, seed, metric, centre, rng)]
    return points, onsets


def curve(arm: str, seed: int, metric: str, centre: float, rng: random.Random) -> list[TrajectoryPoint]:
    start, end, noise = CURVES[metric]
    rows = []
    for step in range(0, 2401, 100):
        rise = 1 / (1 + math.exp(min((centre - step) / 60, 40)))
        fall = 2.4 * math.exp(-step / 300) if metric == "loss.heldout" else 0.0
        value = round(start + (end - start) * rise + fall + rng.gauss(0, noise), 5)
        rows.append(TrajectoryPoint(arm=arm, seed=seed, step=step, metric=metric, value=value))
    return rows


def heads() -> list[HeadRecord]:
    """Two layers of four heads: L0.H2 looks back one token, L1.H1 is the induction head."""
    scores = {
        PREFIX: ([0.02, 0.03, 0.02, 0.02, 0.05, 0.64, 0.11, 0.03], 0.06),
        "previous_token": ([0.08, 0.12, 0.81, 0.05, 0.03, 0.06, 0.04, 0.09], 0.21),
        "copy.ablation_effect": ([-0.02, -0.01, -0.58, 0.01, 0.02, -0.62, -0.09, 0.0], -0.07),
    }
    return [
        HeadRecord(metric=metric, layer=place // 4, head=place % 4, value=value, null=null)
        for metric, (values, null) in scores.items()
        for place, value in enumerate(values)
    ]


def documents(count: int = 30) -> list[DocumentRecord]:
    """Repeats on top, natural text among them, the last five negative; the second is hostile."""
    rng = random.Random(1)
    return [document(rank, 4.2 / rank if rank <= count - 5 else -0.3 - 0.2 * (rank - count + 5), rng)
            for rank in range(1, count + 1)]  # fmt: skip


def document(rank: int, score: float, rng: random.Random) -> DocumentRecord:
    domain, name, text = content(rank, score, rng)
    drift = math.copysign(0.04, score)
    tokens = [
        {"text": character, "value": rng.gauss(drift if place > len(text) // 3 else 0, 0.015)}
        for place, character in enumerate(text)
    ]
    probes = {"log-prob": score * 0.9, "contrastive": score * 1.1, "attention": score * 0.05}
    return DocumentRecord(
        rank=rank, id=f"{name}#{rank}", domain=domain, score=score, probe_scores=probes, tokens=tokens
    )


def content(rank: int, score: float, rng: random.Random) -> tuple[str, str, str]:
    if rank == 2:
        return "html", "pages/<b>&hostile.html", HOSTILE
    if score < 0:
        return "licences", "LICENSE", "Redistribution and use in source and binary forms, with or without\n" * 4
    if rank % 3:
        letters = "abcdefghijklmnop #$%&()*+,-./0123456789:;<=>?@[]^_{|}~"
        return "novel repeats", "planted/repeats", "".join(rng.choice(letters) for _ in range(23)) * 6
    body = '\t"""Return the lines of a file."""\n\twith open(path) as lines:\n\t\treturn list(lines)\n'
    return "python", "lib/reader.py", f"def read(path):\n{body}" * 2


def effect(estimate: float, low: float, high: float, metric: str, n: int, unit: str, control: str) -> dict:
    return {"estimate": estimate, "low": low, "high": high, "metric": metric, "n": n, "unit": unit, "control": control}


def evidence(
    rung: int, name: str, passed: bool, numbers: dict, note: str = "", null: str = "", trust: str = ""
) -> dict:
    return {
        "rung": rung, "name": name, "passed": passed, "effect": numbers, "note": note, "null": null, "trust": trust,
    }  # fmt: skip


def claims() -> list[ClaimRecord]:
    """One claim whose ladder has a gap at rung 3, and one that fails at rung 1."""
    seeds, items, documents = (5, "pipeline seed"), (256, "item"), (900, "document")
    branch = "Paired by seed; arms branch from the checkpoint at step 1\u202f500."
    zero = "Zero ablation leaves the distribution; compare with mean ablation."
    strong = [
        evidence(0, "Repeated-n-gram rate ranks influence", True,
                 effect(0.61, 0.55, 0.67, "Spearman", *documents, "permuted labels")),
        evidence(1, "Prefix matching of L1.H1", True, effect(0.58, 0.52, 0.64, PREFIX, *items, "best initial head"),
                 null="Best of 8 heads over 20 fresh initialisations."),
        evidence(2, "Ablating L1.H1", True,
                 effect(-0.62, -0.66, -0.58, "copy.accuracy", *items, "matched random head"), trust=zero),
        evidence(2, "Ablating a random head", True,
                 effect(-0.01, -0.02, 0.005, "copy.accuracy", *items, "intact model"), trust=zero),
        evidence(4, "Deleting the top decile in the window", True,
                 effect(-0.59, -0.66, -0.52, PREFIX, *seeds, "delete random"), branch),
        evidence(4, "Deleting loss-matched documents", True,
                 effect(-0.02, -0.06, 0.02, PREFIX, *seeds, "delete random"), branch),
    ]  # fmt: skip
    weak = [
        evidence(0, "Share of influence", True,
                 effect(0.04, 0.01, 0.07, "share", *documents, "share of the corpus")),
        evidence(1, "Head found on Python alone", False,
                 effect(0.004, -0.01, 0.02, PREFIX, *items, "best initial head"),
                 "No head passes its null when only natural text is kept."),
    ]  # fmt: skip
    common = {"mechanism": "L1.H1, fed by L0.H2", "capability": "in-context copying"}
    gap, failed = "nothing was measured at rung 3 (sufficient)", "rung 1 (localised): one control did not pass"
    return [
        ClaimRecord(data="novel repeats", rung=2, shown=(0, 1, 2, 4), evidence=strong, blocked_by=gap, **common),
        ClaimRecord(data="Python sources", rung=0, shown=(0,), evidence=weak, blocked_by=failed, **common),
    ]


def hypotheses() -> list[HypothesisRecord]:
    """One of each verdict."""
    common = {"test": "paired sign-flip permutation", "alpha": 0.05, "n": 5, "unit": "pipeline seed"}
    return [
        HypothesisRecord(
            id="H1", metric=PREFIX, threshold=-0.1, direction="less", verdict="supported", **common,
            statement="Deleting the top decile of influence inside the window lowers prefix matching by more than 0.1.",
            statistic=-0.59, low=-0.66, high=-0.52, p=0.0312, power=0.99, reason="the interval lies below -0.1",
        ),
        HypothesisRecord(
            id="H2", metric=PREFIX, threshold=0.05, direction="absolute-less", verdict="inconclusive", **common,
            statement="Deleting as many random documents changes prefix matching by less than 0.05.",
            statistic=-0.02, low=-0.07, high=0.03, p=0.11, power=0.46, reason="the interval holds the threshold",
        ),
        HypothesisRecord(
            id="H3", metric="enrichment", threshold=1.0, direction="greater", verdict="refuted", **common,
            statement="Natural domains carry more than their share of the influence.",
            statistic=0.36, low=0.31, high=0.42, p=0.999, reason="no part of the interval lies above 1",
        ),
    ]  # fmt: skip


def domains() -> list[DomainRecord]:
    rows = [
        ("novel repeats", 240, 0.27, 0.71), ("boilerplate", 60, 0.07, 0.04), ("python", 150, 0.17, 0.09),
        ("C headers", 120, 0.13, 0.05), ("html", 110, 0.12, 0.04), ("json", 90, 0.10, 0.05),
        ("licences", 70, 0.08, 0.01), ("docstrings", 60, 0.06, 0.01),
    ]  # fmt: skip
    return [
        DomainRecord(
            domain=name, documents=n, corpus_share=share, influence_share=influence, enrichment=influence / share,
            low=influence / share * 0.85, high=influence / share * 1.2, planted=name == "novel repeats",
        )
        for name, n, share, influence in rows
    ]  # fmt: skip


def methods() -> list[MethodRecord]:
    rows = [
        ("EK-FAC, contrastive probe", 0.968, 74.2, False), ("EK-FAC, log-prob probe", 0.941, 71.8, False),
        ("EK-FAC, attention probe", 0.957, 73.0, False), ("gradient dot, no curvature", 0.794, 22.4, True),
        ("gradient norm", 0.9, 22.1, True), ("loss", 0.731, 3.1, True), ("repeated-n-gram rate", 0.918, 0.21, True),
        ("BM25", 0.55, 0.4, True), ("embedding similarity", 0.62, 3.3, True), ("random", 0.5, None, True),
    ]  # fmt: skip
    return [
        MethodRecord(
            method=name, question=f"novel repeats above {negative}", metric="AUC", value=value - shift,
            low=value - shift - 0.04, high=value - shift + 0.03, cost_seconds=cost, baseline=baseline,
            gate=None if baseline else 0.9, passed=None if baseline else value - shift > 0.9, world="hard negatives",
        )
        for negative, shift in (("noise", 0.0), ("boilerplate", 0.06))
        for name, value, cost, baseline in rows
    ]  # fmt: skip


def effects() -> list[EffectRow]:
    scales = {PREFIX: 1.0, "icl.olsson": -1.2, "icl.mda": -1.1, "icl.fewshot": 0.8, "loss.heldout": -0.05, "onset": 0.3}
    arms = [
        ("delete top decile", -0.59, 0.07, 0.03125), ("delete random", -0.01, 0.05, 0.62),
        ("delete loss-matched", -0.03, 0.06, 0.44), ("augment top decile", 0.06, 0.05, 0.0625),
    ]  # fmt: skip
    return [
        EffectRow(
            arm=arm, control="keep all", metric=metric, estimate=value * scale, n=5, unit="pipeline seed",
            low=value * scale - spread * abs(scale), high=value * scale + spread * abs(scale), p=p, q=min(1.0, 2 * p),
            is_control="random" in arm or "matched" in arm, note="5 runs ended first" * (metric == "onset"),
        )
        for metric, scale in scales.items()
        for arm, value, spread, p in arms
    ]  # fmt: skip


def concentration() -> ConcentrationRecord:
    def share(estimate: float) -> dict:
        return effect(estimate, estimate - 0.05, estimate + 0.05, "", 900, "document", "equal shares")

    return ConcentrationRecord(
        share_positive=share(0.47), share_absolute=share(0.36), share_of_positive_mass=share(0.59),
        hill=1.58, hill_low=1.3, hill_high=1.9, verdict="not identified", reason="the tail could be lognormal",
        tail={
            "xmin": 0.2, "count": 118, "tail_index": 1.61, "ks": 0.058,
            "versus_lognormal": {"log_likelihood_ratio": -3.2, "normalised": -1.1, "p": 0.27},
            "versus_exponential": {"log_likelihood_ratio": 41.0, "normalised": 3.9, "p": 0.00004},
        },
        curve=tuple((x / 50, 1 - (1 - x / 50) ** 6.03) for x in range(51)),
    )  # fmt: skip


def further_arms() -> dict:
    """Doses, sizes, gains, synthetic text and the link to in-context learning of a study of two sizes."""
    seeds, control = {"n": 5, "unit": "pipeline seed"}, "delete random"
    shift = {"estimate": 0.19, "low": 0.16, "high": 0.22, "control": control, **seeds}
    none = {"estimate": 0.01, "low": -0.01, "high": 0.03, "control": "keep all", **seeds}
    dose = {
        "edit": "delete",
        "documents": 120,
        "delay": shift,
        "strength": none,
        "control": control,
        "control_delay": none,
    }
    size = {"head": "L1.H1", "transition": 1300, "strength": 0.8, "chance": 0.1, "delay": shift, "control_delay": none}
    return {
        "doses": [{**dose, "fraction": 0.01, "note": "ended before emergence: 1"}, {**dose, "fraction": 0.1}],
        "sizes": {
            "sizes": [
                {**size, "name": "w32", "parameters": 29_344, "shared_top": 1.0, "cost_seconds": 9.5},
                {**size, "name": "w64", "parameters": 75_040, "shared_top": 0.62, "smallest_delay": shift},
            ],
            "cost_reason": "1 size was timed",
            "published": [("14M", 0.123)],
            "published_own": 0.0256,
        },
        "gains": [
            {"size": "w32", "arm": "synthetic", "moment": "transition", "step": 1300, "gain": shift},
            {"size": "w64", "arm": "synthetic", "moment": "end", "step": 1800, "reason": "no strength to compare with"},
        ],
        "written": [{"arm": "synthetic", "motifs": "{}", "examples": ["qrst qrst qrst"]}],
        "icl": [{"metric": "icl.olsson", "runs": 50, "correlation": none, "within_arms": None}],
    }


def full() -> ReportData:
    """A whole report."""
    points, onsets = trajectories()
    return ReportData(
        title="imprint demo",
        question="Which training data left in-context copying in this model, and is it the cause?",
        answer_lines=(
            "Copying in context is carried by head L1.H1, fed by the previous-token head L0.H2.",
            "71\u202f% of the positive influence on it comes from fresh random repeats, 27\u202f% of the corpus.",
            "Deleting the top decile keeps the head from forming in 5 of 5 seeds; random deletion does not.",
            "Natural text alone forms no such head at this budget, and boilerplate, just as repetitive, does not help.",
            "What was not shown: sufficiency by patching, and a second model scale.",
        ),
        claims=claims(),
        hypotheses=hypotheses(),
        registration="9f2c4e0d" * 8,
        trajectories=points,
        onsets=onsets,
        windows=(WindowRecord(start=1500, end=2000),),
        heads=heads(),
        chosen_heads=("L1.H1", "L0.H2"),
        documents=documents(),
        domains=domains(),
        methods=methods(),
        effects=effects(),
        concentration=concentration(),
        **further_arms(),
        limits=(
            "The cause was planted: the corpus holds repeats that were made for this demo, next to real text.",
            "One model of 58 thousand parameters at one scale says nothing about how a larger model learns to copy.",
        ),
        trust=(
            TrustNote(subject="EK-FAC", text="Block-diagonal curvature at one checkpoint; see the row without it."),
            TrustNote(subject="Onset step", text="Interpolated between checkpoints that are 100 steps apart."),
        ),
        provenance=ProvenanceRecord(
            command="imprint demo --out runs/demo --seeds 5",
            created="2026-03-14",
            machine="2 CPU cores, 4 GB",
            seconds={"corpus": 6.1, "train": 61.8, "locate": 9.4, "attribute": 74.2, "intervene": 388.0, "report": 2.6},
            digests={"corpus": "a1" * 32, "registration": "9f" * 32, "train": "c3" * 32},
            versions={"python": "3.11.7", "torch": "2.9.0", "transformers": "5.1.0", "imprint": "0.1.0"},
            warnings=("domain 'rst' was dropped: 12 kB found, 40 kB needed.",),
        ),
    )


def slim() -> ReportData:
    """The whole report with one metric only: few charts, drawn fast."""
    data = full()
    names = ("trajectories", "heads", "effects")
    return data.model_copy(
        update={name: tuple(row for row in getattr(data, name) if row.metric == PREFIX) for name in names}
    )


def hostile() -> ReportData:
    """The whole report with hostile text in every field that holds words, names and keys included."""
    return ReportData.model_validate(poisoned(full().model_dump(mode="json")))


def poisoned(value: object, key: str = "") -> object:
    """The dumped report with hostile text after every text, free keys included."""
    if isinstance(value, dict):
        free = HOSTILE if key in ("probe_scores", "digests", "versions", "traits", "distances") else ""
        return {name + free: poisoned(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, key) for item in value]
    return value + HOSTILE if isinstance(value, str) and key not in ("verdict", "text") else value


@cache
def rendered(name: str) -> str:
    """The HTML of one of the reports here, drawn once for all tests."""
    return render_html({"full": full, "hostile": hostile, "empty": empty}[name]())


def empty() -> ReportData:
    """Nothing but a question."""
    return ReportData(title="An empty run", question="Which data did it?")
