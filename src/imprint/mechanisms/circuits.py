"""The induction circuit checked by path patching: does a head tell an induction head, through its keys, where to look?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from imprint.capabilities import RepeatProbe
from imprint.errors import ConfigError
from imprint.mechanisms.locate import HeadFindings, Location
from imprint.mechanisms.path_patching import ROLES, PatchedPath, path_patching
from imprint.models import Component, log_probs_of
from imprint.models.families import Role
from imprint.stats import Effect, bootstrap_mean
from imprint.types import Advance, no_progress

_CONTROL = "the clean run"
SENDERS = 4
"""How many heads below an induction head are tried as its previous-token head, one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CircuitPath:
    """What the path from a sender to a receiver through q, k or v carries; positive = the path helps induction."""

    sender: str
    receiver: str
    role: Role
    prefix_matching: Effect
    """Drop of the receiver's attention to the place `offset` after the previous occurrence, in attention mass."""
    copying: Effect
    """Drop of the copy's log-probability, in nats a token."""

    def as_dict(self) -> dict[str, object]:
        """Plain numbers and words, for JSON."""
        return asdict(self)


def induction_circuit(
    model: PreTrainedModel, probe: RepeatProbe, found: Location, *, seed: int = 0, advance: Advance = no_progress
) -> list[CircuitPath]:
    """The paths into the best induction head from what may be its previous-token heads; none without an induction head.

    Senders are those of `circuit_senders`: four heads alone, so that the weaker ones are controls of the stronger, and a
    layer as one. The receiver is read at the offset where it looks. `advance` counts senders.

    Trust: as `circuit_paths`. The senders are those with the most attention to the token before; a circuit through other
    heads is not looked for.
    """
    receiver = found.best("induction")
    senders = [] if receiver is None else circuit_senders(found, receiver)
    if receiver is None or not senders:
        return []
    offset = receiver.best_offset
    return circuit_paths(model, probe, senders, receiver.head, offset=offset, seed=seed, advance=advance)


def circuit_senders(found: Location, receiver: HeadFindings, *, count: int = SENDERS) -> list[str | tuple[str, ...]]:
    """The `count` heads below the receiver that look most at the token before, then the whole layer of the first as one.

    None for a receiver in layer 0. The job of the previous-token head may be spread over its layer (P11).
    """
    below = [head for head in found.heads if _layer(head.head) < _layer(receiver.head)]
    ranked = [head.head for head in sorted(below, key=lambda head: -head.previous_token)]
    if not ranked:
        return []
    layer = tuple(head.head for head in below if _layer(head.head) == _layer(ranked[0]))
    return [*ranked[:count], *([layer] if len(layer) > 1 else [])]


def _layer(head: str) -> int:
    return Component.parse(head).layer or 0


def circuit_paths(
    model: PreTrainedModel,
    probe: RepeatProbe,
    senders: Sequence[str | tuple[str, ...]],
    receiver: str | tuple[str, ...],
    *,
    offset: int = 1,
    roles: Sequence[Role] = ROLES,
    through_mlps: bool = False,
    seed: int = 0,
    advance: Advance = no_progress,
) -> list[CircuitPath]:
    """Path patching on repeated sequences: every sender, through each role, against the other senders and roles.

    Clean: the second half repeats the first. Corrupted: the same second half after an unrelated first half, so what a
    sender says about the first half is about another one. The circuit previous-token head -> induction head stands if the
    path through K costs prefix matching and copying, and those of other senders and through Q and V do not.

    `offset` says where the receiver looks, from the previous occurrence on (`HeadFindings.best_offset`): 1 for an induction
    head; one at 2 reads, through V as well, what the lower layer stored there (P10).

    Raises:
        ConfigError: an offset below 0 or not below the period, and as in `path_patching`.
        ComponentNotFound, ModelError: as in `path_patching`.

    Trust: the unrelated half may hold the right token at the right place by chance (1 / alphabet). A job spread over heads
    shows in the joint sender ("L0.H0", "L0.H3"), given as a tuple, and heads that back each other up need a joint receiver:
    one of them alone may look dispensable. Induction by another way than keys is another circuit, not none.
    """
    if not 0 <= offset < probe.period:
        raise ConfigError(f"offset={offset} leaves the first copy of a period of {probe.period}; give 1 or 2.")

    def matched(pattern: Float[Tensor, "row seq seq"]) -> Float[Tensor, "row"]:
        return pattern[:, probe.query, probe.query - probe.period + offset].mean(-1)

    def copied(logits: Float[Tensor, "row seq vocabulary"]) -> Float[Tensor, "row"]:
        copies = probe.tokens[:, probe.query + 1].to(logits.device)
        return log_probs_of(logits[:, probe.query], copies).mean(-1)

    paths = path_patching(
        model,
        probe.tokens,
        probe.unrelated,
        senders,
        receiver,
        attended=matched,
        outcome=copied,
        roles=roles,
        through_mlps=through_mlps,
        advance=advance,
    )
    return [_circuit_path(path, seed) for path in paths]


def _circuit_path(path: PatchedPath, seed: int) -> CircuitPath:
    name = f"{path.sender} -> {path.receiver}.{path.role}"
    return CircuitPath(
        sender=path.sender,
        receiver=path.receiver,
        role=path.role,
        prefix_matching=_drop(path.attended - path.attended_patched, f"prefix matching by {name}", seed),
        copying=_drop(path.outcome - path.outcome_patched, f"copying by {name}", seed),
    )


def _drop(values: Float[np.ndarray, "row"], metric: str, seed: int) -> Effect:
    return bootstrap_mean(values, seed=seed, unit="item", control_name=_CONTROL, metric=metric, draws=1000)
