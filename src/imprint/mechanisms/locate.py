"""Find induction and previous-token heads: attention score, null, offset, copying behaviour and the effect of ablation."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from imprint.capabilities import RepeatProbe, copy_accuracy, copying
from imprint.mechanisms.induction import (
    exceedance,
    offset_profile,
    previous_token,
    uniform_baseline,
    wrong_target_null,
)
from imprint.models import Anatomy, Component, ablate_heads, attention_patterns, head_means
from imprint.stats import Effect, bootstrap_mean
from imprint.types import Advance, no_progress

OFFSETS = (-2, -1, 0, 1, 2, 3)
INDUCTION_OFFSETS = (1, 2)
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
    """The lower of the periods, at `best_offset` if that is +2: low when the head attends a fixed distance back."""
    previous_token: float
    best_offset: int
    """Where around the previous occurrence it looks most; +1 is an induction head, +2 reads what layer 0 stored."""
    p_induction: float
    """Of the worst period, against the largest score of any head at random earlier targets, doubled at offset +2; or, if
    larger, against the largest scores of freshly initialised models."""
    p_previous: float
    ablation: Effect | None
    """Drop of the copy's log-probability a token when the head is mean-ablated, in nats; positive = it helps copying.

    None: not ablated (see `locate`)."""
    ablation_accuracy: float | None
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
    ablate: int | None = None,
    advance: Advance = no_progress,
) -> Location:
    """Score every head on probes of several periods and name the induction and previous-token heads.

    A head is "induction" when it looks most at offset +1 or +2 (P10), its score there beats the null of the maximum over
    heads at *every* period, the model copies above chance + 3 standard errors, and mean-ablating the head lowers the copy's
    log-probability (lower end of the interval above 0). There are two nulls, and the larger p counts: random earlier
    targets (the second offset is a second try, so its p is doubled), and `initial_maxima`, the largest score of each of
    some freshly initialised models over heads and both offsets (`prefix_maximum`; at least 19 of them to reach p = .05).
    "Previous token" needs the attention score alone, above .2: its job can be spread over heads
    (P11), so ablate the set before calling one head necessary.

    `ablate` limits the ablations (one forward pass a probe each) to the heads with the highest prefix matching; the others
    can not be called induction heads. `advance` counts ablations.
    """
    panels = probe_patterns(model, probes)
    null = wrong_target_null(panels[0], probes[0].query, draws=NULL_DRAWS, seed=seed)
    initial = torch.zeros(0) if initial_maxima is None else initial_maxima.to(null)
    null_previous = wrong_target_null(panels[0], torch.arange(2, panels[0].shape[-1]), draws=NULL_DRAWS, seed=seed + 1)
    accuracy = copy_accuracy(model, probes, seed=seed)
    copies = _copies_above_chance(accuracy, probes)
    attended = _Attended(panels, probes)
    names = [str(head) for head in Anatomy(model).heads()]
    chosen = names if ablate is None else sorted(names, key=attended.strength, reverse=True)[:ablate]
    effects = ablation_effects(model, probes, heads=chosen, seed=seed, advance=advance)
    heads = [
        _judge_head(
            name,
            attended,
            effects.get(name),
            copies=copies,
            null=null,
            initial=initial,
            null_previous=null_previous,
            level=level,
        )
        for name in names
    ]
    return Location(
        heads=tuple(heads),
        copy_accuracy=accuracy,
        copy_chance=probes[0].chance,
        uniform_prefix=uniform_baseline(probes[0].query),
        null_prefix_95=max(float(each.quantile(1 - level)) for each in (null, initial) if len(each) > 0),
        null_previous_95=float(null_previous.quantile(1 - level)),
    )


def probe_patterns(
    model: PreTrainedModel, probes: Sequence[RepeatProbe]
) -> list[Float[Tensor, "layer _row head _seq _seq"]]:
    """The attention of all heads on each probe, on the CPU and at least in single precision."""
    found = [attention_patterns(model, probe.tokens) for probe in probes]
    return [patterns.to("cpu", torch.promote_types(patterns.dtype, torch.float32)) for patterns in found]


def prefix_maximum(model: PreTrainedModel, probe: RepeatProbe) -> float:
    """The largest prefix matching of any head at offset +1 or +2, for the null of freshly initialised models."""
    return float(offset_profile(probe_patterns(model, [probe])[0], probe, INDUCTION_OFFSETS).max())


class _Attended:
    """The attention scores of all heads, by sequence and by period."""

    def __init__(self, panels: Sequence[Tensor], probes: Sequence[RepeatProbe]) -> None:
        pairs = list(zip(panels, probes, strict=True))
        self.rows = torch.cat([panel[..., probe.query, probe.match].mean(-1) for panel, probe in pairs], dim=1)
        self.previous = torch.stack([previous_token(panel) for panel in panels]).mean(0)
        self.offsets = torch.stack([offset_profile(panel, probe, OFFSETS) for panel, probe in pairs])
        self.uniform = uniform_baseline(probes[0].query)

    def strength(self, head: str) -> float:
        """Prefix matching of a head, over all periods."""
        layer, number = _place(head)
        return float(self.rows[layer, :, number].mean())

    def best_offset(self, layer: int, head: int) -> int:
        """Where around the previous occurrence the head looks most, over all periods."""
        return OFFSETS[int(self.offsets[:, :, layer, head].mean(0).argmax())]

    def worst(self, layer: int, head: int, offset: int) -> float:
        """The lowest score of all periods at an offset."""
        return float(self.offsets[:, OFFSETS.index(offset), layer, head].min())

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
    ablation: tuple[Effect, float] | None,
    *,
    copies: bool,
    null: Float[Tensor, "draw"],
    initial: Float[Tensor, "model"],
    null_previous: Float[Tensor, "other_draw"],
    level: float,
) -> HeadFindings:
    place = _place(name)
    offset, previous = attended.best_offset(*place), float(attended.previous[place])
    judged = 2 if offset == 2 else 1  # the first offset is the first try, the second is the second
    worst = attended.worst(*place, offset=judged)
    p_induction, p_previous = judged * exceedance(worst, null), exceedance(previous, null_previous)
    if len(initial) > 0:
        p_induction = max(p_induction, exceedance(worst, initial))
    needed = ablation is not None and ablation[0].low > 0
    induction = p_induction <= level and offset in INDUCTION_OFFSETS and copies and needed
    return HeadFindings(
        head=name,
        prefix_matching=attended.prefix_effect(*place),
        prefix_matching_worst=worst,
        previous_token=previous,
        best_offset=offset,
        p_induction=min(1.0, p_induction),
        p_previous=p_previous,
        ablation=None if ablation is None else ablation[0],
        ablation_accuracy=None if ablation is None else ablation[1],
        role=_role(induction, p_previous <= level and previous > PREVIOUS_TOKEN_LEAST),
    )


def _place(head: str) -> tuple[int, int]:
    component = Component.parse(head)
    assert component.layer is not None
    assert component.head is not None
    return component.layer, component.head


def _role(induction: bool, previous: bool) -> str:
    return "induction" if induction else "previous token" if previous else ""


def _copies_above_chance(accuracy: Effect, probes: Sequence[RepeatProbe]) -> bool:
    """The pre-registered criterion: accuracy above chance by more than three standard errors over items."""
    items = sum(probe.tokens.shape[0] * (probe.period - 1) for probe in probes)
    chance = probes[0].chance
    error: float = (chance * (1 - chance) / items) ** 0.5
    return accuracy.estimate > chance + 3 * error


def ablation_effects(
    model: PreTrainedModel,
    probes: Sequence[RepeatProbe],
    *,
    heads: Sequence[str] | None = None,
    seed: int = 0,
    advance: Advance = no_progress,
) -> dict[str, tuple[Effect, float]]:
    """For every head: the drop of the copy's log-probability (nats a token) and of accuracy when it is mean-ablated.

    The mean is taken over the probes' own tokens, so the edit stays on the distribution in first moments. Positive = the
    head helps copying. Trust: heads that share a job each look dispensable; ablate the set (`joint_ablation`).
    """
    chosen = [str(head) for head in Anatomy(model).heads()] if heads is None else list(heads)
    intact = _Intact(model, probes, chosen)
    effects = {}
    for head in chosen:
        effects[head] = intact.without([head], seed=seed)
        advance(1)
    return effects


def joint_ablation(
    model: PreTrainedModel, probes: Sequence[RepeatProbe], heads: Sequence[str | Component], *, seed: int = 0
) -> tuple[Effect, float]:
    """The drop of the copy's log-probability (nats a token) and of its accuracy when all `heads` are mean-ablated at once."""
    names = [str(head) for head in heads]
    return _Intact(model, probes, names).without(names, seed=seed)


class _Intact:
    """Copying by the whole model, and each head's mean output, measured once for any number of ablations."""

    def __init__(self, model: PreTrainedModel, probes: Sequence[RepeatProbe], heads: Sequence[str]) -> None:
        self.model, self.probes = model, probes
        self.means = head_means(model, list(heads), [{"input_ids": probe.tokens} for probe in probes])
        self.copying = [copying(model, probe) for probe in probes]

    def without(self, heads: Sequence[str], *, seed: int) -> tuple[Effect, float]:
        """The drop of log-probability and of accuracy without `heads`."""
        drops, hits = [], []
        with ablate_heads(self.model, list(heads), mode="mean", mean=self.means):
            for probe, (log_probs, right) in zip(self.probes, self.copying, strict=True):
                ablated, still_right = copying(self.model, probe)
                drops.append((log_probs - ablated).mean(1).double().numpy())
                hits.append(float((right - still_right).mean()))
        effect = bootstrap_mean(
            np.concatenate(drops),
            seed=seed,
            unit="item",
            control_name="the same model with the head intact",
            metric=f"ablation {'+'.join(heads)}",
        )
        return effect, float(np.mean(hits))
