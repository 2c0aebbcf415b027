"""The answer of a perturbation study in five plain lines."""

from imprint.stats import RUNGS
from imprint.studies import PerturbationResult
from imprint.studies.perturbation import Cell

RATE = 0.05


def influence_lines(result: PerturbationResult) -> tuple[str, ...]:
    """Which cluster matters most for what, how many cells hold, what the checks say, what does not, and how far it goes."""
    return (_strongest(result), _count(result), _checks(result), _control(result), _standing(result))


def _strongest(result: PerturbationResult) -> str:
    cell = max(result.cells, key=lambda one: one.phi.estimate)
    holds = "holds" if _holds(result, cell) and cell.phi.low > 0 else "does not hold"
    return (
        f"Which data? Perturbing what belongs to '{cell.cluster}' harms '{cell.ability}' most: {cell.phi.estimate:+.3f}"
        f" [{cell.phi.low:+.3f}, {cell.phi.high:+.3f}] nats an item beyond matched controls; it {holds} after correction"
        f" over the matrix (q = {_q(result, cell):.2g})."
    )


def _q(result: PerturbationResult, cell: Cell) -> float:
    matrix = result.matrix
    return float(matrix.q[matrix.clusters.index(cell.cluster), matrix.abilities.index(cell.ability)])


def _holds(result: PerturbationResult, cell: Cell) -> bool:
    return _q(result, cell) <= RATE and cell.phi.excludes_zero


def _count(result: PerturbationResult) -> str:
    held = [cell for cell in result.cells if _holds(result, cell)]
    harmed = sum(cell.phi.estimate > 0 for cell in held)
    scored = sum(len(one.responses.doses) for cell in result.cells for one in cell.families)
    return (
        f"How sure? {len(held)} of {len(result.cells)} cells stand out among random draws of their controls at q <= {RATE:g}"
        f" ({harmed} harmed more, {len(held) - harmed} less), from {scored} perturbed measurements of"
        f" {len(result.base)} items."
    )


def _checks(result: PerturbationResult) -> str:
    if not result.checks:
        return "Does it hit its aim? Nothing was checked on text."
    passed = sum(check.passed for check in result.checks)
    return (
        f"Does it hit its aim? {passed} of {len(result.checks)} perturbations raise the loss of their own cluster's text beyond"
        " their control, and more than that of other text."
    )


def _control(result: PerturbationResult) -> str:
    names = result.study.abilities.controls
    if not names:
        return "What does not matter? No control ability was named."
    cells = [cell for cell in result.cells if cell.ability in names]
    largest = max(cells, key=lambda cell: abs(cell.phi.estimate))
    return (
        f"What does not matter? The control ability {', '.join(names)} moves by at most {largest.phi.estimate:+.3f}"
        f" [{largest.phi.low:+.3f}, {largest.phi.high:+.3f}] nats an item beyond matched controls ('{largest.cluster}')."
    )


def _standing(result: PerturbationResult) -> str:
    best = max(result.claims, key=lambda claim: -1 if claim.rung is None else claim.rung)
    rung = "no rung" if best.rung is None else f"rung {best.rung} ({RUNGS[best.rung]})"
    return (
        f"How far? The strongest claim stands on {rung}; {best.blocked_by or 'nothing is above it'}. Perturbation alone cannot"
        " show that the data caused the ability: that takes retraining."
    )
