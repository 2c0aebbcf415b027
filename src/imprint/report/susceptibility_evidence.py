"""The numbers of a susceptibility study as plain data for `evidence.json`."""

from typing import Any

import numpy as np

from imprint.stats import Undefined
from imprint.studies import SusceptibilityResult
from imprint.studies.susceptibility import Removal, RemovalFinding, RepresentationFinding, SurfaceFinding


def susceptibility_numbers(result: SusceptibilityResult) -> dict[str, Any]:
    """Explanation, deviations, contamination, variance, surface, representation and removal, ready for JSON."""
    represented = result.representation
    return {
        "explanation": result.explanation.as_dict(),
        "deviations": list(result.study.deviations),
        "contamination": {"matches": result.contamination.matches, **result.contamination.summary},
        "variance": [finding.as_dict() for finding in result.variance],
        "clean": [finding.as_dict() for finding in result.clean],
        "surface": {
            **_screens(result.surface),
            "classifier": result.surface.classifier,
            "divergences": result.surface.divergences,
        },
        "representation": None if represented is None else {**_screens(represented), "sites": _sites(represented)},
        "removal": _removals(result.removal),
    }


def _screens(found: SurfaceFinding | RepresentationFinding) -> dict[str, Any]:
    scalars = {name: dict(values) for name, values in found.scalars.items()}
    return {"scalars": scalars, "registered": found.registered.as_dict(), "explored": found.explored.as_dict()}


def _sites(found: RepresentationFinding) -> dict[str, Any]:
    """By site the probe of the condition and the directions' share, null and p; without their vectors."""
    sites = {}
    for site, directions in found.directions.items():
        probe = found.probes[site]
        told = {name: getattr(directions, name) for name in ("between", "p", "null_95", "p_first")}
        told["shares"] = np.asarray(directions.shares).tolist()
        if isinstance(probe, Undefined):
            sites[site] = told | {"probe": probe.as_dict()}
        else:
            fields = {"chance": probe.probe.majority, "held_out": probe.held_out, "note": probe.note}
            sites[site] = told | {"probe": probe.probe.accuracy.as_dict() | fields}
    return sites


def _removals(found: RemovalFinding | Undefined | None) -> dict[str, Any] | None:
    if not isinstance(found, RemovalFinding):
        return None if found is None else found.as_dict()
    return {
        "sd": found.sd,
        "freedom": found.freedom,
        "fraction": found.fraction,
        "conditions": [_removal(one) for one in found.removals],
    }


def _removal(one: Removal) -> dict[str, Any]:
    return {
        "condition": one.condition,
        "above": one.above,
        "methods": [scores.method for scores in one.scores],
        "drivers": list(one.drivers),
        "outcomes": {arm: values.tolist() for arm, values in one.outcomes.items()},
        "shift": one.shift.as_dict(),
        "p": one.p,
        "others": {pair: effect.as_dict() for pair, effect in one.others.items()},
        "agreements": [agreement.as_dict() for agreement in one.agreements],
    }
