"""Path patching: what one part tells a head through its queries, keys or values, everything else held (Wang et al. 2022)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError, ModelError
from imprint.mechanisms.places import Mediator, Place, place_of, reading, replacing
from imprint.models import Anatomy, Hook, eager_attention, evaluating, hooked
from imprint.models.families import Role
from imprint.models.hooks import record
from imprint.types import Advance, no_progress

ROLES: tuple[Role, ...] = get_args(Role)
_SENDERS = ("head", "z", "attn", "mlp", "embed")
Attended = Callable[[Float[Tensor, "row seq seq"]], Float[Tensor, "row"]]
"""What is read from the receiver's attention, by row."""
PathOutcome = Callable[[Float[Tensor, "row seq vocabulary"]], Float[Tensor, "row"]]
"""What is read from the logits, by row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchedPath:
    """One path (sender to receiver through q, k or v), clean and patched, row by row."""

    sender: str
    receiver: str
    role: Role
    attended: Float[np.ndarray, "row"]
    """Read from the receiver's attention in the clean run."""
    attended_patched: Float[np.ndarray, "row"]
    outcome: Float[np.ndarray, "row"]
    """Read from the logits in the clean run."""
    outcome_patched: Float[np.ndarray, "row"]


@torch.no_grad()
def path_patching(
    model: PreTrainedModel,
    clean: Int[Tensor, "row seq"],
    corrupted: Int[Tensor, "other_row other_seq"],
    senders: Sequence[str | tuple[str, ...]],
    receiver: str | tuple[str, ...],
    *,
    attended: Attended,
    outcome: PathOutcome,
    roles: Sequence[Role] = ROLES,
    through_mlps: bool = False,
    advance: Advance = no_progress,
) -> list[PatchedPath]:
    """The clean run in which the receiver alone, in one of q, k and v alone, hears the sender as in the corrupted run.

    (1) In the clean run every head's output, and every MLP's unless `through_mlps`, is held at its clean value and the
    sender's is the corrupted one: the receiver's q, k or v is computed from that. (2) The receiver's output follows from
    it. (3) The clean run with that output, all later parts free, gives the outcome. A tuple of senders is patched as one, and
    so is a tuple of receivers in one layer, whose attention is averaged.
    Senders are "L0.H1", "L0.z" or "L0.attn" (all heads), "L0.mlp", "embed". Exchange clean and corrupted to see what the
    path restores. `advance` counts senders.

    Source: Wang et al. 2022, section 3.1 (there MLPs are not held: `through_mlps`).

    Raises:
        ConfigError: no sender or receiver, a sender that is not below the receiver, a part that can not be one, receivers in
            several layers, or unequal sequences.
        ComponentNotFound: a part that the model does not have, or a receiver that is not a head.
        ModelError: not a causal model.

    Trust: the direct path only; what goes by way of another head is a path of its own. Effects of senders need not add up,
    as softmax and norms are not linear. The corrupted run decides what is asked: it should differ in the one thing told.
    """
    _check(model, clean, corrupted, senders)
    receivers = (receiver,) if isinstance(receiver, str) else receiver
    paths = _Paths(model, clean, corrupted, receivers, through_mlps)
    with evaluating(model), eager_attention(model):
        intact = paths.clean()
        found = []
        for sender in senders:
            parts = (sender,) if isinstance(sender, str) else sender
            heard = paths.heard(parts)
            for role in roles:
                pattern, logits = paths.patched(role, heard[role])
                found.append(
                    PatchedPath(
                        sender="+".join(parts),
                        receiver="+".join(receivers),
                        role=role,
                        attended=_numbers(attended(intact[0])),
                        attended_patched=_numbers(attended(pattern)),
                        outcome=_numbers(outcome(intact[1])),
                        outcome_patched=_numbers(outcome(logits)),
                    )
                )
            advance(1)
    return found


