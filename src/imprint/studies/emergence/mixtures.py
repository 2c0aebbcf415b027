"""The mixture of rows that an arm trains on."""

from imprint.corpus import AbilitiesWorld, RowKind
from imprint.errors import ConfigError
from imprint.studies.emergence.options import Arm


def changed_mixture(world: AbilitiesWorld, arm: Arm) -> AbilitiesWorld:
    """The world in the arm's mixture: the shares that it names, and the others in their old proportions.

    Raises:
        ConfigError: the named shares leave a rest, and no other kind of row to fill it.
    """
    others = {kind: share for kind, share in world.shares.items() if kind not in arm.shares and share > 0}
    rest = 1.0 - sum(arm.shares.values())
    if not others and rest > 1e-9:
        raise ConfigError(f"intervention '{arm.name}': its shares add to {1 - rest:g} and no other kind is left")
    scale = rest / sum(others.values()) if others else 0.0
    shares: dict[RowKind, float] = {**{kind: share * scale for kind, share in others.items()}, **arm.shares}
    return world.model_copy(update={"shares": shares})
