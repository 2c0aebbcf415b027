"""One table for every mechanism: the score of each head with its interval, its p against the largest score by chance."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError
from imprint.mechanisms.induction import exceedance
from imprint.models import Anatomy, ablate_heads, head_means
from imprint.stats import Effect, bootstrap_mean
from imprint.types import Advance, no_progress

NULL_DRAWS = 199
HeadRows = Float[Tensor, "layer head row"]


@runtime_checkable
class HeadMechanism(Protocol):
    """Something that heads may do, as a score of every head on every row (sequence, pair) of a probe; higher = more of it."""

    @property
    def name(self) -> str:
        """What a head that does it is called: "duplicate token"."""

    @property
    def control(self) -> str:
        """What a head that does not do it would score, in words."""

    def rows(self, model: PreTrainedModel) -> HeadRows:
        """The score of every head on every row."""

    def null(self, model: PreTrainedModel, *, draws: int, seed: int) -> Float[Tensor, "draw"]:
        """The largest mean score of any head when the targets are wrong, `draws` times (none if it has no such null)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Behaviour:
    """What the model does thanks to the mechanism, to see whether a head is needed for it."""

    name: str
    tokens: Int[Tensor, "row seq"]
    """Sequences over which a head's mean output is taken."""
    measure: Callable[[PreTrainedModel], Float[np.ndarray, "item"]]
    """How well the model does, item by item; higher = better (log-probabilities in nats, for instance)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredHead:
    """What was measured on one head."""

    head: str
    score: Effect
    p: float
    """Against the largest score of any head under the null; the larger one where there are two nulls."""
    ablation: Effect | None
    """Drop of the behaviour when the head is mean-ablated, positive = it helps; None: no behaviour was given."""
    role: str
    """The mechanism's name, or ""."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredHeads:
    """All heads of a model under one mechanism."""

    mechanism: str
    heads: tuple[ScoredHead, ...]
    null_95: float
    """The largest score of any head that chance gives, at the level asked."""
    draws: int

    def best(self) -> ScoredHead | None:
        """The head with the role and the highest score, or None when no head has it."""
        found = [head for head in self.heads if head.role]
        return max(found, key=lambda head: head.score.estimate, default=None)

    def as_dict(self) -> dict[str, object]:
        """Plain numbers and words, for JSON."""
        return asdict(self)


def score_heads(
    model: PreTrainedModel,
    mechanism: HeadMechanism,
    *,
    seed: int = 0,
    level: float = 0.05,
    draws: int = NULL_DRAWS,
    initial_maxima: Float[Tensor, "other_draw"] | None = None,
    behaviour: Behaviour | None = None,
    advance: Advance = no_progress,
) -> ScoredHeads:
    """Score every head, and name those above the null of the maximum over heads.

    A head must beat the mechanism's own null (wrong targets) and, if given, the largest scores of freshly initialised models
    (`initial_maxima`; at least 19 of them to reach p = .05): its p is the larger of the two. With a `behaviour`, a head must
    also be needed for it: the lower end of the drop under mean ablation above 0. `advance` counts ablations.

    Raises:
        ConfigError: the mechanism has no null of its own and `initial_maxima` is missing.

    Trust: an attention or OV score says what a head could do, not that the model uses it; give a behaviour, and ablate sets
    where heads may share a job.
    """
    own = mechanism.null(model, draws=draws, seed=seed).detach().double().cpu()
    nulls = [each for each in (own, initial_maxima) if each is not None and len(each) > 0]
    if not nulls:
        raise ConfigError(f"The score '{mechanism.name}' has no null of its own; pass initial_maxima of fresh models.")
    rows = mechanism.rows(model).detach().double().cpu()
    names = [str(head) for head in Anatomy(model).heads()]
    needed = {} if behaviour is None else _ablations(model, behaviour, names, seed, advance)
    heads = []
    for name, values in zip(names, rows.flatten(0, 1), strict=True):
        p = max(exceedance(float(values.mean()), null) for null in nulls)
        ablation = needed.get(name)
        called = p <= level and (ablation is None or ablation.low > 0)
        score = _effect(values.numpy(), seed, mechanism.control, f"{mechanism.name} {name}")
        heads.append(ScoredHead(head=name, score=score, p=p, ablation=ablation, role=mechanism.name if called else ""))
    return ScoredHeads(
        mechanism=mechanism.name,
        heads=tuple(heads),
        null_95=max(float(null.double().quantile(1 - level)) for null in nulls),
        draws=sum(len(null) for null in nulls),
    )


def initial_maxima(mechanism: HeadMechanism, models: Iterable[PreTrainedModel]) -> Float[Tensor, "draw"]:
    """The largest mean score of any head in each of some freshly initialised models, for the null of `score_heads`."""
    return torch.tensor([float(mechanism.rows(model).mean(-1).max()) for model in models], dtype=torch.float64)


def _ablations(
    model: PreTrainedModel, behaviour: Behaviour, heads: Sequence[str], seed: int, advance: Advance
) -> dict[str, Effect]:
    means = head_means(model, list(heads), [{"input_ids": behaviour.tokens}])
    intact = behaviour.measure(model)
    effects = {}
    for head in heads:
        with ablate_heads(model, [head], mode="mean", mean=means):
            drop = intact - behaviour.measure(model)
        effects[head] = _effect(
            drop, seed, "the same model with the head intact", f"ablation {head} on {behaviour.name}"
        )
        advance(1)
    return effects


def _effect(values: Float[np.ndarray, "item"], seed: int, control: str, metric: str) -> Effect:
    return bootstrap_mean(values, seed=seed, unit="item", control_name=control, metric=metric, draws=1000)
