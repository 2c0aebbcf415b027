"""What stands beside the tested graph and decides no edge: a taxonomy of abilities, structural equations, causal discovery."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from imprint.emergence.graph import (
    CrossCheck,
    EdgeFindings,
    Observations,
    RefinedGraph,
    StructuralModel,
    Taxonomy,
    cross_check,
    fit_sem,
    taxonomy,
)
from imprint.errors import ConfigError, InputError
from imprint.stats import Undefined


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """The cross-checks and fallbacks, each with the reason where it cannot be had."""

    taxonomy: Taxonomy | Undefined
    structure: StructuralModel | Undefined
    """Path coefficients along the hypothesised graph."""
    discovery: CrossCheck | Undefined
    """Against the graph of supported and added edges."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        found = self.taxonomy
        groups = (
            found.as_dict()
            if isinstance(found, Undefined)
            else {"groups": [list(group) for group in found.groups], "p": found.p, "sentence": found.sentence}
        )
        return {
            "taxonomy": groups,
            "structure": _structure(self.structure),
            "discovery": self.discovery.as_dict(),
        }


def beside(observations: Observations, findings: EdgeFindings, refined: RefinedGraph, *, seed: int) -> Beside:
    """All three; causal-learn's methods only where it is installed."""
    return Beside(
        taxonomy=_taxonomy(findings, refined, seed),
        structure=_fitted(observations, refined, seed),
        discovery=_discovered(observations, refined),
    )


def _taxonomy(findings: EdgeFindings, refined: RefinedGraph, seed: int) -> Taxonomy | Undefined:
    try:
        return taxonomy(refined, findings, seed=seed)
    except InputError as error:
        return Undefined(reason=str(error))


def _fitted(observations: Observations, refined: RefinedGraph, seed: int) -> StructuralModel | Undefined:
    try:
        return fit_sem(refined.graph, observations.wide(), interventions=observations.interventions, seed=seed)
    except InputError as error:
        return Undefined(reason=str(error))


def _discovered(observations: Observations, refined: RefinedGraph) -> CrossCheck | Undefined:
    try:
        return cross_check(refined.kept, observations.wide(), causal_learn=find_spec("causallearn") is not None)
    except (ConfigError, InputError) as error:
        return Undefined(reason=str(error))


def _structure(found: StructuralModel | Undefined) -> dict[str, Any]:
    if isinstance(found, Undefined):
        return found.as_dict()
    return {
        "caveat": found.caveat,
        "effects": [
            {
                "cause": one.cause,
                "effect": one.effect,
                **{name: getattr(one, name).as_dict() for name in ("direct", "indirect", "total")},
            }
            for one in found.effects
        ],
    }
