"""Whether arms do what they say, and can be trained at every scale: asked before anything is registered."""

from collections.abc import Sequence

import torch
from transformers import AutoModelForCausalLM

from imprint.corpus import AbilitiesWorld
from imprint.emergence.graph import CausalGraph
from imprint.errors import ComponentNotFound, ConfigError
from imprint.interventions.training import check_edit
from imprint.studies.emergence.mixtures import changed_mixture
from imprint.studies.emergence.options import Arm, HeldOut, Scale
from imprint.studies.emergence.sizes import architecture_of

WAYS = {"data": "shares", "component": "edits", "optimiser": "optimisation"}
"""By kind of node, the field of an arm that sets it."""


def check_arms(
    arms: Sequence[Arm], graph: CausalGraph, world: AbilitiesWorld, scales: Sequence[Scale], *, steps: int
) -> None:
    """Refuse arms whose nodes and changes do not belong together, or that no model or mixture can take.

    Raises:
        ConfigError: see the sentence.
    """
    kinds = {node.name: node.kind for node in graph.nodes}
    for arm in arms:
        _check_nodes(arm, {name: kinds[name] for name in arm.sets})
        if arm.shares:
            changed_mixture(world, arm)
        late = [edit for edit in arm.edits if edit.first >= steps]
        if late:
            raise ConfigError(
                f"intervention '{arm.name}': an edit begins at update {late[0].first} of {steps}, so never"
            )
    for scale in scales:
        _check_model(arms, scale, world.context)


def _check_nodes(arm: Arm, kinds: dict[str, str]) -> None:
    """One node, one way: a data node is set by its share, an optimiser node by one setting, components by an edit each."""
    where = f"intervention '{arm.name}'"
    for kind, way in WAYS.items():
        names = [name for name in kinds if kinds[name] == kind]
        changes = getattr(arm, way)
        if names and not changes:
            raise ConfigError(f"{where} sets the {kind} '{names[0]}' but has no {way}")
        if changes and not names:
            raise ConfigError(f"{where} has {way} but sets no {kind} of the graph; name the node that they change")
        if names and len(changes) != len(names):
            raise ConfigError(f"{where}: {len(changes)} {way} for {len(names)} {kind} node(s); give one for each")
    strange = [name for name in kinds if kinds[name] == "data" and name not in arm.shares]
    if strange:
        raise ConfigError(f"{where} sets '{strange[0]}' but changes the share of '{next(iter(arm.shares))}'")


def _check_model(arms: Sequence[Arm], scale: Scale, context: int) -> None:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(architecture_of(scale, context).build_config())  # type: ignore[no-untyped-call]
    for arm in arms:
        for edit in arm.edits:
            try:
                check_edit(model, edit)
            except (ComponentNotFound, ConfigError) as error:
                raise ConfigError(f"intervention '{arm.name}' at scale '{scale.name}': {error}") from error


def check_scales(scales: Sequence[Scale], held_out: HeldOut | None, context: int) -> None:
    """Refuse scales that do not rise in parameters, the held-out one last.

    Raises:
        ConfigError: two scales of one size, or a smaller one after a larger.
    """
    every = [*scales, *([] if held_out is None else [held_out.scale])]
    sizes = [architecture_of(scale, context).parameters for scale in every]
    for (one, small), (other, large) in zip(
        zip(every, sizes, strict=True), list(zip(every, sizes, strict=True))[1:], strict=False
    ):
        if large <= small:
            raise ConfigError(
                f"scale '{other.name}' has {large} parameters and '{one.name}' before it {small}: list scales from the"
                " smallest to the largest, the held-out one last"
            )
