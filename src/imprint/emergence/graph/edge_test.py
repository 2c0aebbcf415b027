"""One test of one effect: an arm that sets a cause against its reference, and whether the arm did what it should."""

from dataclasses import dataclass
from typing import Any, Literal

from imprint.emergence.graph.edge_effects import EdgeEffect


@dataclass(frozen=True, kw_only=True)
class Manipulation:
    """Whether an arm moved the node that it sets. Without a measurement of that node `moved` is None."""

    arm: str
    node: str
    found: EdgeEffect | None
    moved: bool | None
    raised: bool | None
    """Which way: measured, or as declared in `directions`; None where neither is known."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        found = self.found.as_dict() if self.found else None
        return {"arm": self.arm, "node": self.node, "moved": self.moved, "raised": self.raised, "found": found}


@dataclass(frozen=True, kw_only=True)
class EdgeTest:
    """The total effect of setting `cause` on `effect` in one arm; with `held`, the effect while those nodes are set as well.

    Positive: the intervention raised the effect's value. `sign` corrects for the intervention's own direction: "+" means
    that raising the cause raises the effect; "?" where that direction is not known.
    """

    arm: str
    reference: str
    cause: str
    effect: str
    held: tuple[str, ...]
    found: EdgeEffect | None
    """None where fewer than 2 pairs measured the node."""
    margin: float
    """The smallest effect of interest, in node units."""
    valid: bool
    """False where the arm did not move the node it sets."""
    raised: bool | None
    alpha: float
    q: float | None = None
    """Benjamini-Hochberg over all valid tests of the same kind; None where the test does not count."""
    at_floor: tuple[float, ...] = ()
    """Scales left out because the effect stays at its floor in both arms: nothing could be lost there."""

    @property
    def usable(self) -> bool:
        """Whether the test was run on a valid manipulation of a node that varies."""
        return self.valid and self.found is not None and self.found.varies

    @property
    def significant(self) -> bool:
        """Q at most alpha."""
        return self.q is not None and self.q <= self.alpha

    @property
    def matters(self) -> bool:
        """Significant, and not wholly within the smallest effect of interest."""
        return self.significant and not self.negligible

    @property
    def negligible(self) -> bool:
        """The whole interval within the margin; where scales differ, each scale's estimate as well."""
        if not self.usable or self.found is None or not self.found.within(self.margin):
            return False
        return self.same_at_scales or all(abs(one.estimate) <= self.margin for one in self.found.by_scale)

    @property
    def same_at_scales(self) -> bool:
        """No difference between scales was detected (which is not the same as none)."""
        p = self.found.p_scales if self.found else None
        return p is None or p > self.alpha

    @property
    def sign(self) -> Literal["+", "-", "?"]:
        """Of the edge, not of the arm's effect."""
        if self.found is None or self.raised is None or self.found.effect.estimate == 0:
            return "?"
        return "+" if (self.found.effect.estimate > 0) == self.raised else "-"

    @property
    def scales_say(self) -> str:
        """Whether the effect is the same at all scales, in words."""
        if self.found is None or self.found.p_scales is None:
            return "one scale, or one pair a scale: not asked"
        ends = [f"{one.estimate:+.3g} at {one.scale:.3g}" for one in self.found.by_scale]
        word = "no difference between scales detected" if self.same_at_scales else "differs between scales"
        return f"{word} (p {self.found.p_scales:.2g}; {', '.join(ends)} parameters)"

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        plain = {
            name: getattr(self, name)
            for name in ("arm", "reference", "cause", "effect", "margin", "valid", "q", "sign")
        }
        found = self.found.as_dict() if self.found else None
        return plain | {
            "held": list(self.held),
            "at_floor": list(self.at_floor),
            "significant": self.significant,
            "scales": self.scales_say,
            "found": found,
        }

    @property
    def row(self) -> dict[str, Any]:
        """The test as one row of a table."""
        found, effect = self.found, self.found.effect if self.found else None
        return {
            "arm": self.arm,
            "reference": self.reference,
            "cause": self.cause,
            "effect": self.effect,
            "held": ", ".join(self.held),
            "estimate": effect.estimate if effect else None,
            "low": effect.low if effect else None,
            "high": effect.high if effect else None,
            "in_control_sd": found.in_control_sd if found else None,
            "pairs": effect.n if effect else 0,
            "p": found.p if found else None,
            "p_sign_flip": found.p_sign_flip if found else None,
            "q": self.q,
            "detectable": found.detectable if found else None,
            "margin": self.margin,
            "valid": self.valid,
            "sign": self.sign,
            "scales": self.scales_say,
            "scales_at_floor": len(self.at_floor),
        }
