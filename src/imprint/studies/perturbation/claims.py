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

    Perturbation speaks of rungs 0 to 3. That the data caused the ability (rung 4) takes retraining, and no cell shows it.
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
            *_association(space, cell),
            _selectivity(space, cell),
            *(_necessity(one, adjusted) for one in cell.families if one.responses.family in ("ablation", "erasure")),
        ),
    )


def _association(space: Space, cell: Cell) -> list[Evidence]:
    probe = Effect(**space.summary[cell.cluster]["probe"])
    chance = 1 / len(space.clusters)
    return [
        Evidence(
            rung=0,
            name="a linear probe tells the clusters apart on documents it has not seen (accuracy)",
            effect=probe,
            passed=probe.low > chance,
            null=f"{chance:.2f}, guessing among {len(space.clusters)} clusters",
            trust="what a probe can read, the model need not use",
        )
    ]


def _selectivity(space: Space, cell: Cell) -> Evidence:
    facts = space.summary[cell.cluster]
    effect = Effect(**facts["selectivity"])
    return Evidence(
        rung=1,
        name="probe accuracy beyond its control task (selectivity)",
        effect=effect,
        passed=effect.low > 0 and facts["dimensions"] > 0,
        null="random labels of token types",
        note=f"{facts['dimensions']} dimensions are associated with the cluster after correction",
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
