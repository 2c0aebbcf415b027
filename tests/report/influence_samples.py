"""Report data that look like a finished perturbation study (the numbers are made up), also hostile and bare."""

import random
from functools import cache

from report_samples import full, poisoned

from imprint.report import (
    AbilityRecord,
    CellRecord,
    ClusterRecord,
    DosePoint,
    EffectRecord,
    FamilyRecord,
    InfluenceRecord,
    ReportData,
    ValidationRecord,
    VariationRecord,
    render_html,
)

CLUSTERS = ("code", "novel repeats", "arithmetic", "wiki", "dialogue")
ABILITIES = ("COPA", "sums mod 5", "SST-2", "Winograd")
FAMILIES = {
    "mean ablation": (0.25, 0.5, 0.75, 1.0),
    "Gaussian noise": (0.05, 0.2, 0.8, 3.2),
    "shift along SVD": (-2.0, -1.0, 1.0, 2.0),
    "gradient sign": (0.5, 1.0, 2.0, 4.0),
}
STRENGTH = {
    ("code", "COPA"): 0.21, ("code", "sums mod 5"): 0.09, ("novel repeats", "COPA"): 0.05,
    ("arithmetic", "sums mod 5"): 0.44, ("wiki", "SST-2"): -0.13, ("wiki", "COPA"): 0.08, ("dialogue", "SST-2"): 0.3,
}  # fmt: skip


def effect(estimate: float, spread: float, **words) -> EffectRecord:
    words = {"n": 240, "unit": "item"} | words
    return EffectRecord(
        estimate=round(estimate, 4), low=round(estimate - spread, 4), high=round(estimate + spread, 4), **words
    )


def abilities() -> list[AbilityRecord]:
    rows = [("COPA", 0.66, 0.5, -0.58), ("sums mod 5", 0.41, 0.2, -1.32), ("SST-2", 0.83, 0.5, -0.41)]
    measured = [
        AbilityRecord(name=name, items=240, accuracy=effect(accuracy, 0.06), chance=chance, log_odds=effect(odds, 0.08))
        for name, accuracy, chance, odds in rows
    ]
    control = AbilityRecord(
        name="Winograd", items=273, accuracy=effect(0.53, 0.06), chance=0.5, control=True,
        note="No cluster holds pronoun puzzles; barely above chance, so it can hardly lose anything.",
    )  # fmt: skip
    return [*measured, control]


def clusters() -> list[ClusterRecord]:
    rng = random.Random(3)
    shares = (0.31, 0.24, 0.11, 0.27, 0.07)
    texts = ("def read(path):\n\treturn open(path).read()\n", "q9f x#1 q9f x#1 q9f x#1", "3 + 4 = 2 (mod 5)",
             "The river rises in the hills and flows north.", "— Are you coming?\n— \u05dc\u05d0, not today.")  # fmt: skip
    words = (("def", "return", "import"), ("q9f", "x#1"), ("mod", "+", "="), ("river", "century"), ("you", "said"))
    return [
        ClusterRecord(
            name=name, method="lda" if place % 2 else "domains", documents=int(4000 * share), tokens=int(9e5 * share),
            share=share, words=words[place], examples=(texts[place] * 3, texts[place]), site="L15.resid_post",
            traits={"mean sentence length": 14.2 + place, "tree depth": 3.1, "entities per 100 tokens": 2.4 * share,
                    "discourse markers per 100 tokens": 0.8, "topic coherence (NPMI)": 0.14, "density": 0.52},
            dimensions=48 + place, strongest=[(rng.randrange(576), round(2.6 - 0.2 * rank, 2)) for rank in range(5)],
            probe=effect(0.93 - 0.03 * place, 0.03, control="shuffled labels"), selectivity=0.31, explained=0.64,
            distances={task: effect(1.2 + rng.random(), 0.2, control="2.4 for a random cluster") for task in ABILITIES},
        )
        for place, (name, share) in enumerate(zip(CLUSTERS, shares, strict=True))
    ]  # fmt: skip


def points(strength: float, doses: tuple[float, ...], rng: random.Random) -> list[DosePoint]:
    """A curve that saturates, over a control that stays near zero."""
    rows = []
    for dose in doses:
        size = abs(dose) / max(doses)
        harm = 2 * strength * size**2 / (0.35 + size**2) + rng.gauss(0, 0.008)
        spread, control = 0.03 + 0.04 * size, 0.02 * size + rng.gauss(0, 0.006)
        rows.append(DosePoint(
            dose=dose, harm=harm, low=harm - spread, high=harm + spread, control=control,
            control_low=control - 0.03, control_high=control + 0.03, accuracy=max(0.2, 0.66 - 0.5 * harm),
        ))  # fmt: skip
    return rows


def family(name: str, strength: float, rng: random.Random) -> FamilyRecord:
    strong = abs(strength) > 0.1
    return FamilyRecord(
        family=name, points=points(strength, FAMILIES[name], rng), harm=effect(strength + rng.gauss(0, 0.02), 0.05),
        ais=effect(0.6 * strength, 0.06, metric="AIS"), ais_corrected=effect(1.9 * strength, 0.15),
        mcnemar_p=0.004 if strong else 0.61, trend_p=0.0006 if strong else 0.24,
        half_dose=effect(0.6 * max(FAMILIES[name]), 0.2 * max(FAMILIES[name])) if strong else None,
        half_dose_note="" if strong else "the curve is flat: no half dose can be read from it",
        threshold="no threshold: a smooth curve is preferred, \u0394BIC = 6.1",
        control="random directions of equal rank, norm and explained variance; 5 draws",
        p=0.0004 if strong else 0.4, q=0.002 if strong else 0.55,
    )  # fmt: skip