class _Paths:
    """The runs of path patching into one receiver, or several of one layer."""

    def __init__(
        self, model: PreTrainedModel, clean: Tensor, corrupted: Tensor, receivers: Sequence[str], through_mlps: bool
    ) -> None:
        self.model, self.anatomy = model, Anatomy(model)
        self.tokens, self.corrupted = clean.to(model.device), corrupted.to(model.device)
        self.receivers = {name: self._place(name) for name in receivers}
        self.heads = [self.anatomy.head_columns(name).start // self.anatomy.d_head for name in receivers]
        self.layer = self._layer(receivers)
        sites = ["z"] if through_mlps else ["z", "mlp"]
        names = [f"L{layer}.{site}" for layer in range(self.layer) for site in sites]
        self.held = {name: self._place(name) for name in names}
        self.values: dict[str, Tensor] = {}

    def clean(self) -> tuple[Tensor, Tensor]:
        """The receiver's attention and the logits of the clean run, whose activations are kept."""
        with hooked(self.model, reading(self.held, self.values)):
            return self._pattern([]), self._logits([])

    def heard(self, sender: Sequence[str]) -> Mapping[Role, Tensor]:
        """What the q, k and v projections of the receiver's layer give when the sender alone is as in the corrupted run."""
        places = {part: self._sender(part) for part in sender}
        said: dict[str, Tensor] = {}
        with hooked(self.model, reading(places, said)):
            self._run(self.corrupted)
        hooks = [replacing(place, self.values[name]) for name, place in self.held.items()]
        hooks += [replacing(place, said[part]) for part, place in places.items()]
        kept: dict[str, Tensor] = {}
        with hooked(self.model, [*hooks, *reading({role: self._projected(role) for role in ROLES}, kept)]):
            self._run(self.tokens)
        return {role: kept[role] for role in ROLES}

    def patched(self, role: Role, heard: Tensor) -> tuple[Tensor, Tensor]:
        """The receiver's attention and the logits when it alone has heard that in one of its inputs."""
        output: dict[str, Tensor] = {}
        into = [replacing(self._projected(role), heard), *reading(self.receivers, output)]
        pattern = self._pattern(into)
        return pattern, self._logits([replacing(place, output[name]) for name, place in self.receivers.items()])

    def _pattern(self, hooks: Sequence[Hook]) -> Tensor:
        site = f"L{self.layer}.pattern"
        with hooked(self.model, hooks), record(self.model, [site]) as states:
            self._run(self.tokens)
        return states[site][:, self.heads].mean(1)

    def _logits(self, hooks: Sequence[Hook]) -> Tensor:
        with hooked(self.model, hooks):
            logits: Tensor = self.model(input_ids=self.tokens, use_cache=False).logits
        return logits

    def _run(self, tokens: Tensor) -> None:
        self.model.base_model(input_ids=tokens, use_cache=False)

    def _place(self, site: str) -> Place:
        return place_of(self.anatomy, Mediator(site=site))

    def _projected(self, role: Role) -> Place:
        """A projection's outputs for one role, of all heads: heads that share keys, or norms over heads, stay consistent."""
        heads = [f"L{self.layer}.H{head}" for head in range(self.anatomy.num_heads)]
        chosen = {int(i) for head in heads for i in self.anatomy.head_slices(head)[role].index}
        index = torch.tensor(sorted(chosen))
        return Place(module=self.anatomy.projection(role, self.layer), edge="post", columns=index)

    def _sender(self, part: str) -> Place:
        component = self.anatomy.find(part)
        if component.site not in _SENDERS:
            raise ConfigError(f"'{part}' cannot be a sender; name a head (L0.H0), L0.z, L0.attn, L0.mlp or embed.")
        if component.layer is not None and component.layer >= self.layer:
            raise ConfigError(f"{part} cannot speak to layer {self.layer}: a sender must lie in a lower layer.")
        return self._place(part)

    def _layer(self, receivers: Sequence[str]) -> int:
        layers = {self.anatomy.find(name).layer for name in receivers}
        if len(layers) != 1:
            raise ConfigError(f"Receivers must be heads of one layer, but {', '.join(receivers) or 'none'} were given.")
        return int(layers.pop() or 0)


def _check(model: PreTrainedModel, clean: Tensor, corrupted: Tensor, senders: Sequence[str | tuple[str, ...]]) -> None:
    if Anatomy(model).family.objective != "causal":
        raise ModelError("Path patching is for causal models; mediate and attribution_patching serve the others.")
    if not senders or any(len(sender) == 0 for sender in senders):
        raise ConfigError("A path needs a sender; name at least one, for example L0.H0.")
    if clean.shape != corrupted.shape:
        raise ConfigError(
            f"The clean sequences have shape {tuple(clean.shape)} and the corrupted ones {tuple(corrupted.shape)}; give "
            "them the same rows and length."
        )


def _numbers(values: Tensor) -> Float[np.ndarray, "row"]:
    return np.asarray(values.detach().double().cpu().numpy())
