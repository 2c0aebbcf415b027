"""Tests of effects: every node that an arm sets against every node that time allows it to move, corrected as one family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl

from imprint.emergence.graph.causal_graph import CausalGraph
from imprint.emergence.graph.edge_effects import FEWEST, EdgeEffect, edge_effect
from imprint.emergence.graph.edge_test import EdgeTest, Manipulation
from imprint.emergence.graph.observations import CONTROL, Observations
from imprint.errors import ConfigError
from imprint.stats import benjamini_hochberg

MARGIN = 1.0
"""The smallest effect of interest where none is given, in standard deviations of the untouched runs."""
TOTAL = (
    "do(X) measures the total effect of X on Y, over every path from X to Y; only a joint arm that also holds what lies between "
    "tells a direct effect."
)
Margin = float | Mapping[str, float]
TestName = Literal["t", "sign-flip"]


@dataclass(frozen=True, kw_only=True)
class EdgeFindings:
    """Every test of a design, its manipulation checks, and what a reader must know."""

    tests: tuple[EdgeTest, ...]
    joint: tuple[EdgeTest, ...]
    """Effects with another node held by a joint arm, against the arm that sets only the held nodes."""
    manipulations: tuple[Manipulation, ...]
    alpha: float
    scales: tuple[float, ...]
    notes: tuple[str, ...]

    def of(self, cause: str, effect: str) -> tuple[EdgeTest, ...]:
        """The tests of a pair, one an arm that sets the cause alone."""
        return tuple(test for test in self.tests if (test.cause, test.effect) == (cause, effect))

    def held_of(self, cause: str, effect: str) -> tuple[EdgeTest, ...]:
        """The tests of a pair with something held."""
        return tuple(test for test in self.joint if (test.cause, test.effect) == (cause, effect))

    @property
    def table(self) -> pl.DataFrame:
        """One row a test: who, estimate with interval (node units and control sd), p, q, detectable, valid, scales."""
        return pl.DataFrame([test.row for test in (*self.tests, *self.joint)], infer_schema_length=None)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        return {
            "alpha": self.alpha,
            "scales": list(self.scales),
            "notes": list(self.notes),
            "manipulations": [one.as_dict() for one in self.manipulations],
            "tests": [test.as_dict() for test in self.tests],
            "joint": [test.as_dict() for test in self.joint],
        }


def test_edges(
    graph: CausalGraph,
    observations: Observations,
    *,
    margin: Margin = MARGIN,  # noqa: PT028 (this tests edges; pytest has no part in it)
    alpha: float = 0.05,  # noqa: PT028
    test: TestName = "t",  # noqa: PT028
    seed: int = 0,  # noqa: PT028
) -> EdgeFindings:
    """The effect of every node that an arm sets alone on every other node that is not in an earlier tier.

    `margin` is the smallest effect of interest: a number in standard deviations of the untouched runs, or node units by node
    (nodes left out take 1 standard deviation). `test` says which p-value is corrected. Arms that do not move their own
    measured node count as invalid and stay out of the correction.

    Raises:
        InputError: a measured node is not in the graph.
        ConfigError: an arm sets a node that is not in the graph, or a margin is not positive or names an unknown node.

    Trust: total effects only (see `notes`). q controls the share of false findings among the tests, not the truth of the graph.
    """
    observations.require_nodes(graph.names)
    _check_margin(margin, graph)
    checks = tuple(
        _manipulation(observations, arm, node, alpha, seed)
        for arm, targets in observations.interventions.items()
        for node in targets
    )
    design = _Design(graph=graph, observations=observations, margin=margin, alpha=alpha, seed=seed, checks=checks)
    held = _corrected(_held_effects(design), test)
    return EdgeFindings(
        tests=_corrected(_total_effects(design), test),
        joint=held,
        manipulations=checks,
        alpha=alpha,
        scales=observations.scales,
        notes=(TOTAL, *_notes(checks), *_not_held(held)),
    )


test_edges.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it wherever it is imported


@dataclass(frozen=True, kw_only=True)
class _Design:
    graph: CausalGraph
    observations: Observations
    margin: Margin
    alpha: float
    seed: int
    checks: tuple[Manipulation, ...]

    def test(self, arm: str, reference: str, cause: str, effect: str, held: tuple[str, ...] = ()) -> EdgeTest:
        """One test, uncorrected."""
        check = next(one for one in self.checks if (one.arm, one.node) == (arm, cause))
        every = self.observations.pairs(arm, effect, reference=reference)
        low = self.observations.at_floor(every, effect, margin=_given_margin(effect, self.margin))
        pairs = every.where(~low)
        measured = len(pairs) >= FEWEST
        found = (
            edge_effect(pairs, node=effect, control=reference, alpha=self.alpha, seed=self.seed) if measured else None
        )
        return EdgeTest(
            arm=arm,
            reference=reference,
            cause=cause,
            effect=effect,
            held=held,
            found=found,
            margin=_margin_of(effect, self.margin, found),
            valid=check.moved is not False and self.holds(arm, reference, held),
            raised=check.raised,
            alpha=self.alpha,
            at_floor=tuple(np.unique(every.scale[low]).tolist()),
        )

    def holds(self, arm: str, reference: str, held: Sequence[str]) -> bool:
        """Whether the held nodes, where measured, are the same in the joint arm and its reference."""
        for node in held:
            pairs = self.observations.pairs(arm, node, reference=reference)
            if len(pairs) < FEWEST:
                continue
            found = edge_effect(pairs, node=node, control=reference, alpha=self.alpha, seed=self.seed)
            if found.effect.excludes_zero:
                return False
        return True


def _total_effects(design: _Design) -> list[EdgeTest]:
    return [
        design.test(arm, CONTROL, cause, effect)
        for cause in design.graph.names
        for arm in design.observations.single_arms(cause)
        for effect in design.observations.nodes
        if design.graph.may_cause(cause, effect)
    ]


def _held_effects(design: _Design) -> list[EdgeTest]:
    """For a joint arm, each of its nodes with the others held, where an arm sets just those others."""
    found = []
    for arm, targets in design.observations.interventions.items():
        for cause in targets if len(targets) > 1 else ():
            held = tuple(target for target in targets if target != cause)
            for reference in _arms_setting(design.observations, held):
                found += [
                    design.test(arm, reference, cause, effect, held)
                    for effect in design.observations.nodes
                    if effect not in targets and design.graph.may_cause(cause, effect)
                ]
    return found


def _arms_setting(observations: Observations, nodes: Sequence[str]) -> list[str]:
    return [arm for arm, targets in observations.interventions.items() if set(targets) == set(nodes)]


def _manipulation(observations: Observations, arm: str, node: str, alpha: float, seed: int) -> Manipulation:
    pairs = observations.pairs(arm, node)
    declared = {"raises": True, "lowers": False}.get(observations.directions.get(arm, ""))
    if len(pairs) < FEWEST:
        return Manipulation(arm=arm, node=node, found=None, moved=None, raised=declared)
    found = edge_effect(pairs, node=node, control=CONTROL, alpha=alpha, seed=seed)
    moved = found.effect.excludes_zero
    return Manipulation(
        arm=arm, node=node, found=found, moved=moved, raised=found.effect.estimate > 0 if moved else None
    )


def _corrected(tests: Sequence[EdgeTest], name: TestName) -> tuple[EdgeTest, ...]:
    counted = [place for place, test in enumerate(tests) if test.usable]
    p = np.array([_p(tests[place].found, name) for place in counted], dtype=float)
    q = benjamini_hochberg(p) if len(p) else p
    by_place = dict(zip(counted, q.tolist(), strict=True))
    return tuple(replace(test, q=by_place.get(place)) for place, test in enumerate(tests))


def _p(found: EdgeEffect | None, name: TestName) -> float:
    assert found is not None
    return found.p if name == "t" else found.p_sign_flip


def _margin_of(node: str, margin: Margin, found: EdgeEffect | None) -> float:
    spread = found.control_sd if found else 0.0
    if isinstance(margin, Mapping):
        return margin.get(node, MARGIN * spread)
    return margin * spread


def _given_margin(node: str, margin: Margin) -> float:
    """The margin where it was given in node units; 0 where it is one of standard deviations."""
    return margin.get(node, 0.0) if isinstance(margin, Mapping) else 0.0


def _check_margin(margin: Margin, graph: CausalGraph) -> None:
    given = margin if isinstance(margin, Mapping) else {"": margin}
    for node, value in given.items():
        if not value > 0:
            raise ConfigError(f"margin={value} must be positive: it is the smallest effect that matters")
        if node and node not in graph.names:
            raise ConfigError(f"the margin names the unknown node '{node}': use the names of the causal graph")


def _notes(checks: Sequence[Manipulation]) -> list[str]:
    failed = [
        f"arm '{one.arm}' did not move '{one.node}', the node it sets: its tests do not count"
        for one in checks
        if one.moved is False
    ]
    unseen = [
        f"'{one.node}' is not measured, so arm '{one.arm}' is taken at its word"
        + ("" if one.raised is not None else " and no sign of its effects can be checked")
        for one in checks
        if one.moved is None
    ]
    return [*failed, *unseen]


def _not_held(joint: Sequence[EdgeTest]) -> list[str]:
    loose = {(test.arm, test.reference, test.held) for test in joint if not test.valid}
    return [
        f"arm '{arm}' against '{reference}' tells nothing: it did not move what it adds, or does not hold {', '.join(held)}"
        for arm, reference, held in sorted(loose)
    ]
