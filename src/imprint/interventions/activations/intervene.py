"""`intervene`: interventions on a running model, counted, and gone when the block ends."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from imprint.errors import ConfigError, InterventionNeverFired
from imprint.interventions.activations.edit import Edit, on_device
from imprint.interventions.activations.intervention import Intervention
from imprint.interventions.activations.tokens import NOBODYS, Pass, Tokens
from imprint.models import Anatomy, Edge, HookFunction, depth, depth_of, hooked, place

_LOG = logging.getLogger(__name__)
_NARROW = (torch.float16, torch.bfloat16)
_AT_MOST, _AT_MOST_GPU = 2**17, 2**22
"""Changed numbers that wait to be counted; to read a count from a GPU stalls it."""


@dataclass(slots=True)
class Count:
    """What one intervention did so far: forward passes it acted in, and how many numbers really changed, by how much."""

    site: str
    fires: int = 0
    _waiting: list[Tensor] = field(default_factory=list)
    _numbers: int = 0
    _sums: list[tuple[int, float]] = field(default_factory=list)

    @property
    def changed(self) -> int:
        """Numbers that differ from what they were; 0 if the edit said what the states said already."""
        self._settle()
        return sum(changed for changed, _ in self._sums)

    @property
    def norm(self) -> float:
        """The Euclidean norm of all changes together."""
        self._settle()
        return math.sqrt(sum(norm**2 for _, norm in self._sums))

    def add(self, before: Tensor, after: Tensor) -> None:
        """Note one edit. Small changes (single tokens of a generation) wait, and are counted many at a time."""
        self._waiting.append((after.detach() - before.detach()).flatten())
        self._numbers += after.numel()
        if self._numbers >= (_AT_MOST if after.device.type == "cpu" else _AT_MOST_GPU):
            self._settle()

    def _settle(self) -> None:
        if self._waiting:
            change = torch.cat(self._waiting)
            wide = torch.float32 if change.dtype in _NARROW else None
            norm = torch.linalg.vector_norm(change, dtype=wide)
            self._sums.append((int(change.count_nonzero()), float(norm)))
            self._waiting.clear()
            self._numbers = 0


@dataclass(slots=True)
class Fired:
    """The counts of all interventions, in the order in which they were given."""

    counts: list[Count] = field(default_factory=list)

    def __getitem__(self, index: int) -> Count:
        """The count of one intervention."""
        return self.counts[index]

    @property
    def changed(self) -> int:
        """Numbers changed by all of them."""
        return sum(count.changed for count in self.counts)

    @property
    def idle(self) -> tuple[str, ...]:
        """The sites where an intervention fired and changed nothing."""
        return tuple(count.site for count in self.counts if count.fires and count.changed == 0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Placed:
    """An intervention that acts on some rows of the batch only; its tokens are those of these rows."""

    intervention: Intervention
    span: slice = field(default_factory=lambda: slice(None))


def entry_layer(model: PreTrainedModel, interventions: Sequence[Intervention]) -> int:
    """The first block whose computation any of them can change; `resumed` from there gives the full pass's logits.

    Without interventions it is the number of blocks: only final norm and unembedding remain. In T5 encoder blocks count
    first (`imprint.models.depth_of`).
    """
    return min((depth_of(model, item.check(model)) for item in interventions), default=depth(model))


@contextmanager
def intervene(
    model: PreTrainedModel, interventions: Sequence[Intervention], *, rows: Int[Tensor, "batch"] | None = None
) -> Iterator[Fired]:
    """Apply interventions in every forward pass inside the block, also under `generate`; you get their counts.

    Interventions at one site act in the order given. `rows` are the ids of the batch's rows in token masks, tables and
    noise (0, 1, ... if left out); a row keeps its noise and mask in whatever batch it comes. Parameters,
    `requires_grad`, training mode and other people's hooks stay. `InterventionNeverFired` if the block ends without an
    error and one of them never acted; one that acted and changed nothing is in `fired.idle` and in the log.

    Composes with `resumed` (in either order) and `reading`. The pass of a text without a cache counts as prefill, so
    generation with `use_cache=False` is all prefill. Source: METHODS sections 5 and 10.
    Trust: an effect means little before the controls (`controls`) and `validation` have been looked at.
    """
    with placed(model, [Placed(intervention=item) for item in interventions], rows=rows) as fired:
        yield fired


@contextmanager
def placed(
    model: PreTrainedModel, items: Sequence[Placed], *, rows: Int[Tensor, "batch"] | None = None
) -> Iterator[Fired]:
    """`intervene`, with each intervention on its own rows of the batch."""
    if not items:
        raise ConfigError("No interventions were given; a run without any is the model itself.")
    anatomy, fired = Anatomy(model), Fired()
    passes: dict[str, Pass] = {}
    sites: dict[tuple[nn.Module, Edge], list[_Act]] = {}
    for item in items:
        component = item.intervention.check(model)
        count = Count(site=item.intervention.site)
        fired.counts.append(count)
        current = passes.setdefault(component.stack, Pass(rows=rows))
        columns = anatomy.head_columns(component) if component.site == "head" else None
        sites.setdefault(place(anatomy, component), []).append(_Act(item, count, current, columns))
    with ExitStack() as stack:
        for name, current in passes.items():
            if any(act.asks for acts in sites.values() for act in acts if act.current is current):
                stack.callback(_announce(anatomy.tower(name), current))
        stack.enter_context(hooked(model, [(module, edge, _acting(acts)) for (module, edge), acts in sites.items()]))
        yield fired
    _report(fired, items)


def _announce(tower: nn.Module, current: Pass) -> Callable[[], None]:
    handle = tower.register_forward_pre_hook(lambda _, __, kwargs: current.begin(kwargs), with_kwargs=True)
    return handle.remove


def _acting(acts: "Sequence[_Act]") -> HookFunction:
    if len(acts) == 1:
        return acts[0]

    def edit(states: Tensor) -> Tensor | None:
        edited = states
        for act in acts:
            after = act(edited)
            edited = edited if after is None else after
        return None if edited is states else edited

    return edit


class _Act:
    """One intervention at its site: a hook function."""

    def __init__(self, item: Placed, count: Count, current: Pass, columns: slice | None) -> None:
        self.intervention, self.span, self.count, self.current = item.intervention, item.span, count, current
        self.nothing, self.phase = item.intervention.does_nothing, item.intervention.phase
        self.columns = columns
        self.whole = columns is None and item.span == slice(None)
        self.by_token = item.intervention.edit.by_token or item.intervention.tokens is not None
        self.asks = not self.nothing or self.phase != "both"
        self._doses: Tensor | None = None
        self._edits: dict[torch.device, Edit] = {torch.device("cpu"): item.intervention.edit}

    def __call__(self, states: Tensor) -> Tensor | None:
        if self.phase != "both" and not self.current.acts(self.phase, states.shape[1]):
            return None
        self.count.fires += 1
        return None if self.nothing else self._edited(states)

    def _edited(self, states: Tensor) -> Tensor:
        if self.whole:
            after = self._on_chosen(states, states)
            self.count.add(states, after)
            return after
        columns = slice(None) if self.columns is None else self.columns
        before = states[self.span, :, columns]
        after = self._on_chosen(before, states)
        self.count.add(before, after)
        edited = states.clone()
        edited[self.span, :, columns] = after
        return edited

    def _on_chosen(self, before: Tensor, states: Tensor) -> Tensor:
        edit = self._edit(states.device)
        if not self.by_token and self.current.surely_real(states.shape[1]):
            return edit.apply(before, self._dose(before), NOBODYS)
        tokens = self.current.tokens(states).of(self.span)
        after = edit.apply(before, self._dose(before), tokens)
        mask = self._chosen(tokens)
        return after if mask is None else torch.where(mask[..., None], after, before)

    def _edit(self, device: torch.device) -> Edit:
        """The edit with its tensors where the states are: a copy in every pass would stall a GPU."""
        if device not in self._edits:
            self._edits[device] = on_device(self.intervention.edit, device)
        return self._edits[device]

    def _chosen(self, tokens: Tokens) -> Tensor | None:
        masks = [] if self.current.all_real else [tokens.real]
        wanted, covered = self.intervention.tokens, self.intervention.edit.covers(tokens)
        masks += [] if wanted is None else [tokens.chosen(wanted)]
        masks += [] if covered is None else [covered]
        return None if not masks else torch.stack(masks).all(0)

    def _dose(self, states: Tensor) -> Float[Tensor, "_ 1 1"]:
        doses = self.intervention.doses
        if len(doses) not in (1, len(states)):
            raise ConfigError(f"{len(doses)} doses were given for {len(states)} rows; give one dose, or one a row.")
        if self._doses is None or self._doses.dtype != states.dtype or self._doses.device != states.device:
            self._doses = torch.tensor(doses, dtype=states.dtype, device=states.device)[:, None, None]
        return self._doses


@contextmanager
def idle_expected() -> Iterator[None]:
    """Do not log interventions that change nothing: for sweeps in which many batches have no token of the cluster."""
    before = _LOG.level
    _LOG.setLevel(logging.ERROR)
    try:
        yield
    finally:
        _LOG.setLevel(before)


def _report(fired: Fired, items: Sequence[Placed]) -> None:
    silent = [count.site for count in fired.counts if count.fires == 0]
    if silent:
        raise InterventionNeverFired(
            f"The intervention at {', '.join(silent)} never acted: no forward pass of its phase went through there."
        )
    for item, count in zip(items, fired.counts, strict=True):
        if not item.intervention.does_nothing and count.changed == 0:
            _LOG.warning("The intervention at %s acted in %d passes and changed nothing.", count.site, count.fires)
