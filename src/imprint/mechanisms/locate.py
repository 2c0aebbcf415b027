"""Find induction and previous-token heads: attention score, null, offset, copying behaviour and the effect of ablation."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from imprint.capabilities import RepeatProbe, copy_accuracy, copy_hits, copy_log_probs
from imprint.mechanisms.induction import (
    exceedance,
    offset_profile,
    prefix_matching,
    previous_token,
    uniform_baseline,
    wrong_target_null,
)
from imprint.models import Component, ablate_heads, attention_patterns, head_means
from imprint.stats import Effect, bootstrap_mean

OFFSETS = (-2, -1, 0, 1, 2, 3)
NULL_DRAWS = 199
PREVIOUS_TOKEN_LEAST = 0.2
"""A previous-token head pays at least this much attention to the position before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadFindings:
    """What was measured on one head; scores are attention mass in [0, 1], effects are in nats or accuracy."""

    head: str
    prefix_matching: Effect
    """Mean over sequences of all periods, with its interval; the control is uniform attention."""
    prefix_matching_worst: float
    """The lower of the periods: low when the head attends a fixed distance back."""
    previous_token: float
    best_offset: int
    """Where around the previous occurrence it looks most; +1 is an induction head, +2 reads what layer 0 stored."""
    p_induction: float
    """Against the largest score of any head at random earlier targets."""
    p_previous: float
    ablation: Effect
    """Drop of the copy's log-probability per token when the head is mean-ablated, in nats; positive = it helps copying."""
    ablation_accuracy: float
    """Drop of copy accuracy when the head is mean-ablated."""
    role: str
    """"induction", "previous token" or ""."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """All heads of a model, the copying behaviour they are judged by, and the nulls."""

    heads: tuple[HeadFindings, ...]
    copy_accuracy: Effect
    copy_chance: float
    uniform_prefix: float
    null_prefix_95: float
    null_previous_95: float

    def best(self, role: str = "induction") -> HeadFindings | None:
        """The head with the role that has the highest score, or None when no head has it."""
        found = [head for head in self.heads if head.role == role]
        return max(found, key=lambda head: _score(head, role), default=None)

    def as_dict(self) -> dict[str, object]:
        """Plain numbers and words, for JSON."""
        return asdict(self)


def _score(head: HeadFindings, role: str) -> float:
    return head.prefix_matching.estimate if role == "induction" else head.previous_token


def locate(
    model: PreTrainedModel,
    probes: Sequence[RepeatProbe],
    *,
    seed: int = 0,
    level: float = 0.05,
    initial_maxima: Float[Tensor, "draw"] | None = None,
) -> Location:
    """Score every head on probes of several periods and name the induction and previous-token heads.

    A head is "induction" when its score beats the null of the maximum over heads (random earlier targets, and the largest
    score of freshly initialised models if `initial_maxima` is given) at *every* period, it looks at offset +1 or +2, the
    model copies above chance + 3 standard errors, and mean-ablating the head lowers the copy's log-probability (lower end
    of the interval above 0). "Previous token" needs the attention score alone, above .2: its job can be spread over heads
    (P11), so ablate the set before calling one head necessary.
    """
    panels = [attention_patterns(model, probe.tokens) for probe in probes]
    null = wrong_target_null(panels[0], probes[0].query, draws=NULL_DRAWS, seed=seed)
    if initial_maxima is not None:
        null = torch.cat([null, initial_maxima])
    null_previous = wrong_target_null(panels[0], torch.arange(2, panels[0].shape[-1]), draws=NULL_DRAWS, seed=seed + 1)
    accuracy = copy_accuracy(model, probes, seed=seed)
    copies = _copies_above_chance(accuracy, probes)
    attended = _Attended(panels, probes)
    effects = ablation_effects(model, probes, seed=seed)
    heads = [
        _judge_head(name, attended, effects[name], copies=copies, null=null, null_previous=null_previous, level=level)
        for name in effects
    ]
    return Location(
        heads=tuple(heads),
        copy_accuracy=accuracy,
        copy_chance=probes[0].chance,
        uniform_prefix=uniform_baseline(probes[0].query),
        null_prefix_95=float(null.quantile(1 - level)),
        null_previous_95=float(null_previous.quantile(1 - level)),
    )


class _Attended:
    """The attention scores of all heads, by sequence and by period."""

    def __init__(self, panels: Sequence[Tensor], probes: Sequence[RepeatProbe]) -> None:
        pairs = list(zip(panels, probes, strict=True))
        self.rows = torch.cat([panel[..., probe.query, probe.match].mean(-1) for panel, probe in pairs], dim=1)
        self.periods = torch.stack([prefix_matching(panel, probe) for panel, probe in pairs])
        self.previous = torch.stack([previous_token(panel) for panel in panels]).mean(0)
        self.offsets = torch.stack([offset_profile(panel, probe, OFFSETS) for panel, probe in pairs]).mean(0)
        self.uniform = uniform_baseline(probes[0].query)

    def prefix_effect(self, layer: int, head: int) -> Effect:
        """Prefix matching with its interval over sequences."""
        return bootstrap_mean(
            self.rows[layer, :, head].double().numpy(),
            seed=0,
            unit="item",
            control_name=f"uniform attention {self.uniform:.4f}",
            metric="induction.prefix_matching",
            draws=1000,
        )


def _judge_head(
    name: str,
    attended: _Attended,
    ablation: tuple[Effect, float],
    *,
    copies: bool,
    null: Float[Tensor, "draw"],
    null_previous: Float[Tensor, "other_draw"],
    level: float,
) -> HeadFindings:
    component = Component.parse(name)
    assert component.layer is not None
    assert component.head is not None
    place = component.layer, component.head
    worst, previous = float(attended.periods[:, *place].min()), float(attended.previous[place])
    offset = OFFSETS[int(attended.offsets[:, *place].argmax())]
    p_induction, p_previous = exceedance(worst, null), exceedance(previous, null_previous)
    induction = p_induction <= level and offset in (1, 2) and copies and ablation[0].low > 0
    return HeadFindings(
        head=name,
        prefix_matching=attended.prefix_effect(*place),
        prefix_matching_worst=worst,
        previous_token=previous,
        best_offset=offset,
        p_induction=p_induction,
        p_previous=p_previous,
        ablation=ablation[0],
        ablation_accuracy=ablation[1],
        role=_role(induction, p_previous <= level and previous > PREVIOUS_TOKEN_LEAST),
    )


def _role(induction: bool, previous: bool) -> str:
    return "induction" if induction else "previous token" if previous else ""


def _copies_above_chance(accuracy: Effect, probes: Sequence[RepeatProbe]) -> bool:
    """The pre-registered criterion: accuracy above chance by more than three standard errors over items."""
    items = sum(probe.tokens.shape[0] * (probe.period - 1) for probe in probes)
    chance = probes[0].chance
    error: float = (chance * (1 - chance) / items) ** 0.5
    return accuracy.estimate > chance + 3 * error


def ablation_effects(
    model: PreTrainedModel, probes: Sequence[RepeatProbe], *, heads: Sequence[str] | None = None, seed: int = 0
) -> dict[str, tuple[Effect, float]]:
    """For every head: the drop of the copy's log-probability (nats a token) and of accuracy when it is mean-ablated.

    The mean is taken over the probes' own tokens, so the edit stays on the distribution in first moments. Positive = the
    head helps copying. Trust: heads that share a job each look dispensable; ablate the set (`joint_ablation`).
    """
    patterns = attention_patterns(model, probes[0].tokens[:1])
    every = [f"L{layer}.H{head}" for layer in range(patterns.shape[0]) for head in range(patterns.shape[2])]
    return {head: joint_ablation(model, probes, [head], seed=seed) for head in (heads or every)}


def joint_ablation(
    model: PreTrainedModel, probes: Sequence[RepeatProbe], heads: Sequence[str | Component], *, seed: int = 0
) -> tuple[Effect, float]:
    """The drop of the copy's log-probability (nats a token) and of its accuracy when all `heads` are mean-ablated at once."""
    means = head_means(model, list(heads), [{"input_ids": probe.tokens} for probe in probes])
    drops, hits = [], []
    for probe in probes:
        intact, intact_hits = copy_log_probs(model, probe), copy_hits(model, probe)
        with ablate_heads(model, list(heads), mode="mean", mean=means):
            drops.append((intact - copy_log_probs(model, probe)).mean(1).double().numpy())
            hits.append(float((intact_hits - copy_hits(model, probe)).mean()))
    name = "+".join(str(head) for head in heads)
    control = "the same model with the head intact"
    effect = bootstrap_mean(
        np.concatenate(drops), seed=seed, unit="item", control_name=control, metric=f"ablation {name}"
    )
    return effect, float(np.mean(hits))
