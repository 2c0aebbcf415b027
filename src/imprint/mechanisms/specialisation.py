"""Head specialisation alpha: attention on the causal positions of a task, or effect by patching, against other heads."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.capabilities import RepeatProbe
from imprint.errors import ConfigError
from imprint.mechanisms.mediation import Outcomes
from imprint.models import Anatomy, attention_patterns
from imprint.stats import Effect, bootstrap_mean

Control = Literal["entropy-matched", "random"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CausalPositions:
    """A task's prompts, which earlier positions each query must read to solve it, and a control task of the same shape."""

    tokens: Int[Tensor, "row seq"]
    control: Int[Tensor, "row seq"]
    """Prompts in which the same positions hold nothing that helps."""
    mask: Bool[Tensor, "row query seq"]
    """[row, i, j]: the i-th query of the row must read position j."""
    queries: Int[Tensor, "query"]


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadSpecialisation:
    """How much one head is given to a task."""

    head: str
    alpha: Effect
    """Attention mass on the causal positions, in [0, 1], over prompts."""
    selective: Effect
    """The same minus the mass there in the control task."""
    entropy: float
    """Mean entropy of the head's attention at the queries, in nats."""


def copy_positions(probe: RepeatProbe) -> CausalPositions:
    """Copying: each token of the second copy must read the one after its previous occurrence; control: unrelated halves."""
    mask = torch.zeros(len(probe.query), probe.tokens.shape[1], dtype=torch.bool)
    mask[torch.arange(len(probe.query)), probe.match] = True
    rows = len(probe.tokens)
    return CausalPositions(
        tokens=probe.tokens, control=probe.unrelated, mask=mask.expand(rows, -1, -1), queries=probe.query
    )


def specialisation(
    model: PreTrainedModel, positions: CausalPositions, *, seed: int = 0, draws: int = 1000
) -> dict[str, HeadSpecialisation]:
    """Alpha of every head by attention: mass on the causal positions, the same minus the control task, and entropy.

    Trust: attention is not effect: a head can look and write nothing. Read it beside `indirect_effects`. Chance is not 0
    but the mass of uniform attention; the control task takes it out.
    """
    task, control = (
        attention_patterns(model, tokens.to(model.device)).cpu() for tokens in (positions.tokens, positions.control)
    )
    mass, baseline = (causal_mass(patterns, positions) for patterns in (task, control))
    spread = attention_entropy(task, positions.queries)
    found = {}
    for component in Anatomy(model).heads():
        layer, head, name = component.layer, component.head, str(component)
        own, other = (part[layer, :, head].double().cpu().numpy() for part in (mass, baseline))
        found[name] = HeadSpecialisation(
            head=name,
            alpha=_over_rows(own, seed, draws, "no attention to the causal positions", f"alpha {name}"),
            selective=_over_rows(own - other, seed, draws, "the control task", f"alpha {name} less control"),
            entropy=float(spread[layer, head]),
        )
    return found


def causal_mass(
    patterns: Float[Tensor, "layer row head seq seq"], positions: CausalPositions
) -> Float[Tensor, "layer row head"]:
    """Attention mass on the causal positions, averaged over the queries of each row."""
    read = patterns[..., positions.queries, :]
    return (read * positions.mask[None, :, None]).sum(-1).mean(-1)


def attention_entropy(
    patterns: Float[Tensor, "layer row head seq seq"], queries: Int[Tensor, "query"]
) -> Float[Tensor, "layer head"]:
    """Mean entropy of each head's attention at the queries, in nats; 0 = it reads one position."""
    entropies: Tensor = torch.special.entr(patterns[..., queries, :]).sum(-1)
    return entropies.mean(-1).mean(1)


def indirect_effects(outcomes: Mapping[str, Outcomes]) -> dict[str, Float[np.ndarray, "item"]]:
    """Alpha of every head by causal tracing: the indirect effect of each item, from `mediate` over `head_mediators`."""
    return {name: each.denoised - each.corrupted for name, each in outcomes.items()}


def control_heads(
    entropies: Mapping[str, float],
    head: str,
    *,
    count: int,
    control: Control = "entropy-matched",
    excluded: Collection[str] = (),
    seed: int = 0,
) -> tuple[str, ...]:
    """`count` other heads to compare one with: those nearest in attention entropy, or any at random.

    Sharp heads score high on any sharp target, so a claim about a head needs heads that are as sharp. `excluded` are
    heads that share its job.

    Raises:
        ConfigError: fewer than `count` other heads are left.
    """
    others = [name for name in entropies if name != head and name not in excluded]
    if len(others) < count:
        raise ConfigError(f"{count} control heads for {head} were asked but only {len(others)} are left.")
    if control == "random":
        return tuple(str(name) for name in np.random.default_rng(seed).choice(others, count, replace=False))
    return tuple(sorted(others, key=lambda name: abs(entropies[name] - entropies[head]))[:count])


def above_controls(
    values: Mapping[str, Float[np.ndarray, "item"]],
    head: str,
    controls: Collection[str],
    *,
    seed: int = 0,
    name: str = "entropy-matched heads",
    draws: int = 1000,
) -> Effect:
    """A head's value (attention mass or indirect effect) minus the mean of its controls, paired by item."""
    control = np.mean([values[other] for other in controls], axis=0)
    return bootstrap_mean(
        values[head] - control,
        seed=seed,
        unit="item",
        control_name=f"{name}: {', '.join(controls)}",
        metric=f"alpha {head} above controls",
        draws=draws,
    )


def _over_rows(values: np.ndarray, seed: int, draws: int, control: str, metric: str) -> Effect:
    return bootstrap_mean(values, seed=seed, unit="item", control_name=control, metric=metric, draws=draws)
