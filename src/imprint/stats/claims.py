"""`Claim`: "data D gave capability C through mechanism M", and the evidence ladder that it climbs."""

from dataclasses import dataclass
from typing import Any, Final

from imprint.errors import InputError
from imprint.stats.effects import Effect

RUNGS: Final = ("associated", "localised", "necessary", "sufficient", "data-causal", "replicated")
"""Names of the rungs 0 to 5; the meaning of each is in `RUNG_MEANING`."""

RUNG_MEANING: Final = (
    "the data's text and the mechanism's activity (or the capability's score) go together, above a null",
    "the mechanism is a named component or subspace, better than matched random ones",
    "removing the mechanism from the forward pass loses the capability, controls do not",
    "patching or steering the mechanism restores or raises the capability",
    "training without (or with more of) the data loses (or gains) mechanism and capability, matched data does not",
    "the same at five seeds or more and two scales or more",
)
"""What has been shown at each rung, in one sentence."""

_RETRAINING_UNITS = ("pipeline seed", "run")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """One experiment's contribution to a claim: an effect, the rung that it speaks to, and whether it passed.

    A control belongs to the rung that it guards: `passed=False` when the control failed. Rungs 4 and 5 speak about
    training, so their effects must be counted in pipeline seeds or runs.

    Raises:
        InputError: the rung is not 0 to 5, or retraining evidence is counted in documents, items, tokens or heads.
    """

    rung: int
    name: str
    effect: Effect
    passed: bool | None
    """Whether it shows what the rung asks; None: told beside the rung, which it neither holds nor blocks."""
    note: str = ""
    """What a reader should know about this number."""
    null: str = ""
    """What the effect was compared with (permuted labels, random heads, matched documents)."""
    trust: str = ""
    """When this method misleads."""

    def __post_init__(self) -> None:
        """Refuse a rung that does not exist and pseudo-replicated retraining evidence."""
        if not 0 <= self.rung < len(RUNGS):
            raise InputError(f"rung={self.rung} of '{self.name}' does not exist: use 0 to 5 ({', '.join(RUNGS)}).")
        if self.rung >= 4 and self.effect.unit not in _RETRAINING_UNITS:
            raise InputError(
                f"'{self.name}' is evidence about training, but its n={self.effect.n} counts units of "
                f"'{self.effect.unit}': average within each training run and count pipeline seeds or runs."
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        words = {name: getattr(self, name) for name in ("rung", "name", "passed", "note", "null", "trust")}
        return words | {"rung_name": RUNGS[self.rung], "effect": self.effect.as_dict()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The sentence "data `data` gave capability `capability` through mechanism `mechanism`" with its evidence.

    A rung **holds** when it has evidence and all of it passed: one failed control blocks its rung. The claim stands
    on the highest rung reached without a gap: rungs 1 up to it must all hold, a rung without evidence is a gap. Only
    rung 0 may be unmeasured, because a mechanism that was localised or a cause that was shown needs no correlation;
    if rung 0 was measured and failed, the claim stands on no rung. `shown` lists every rung that holds, gaps or not.
    """

    data: str
    mechanism: str
    capability: str
    evidence: tuple[Evidence, ...] = ()

    @property
    def rung(self) -> int | None:
        """The rung that the claim stands on, 0 to 5; None when it stands on none."""
        first = 0 if self._at(0) else 1
        reached = first
        while reached < len(RUNGS) and self._holds(reached):
            reached += 1
        return reached - 1 if reached > first else None

    @property
    def shown(self) -> tuple[int, ...]:
        """Every rung whose evidence all passed, also above a gap."""
        return tuple(rung for rung in range(len(RUNGS)) if self._holds(rung))

    @property
    def blocked_by(self) -> str:
        """One sentence saying what keeps the claim from the next rung; empty at the top."""
        if not self._at(0) and not self._at(1):
            return "nothing was measured at rungs 0 (associated) and 1 (localised)"
        following = (-1 if self.rung is None else self.rung) + 1
        following = 1 if following == 0 and not self._at(0) else following
        if following >= len(RUNGS):
            return ""
        failed = [item.name for item in self._at(following) if not item.passed]
        place = f"rung {following} ({RUNGS[following]})"
        return f"{place}: {', '.join(failed)} did not pass" if failed else f"nothing was measured at {place}"

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON; `from_dict` reads them back."""
        return {
            "data": self.data,
            "mechanism": self.mechanism,
            "capability": self.capability,
            "rung": self.rung,
            "rung_name": None if self.rung is None else RUNGS[self.rung],
            "shown": list(self.shown),
            "blocked_by": self.blocked_by,
            "evidence": [item.as_dict() for item in self.evidence],
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "Claim":
        """The claim that `as_dict` wrote; the rung is worked out anew, never believed."""
        items = [{key: value for key, value in item.items() if key != "rung_name"} for item in record["evidence"]]
        return cls(
            data=record["data"],
            mechanism=record["mechanism"],
            capability=record["capability"],
            evidence=tuple(Evidence(**item | {"effect": Effect(**item["effect"])}) for item in items),
        )

    def _at(self, rung: int) -> tuple[Evidence, ...]:
        return tuple(item for item in self.evidence if item.rung == rung and item.passed is not None)

    def _holds(self, rung: int) -> bool:
        return bool(self._at(rung)) and all(item.passed for item in self._at(rung))
