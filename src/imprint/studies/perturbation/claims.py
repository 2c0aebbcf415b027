"""From the cells of the matrix to claims on the evidence ladder."""

from collections.abc import Sequence

from imprint.stats import Claim, Effect, Evidence, InfluenceMatrix
from imprint.studies.perturbation.config import PerturbationStudy
from imprint.studies.perturbation.findings import Cell, FamilyFinding, family_q
from imprint.studies.perturbation.space import Space

RATE = 0.05
MOST_CLAIMS = 6
TRUST = {
    "ablation": "mean ablation is on-distribution in first moments only",
    "erasure": "LEACE guards against linear readers only, and what correlates with the cluster goes too",
    "noise": "noise takes the model off the states it was trained on",
    "shift": "a shift adds what the cluster's mean has; it is no proof that the model reads it",
    "sign": "gradient signs use the labels: they show fragility, not what the data is needed for",
}


def draw_claims(study: PerturbationStudy, space: Space, cells: Sequence[Cell], matrix: InfluenceMatrix) -> list[Claim]:
    """Claims for the cells that survive the correction over the matrix, the largest first; else for the largest cell.

    Perturbation, as this study does it, speaks of rungs 0 to 2.
    That the data caused the ability (rung 4) takes retraining, and no cell shows it.
    """
    place = {name: number for number, name in enumerate(matrix.clusters)}
    column = {name: number for number, name in enumerate(matrix.abilities)}
    ordered = sorted(cells, key=lambda cell: -cell.phi.estimate)
    solid = [
        cell for cell in ordered if matrix.q[place[cell.cluster], column[cell.ability]] <= RATE and cell.phi.low > 0
    ]
    adjusted = family_q([one for cell in cells for one in cell.families])
    return [_claim(space, cell, adjusted) for cell in (solid[:MOST_CLAIMS] or ordered[:1])]


def _claim(space: Space, cell: Cell, adjusted: dict[tuple[str, str, str], float]) -> Claim:
    facts = space.summary[cell.cluster]
    return Claim(
        data=f"cluster '{cell.cluster}'",
        mechanism=f"{facts['dimensions']} dimensions and the direction of the cluster at {space.site}",
        capability=cell.ability,
        evidence=(
            _association(space, cell),
            _localised(space, cell),
            *(_necessity(one, adjusted) for one in cell.families if one.responses.family in ("ablation", "erasure")),
        ),
    )


def _association(space: Space, cell: Cell) -> Evidence:
    facts = space.summary[cell.cluster]
    return Evidence(
        rung=0,
        name="R_k tells documents of the cluster from others that it was not found on (AUC)",
        effect=Effect(**facts["auc"]),
        passed=facts["auc"]["low"] > 0.5,
        null=".5, a score that knows nothing",
        trust="what can be read from a representation, the model need not use",
    )


def _localised(space: Space, cell: Cell) -> Evidence:
    facts = space.summary[cell.cluster]
    largest = max(facts["random_auc"], default=1.0)
    return Evidence(
        rung=1,
        name="R_k does so better than as many random dimensions (AUC)",
        effect=Effect(**facts["auc"]),
        passed=facts["dimensions"] > 0 and facts["auc"]["low"] > largest,
        null=f"{len(facts['random_auc'])} sets of random dimensions: largest {largest:.3f}",
        note=f"{facts['dimensions']} dimensions are associated with the cluster after correction",
        trust="many dimensions carry every cluster a little, so random sets may do nearly as well",
    )


def _necessity(one: FamilyFinding, adjusted: dict[tuple[str, str, str], float]) -> Evidence:
    responses = one.responses
    q = adjusted[responses.cluster, responses.ability, responses.family]
    return Evidence(
        rung=2,
        name=f"{responses.family}: harm beyond the matched random perturbation (nats an item)",
        effect=one.beyond,
        passed=one.beyond.low > 0 and q <= RATE,
        null=responses.matched,
        note=f"q = {q:.3g} over all clusters, abilities and families",
        trust=TRUST[responses.family],
    )