def cell(cluster: str, ability: str, rng: random.Random) -> CellRecord:
    phi = STRENGTH.get((cluster, ability), rng.gauss(0.0, 0.015))
    strong = abs(phi) > 0.07
    return CellRecord(
        cluster=cluster, ability=ability, phi=phi, low=phi - 0.05, high=phi + 0.05, quartiles=(phi - 0.03, phi + 0.04),
        mean_ais=0.6 * phi, mean_ais_corrected=1.9 * phi, agreement=0.94 if strong else 0.56, specificity=0.8 * phi,
        p=0.0003 if strong else 0.4, q=0.0021 if strong else 0.52,
        families=[family(name, phi, rng) for name in FAMILIES],
    )  # fmt: skip


def validation() -> list[ValidationRecord]:
    return [
        ValidationRecord(
            cluster=cluster, family=name, dose=dose, perplexity_cluster=effect(0.5 * size, 0.04, unit="document"),
            perplexity_general=effect(0.12 * size, 0.03, unit="document"), attention=effect(0.09 * size, 0.01),
            drift=effect(2.2 * size, 0.2), untargeted=effect(0.02 * size, 0.03),
            passed=not (cluster == "dialogue" and size == 1.0),
            note="too strong: general text suffers as well" if cluster == "dialogue" and size == 1.0 else "",
        )
        for cluster in CLUSTERS
        for name, doses in FAMILIES.items()
        for dose in doses
        for size in (abs(dose) / max(doses),)
    ]  # fmt: skip


def variations() -> list[VariationRecord]:
    ladders = {"layer": ("embedding", "L15", "L29"), "share of tokens": ("0.1 %", "1 %", "10 %", "50 %")}
    return [
        VariationRecord(
            cluster=cluster, ability=ability, varied=varied, value=value,
            harm=effect(0.08 * (place + 1), 0.05), control=effect(0.01, 0.04) if place else None,
        )
        for cluster, ability in (("code", "COPA"), ("arithmetic", "sums mod 5"))
        for varied, values in ladders.items()
        for place, value in enumerate(values)
    ]  # fmt: skip


def study() -> InfluenceRecord:
    rng = random.Random(7)
    return InfluenceRecord(
        model="SmolLM2-135M", site="L15.resid_post", abilities=abilities(), clusters=clusters(),
        cells=[cell(cluster, ability, rng) for cluster in CLUSTERS for ability in ABILITIES],
        validation=validation(), variations=variations(), families=tuple(FAMILIES),
        references=("full model 0 nats", "global noise of the same norm 1.9 nats"),
        sheet="clusters/annotation.html", agreement=effect(0.71, 0.09, n=120, unit="document"),
    )  # fmt: skip


def influence_full() -> ReportData:
    """A whole report of a perturbation study."""
    mechanism = full()
    return ReportData(
        title="imprint perturbation: SmolLM2-135M",
        question="Which training text left which ability in this model?",
        answer_lines=(
            "6 of 20 cells stand out; the strongest is arithmetic on sums mod 5 (0.44 nats an item).",
            "Code carries COPA: 0.21 nats an item more than random directions of equal norm.",
            "Perturbing wiki helps SST-2: a negative cell, shown as such.",
        ),
        claims=mechanism.claims, hypotheses=mechanism.hypotheses, registration=mechanism.registration,
        methods=mechanism.methods, limits=mechanism.limits, trust=mechanism.trust, provenance=mechanism.provenance,
        influence=study(),
    )  # fmt: skip


def influence_hostile() -> ReportData:
    """The same with hostile text in every field that holds words, and one name as long as a sentence."""
    words = influence_full().model_dump(mode="json")
    words["influence"]["clusters"][1]["name"] = words["influence"]["clusters"][1]["name"] + "x" * 200
    return ReportData.model_validate(poisoned(words))


def influence_bare() -> ReportData:
    """One cell with nothing behind it, and nothing else but what no record can do without."""
    number = EffectRecord(estimate=0.5)
    point = DosePoint(dose=1.0, harm=0.1, low=0.0, high=0.2)
    cells = (
        CellRecord(cluster="a", ability="b", phi=0.0),
        CellRecord(cluster="a", ability="B", phi=-0.1, families=(FamilyRecord(family="f", points=(), harm=number),)),
        CellRecord(cluster="A", ability="b", phi=0.2, families=(FamilyRecord(family="f", points=(point,), harm=number),)),
    )  # fmt: skip
    check = ValidationRecord(cluster="a", family="f", dose=1.0, perplexity_cluster=number, perplexity_general=number)
    record = InfluenceRecord(
        model="m", site="s", cells=cells, validation=(check,),
        abilities=(AbilityRecord(name="b", items=0, accuracy=number),),
        clusters=(ClusterRecord(name="a", method="domains", documents=0, share=0.0),),
        variations=(VariationRecord(cluster="a", ability="b", varied="layer", value="L0", harm=number),),
    )  # fmt: skip
    return ReportData(title="t", question="q", influence=record)


def influence_empty() -> ReportData:
    """A perturbation study that perturbed nothing."""
    record = InfluenceRecord(model="m", site="s", abilities=(), clusters=(), cells=())
    return ReportData(title="t", question="q", influence=record)


SAMPLES = {
    "influence_full": influence_full,
    "influence_hostile": influence_hostile,
    "influence_bare": influence_bare,
    "influence_empty": influence_empty,
}


@cache
def influence_html(name: str) -> str:
    """The HTML of one of the reports here, drawn once for all tests."""
    return render_html(SAMPLES[name]())
