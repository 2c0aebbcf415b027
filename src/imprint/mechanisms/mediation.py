"""Causal mediation: how much of a prompt's total effect passes through a head, a neuron or a site (Vig et al. 2020)."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from imprint.errors import ConfigError, InterventionNeverFired
from imprint.mechanisms.paired_prompts import Arm, Metric, PairedPrompts, forward_arguments, logit_difference, outcome
from imprint.mechanisms.places import Mediator, Place, place_of, reading, replacing
from imprint.models import Anatomy, depth_of, evaluating, hooked, prefixes, resumed
from imprint.stats import Effect, bootstrap_mean
from imprint.types import Advance, no_progress

Run = Callable[[Arm], Float[Tensor, "item"]]
Start = Callable[[str, Arm], AbstractContextManager[None]]


def from_the_beginning(mediator: str, arm: Arm) -> AbstractContextManager[None]:
    """Skip nothing: the default `Start`."""
    return nullcontext()


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcomes:
    """The four potential outcomes of every item; Y(x, M(x')) = prompt x with the mediator as in prompt x'.

    1 is the clean prompt (the treatment), 0 the corrupted one.
    """

    clean: Float[np.ndarray, "item"]
    """Y(1) = Y(1, M(1))."""
    corrupted: Float[np.ndarray, "item"]
    """Y(0) = Y(0, M(0))."""
    noised: Float[np.ndarray, "item"]
    """Y(1, M(0)): the clean run with the mediator's corrupted value."""
    denoised: Float[np.ndarray, "item"]
    """Y(0, M(1)): the corrupted run with the mediator's clean value."""

    def averaged(self, groups: Int[np.ndarray, "item"]) -> "Outcomes":
        """The mean outcomes of each group, in order of group number: the units to test where items share a sequence."""
        place = np.unique(groups, return_inverse=True)[1].reshape(-1)
        count = np.bincount(place)

        def mean(values: np.ndarray) -> np.ndarray:
            return np.asarray(np.bincount(place, values) / count)

        return Outcomes(
            clean=mean(self.clean),
            corrupted=mean(self.corrupted),
            noised=mean(self.noised),
            denoised=mean(self.denoised),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Mediation:
    """Mean effects over items, in units of the outcome (nats of log odds by default); positive = towards the answer."""

    mediator: str
    total: Effect
    """TE = E[Y(1) - Y(0)]."""
    direct: Effect
    """NDE = E[Y(1, M(0)) - Y(0)]: what the prompt does without going through the mediator."""
    indirect: Effect
    """NIE = E[Y(0, M(1)) - Y(0)]: what the mediator's clean value restores (denoising: sufficiency)."""
    interaction: Effect
    """TE - NDE - NIE: what needs the prompt and the mediator together; 0 in a linear model."""
    necessity: Effect
    """E[Y(1) - Y(1, M(0))] = TE - NDE = NIE + interaction: what is lost without it (noising)."""

    @property
    def share_restored(self) -> float:
        """NIE / TE, the sufficiency as a share (0 if there is no total effect)."""
        return self.indirect.estimate / self.total.estimate if self.total.estimate else 0.0

    @property
    def share_lost(self) -> float:
        """(TE - NDE) / TE, the necessity as a share (0 if there is no total effect)."""
        return self.necessity.estimate / self.total.estimate if self.total.estimate else 0.0


@torch.no_grad()
def mediate(
    model: PreTrainedModel,
    pairs: PairedPrompts,
    mediators: Sequence[Mediator | str],
    *,
    metric: Metric = logit_difference,
    batch: int = 64,
    advance: Advance = no_progress,
) -> dict[str, Outcomes]:
    """The four potential outcomes of every item, for every mediator, patched at all positions.

    Two forward passes for each mediator, which start at its own layer: what lies below is computed once.

    `mediators` are addresses or `Mediator`s (`head_mediators`, `neuron_mediators`). `advance` counts mediators x items.

    Raises:
        ConfigError: no mediator, or one that is not in the model.
        InterventionNeverFired: the forward pass does not go through a mediator.

    Trust: results depend on the corruption (replace tokens by others of the same kind, not by noise) and on the outcome
    (Zhang and Nanda 2024). Heads that back each other up look unnecessary one by one.
    """
    anatomy = Anatomy(model)
    named = [one if isinstance(one, Mediator) else Mediator(site=one) for one in mediators]
    if not named:
        raise ConfigError("No mediators were given; name at least one, for example L0.H0.")
    places = {str(one): place_of(anatomy, one) for one in named}
    depths = {str(one): depth_of(model, one.site) for one in named}
    found: dict[str, list[Outcomes]] = {name: [] for name in places}
    with evaluating(model):
        for part in pairs.batches(batch):

            def run(arm: Arm, part: PairedPrompts = part) -> Tensor:
                return outcome(model, part, arm, metric)

            start = _starts(model, part, depths)
            for name, outcomes in potential_outcomes(model, places, run, start=start, advance=advance).items():
                found[name].append(outcomes)
    return {name: _joined(parts) for name, parts in found.items()}


@torch.no_grad()
def potential_outcomes(
    model: nn.Module,
    places: Mapping[str, Place],
    run: Run,
    *,
    start: Start = from_the_beginning,
    advance: Advance = no_progress,
) -> dict[str, Outcomes]:
    """The four potential outcomes for mediators of any module; `run(arm)` computes Y of each item with `model`.

    Patched runs happen inside `start(mediator, arm)`, which may skip what lies below the mediator.

    Raises:
        InterventionNeverFired: a run does not go through a mediator.
    """
    values: dict[str, dict[str, Tensor]] = {"clean": {}, "corrupted": {}}
    plain: dict[Arm, np.ndarray] = {}
    for arm in ("clean", "corrupted"):
        with hooked(model, reading(places, values[arm])):
            plain[arm] = _numbers(run(arm))
    silent = [name for name in places if name not in values["clean"] or name not in values["corrupted"]]
    if silent:
        raise InterventionNeverFired(f"No forward pass went through {', '.join(silent)}, so nothing can be mediated.")
    found = {}
    for name, place in places.items():
        with hooked(model, [replacing(place, values["corrupted"][name])]), start(name, "clean"):
            noised = _numbers(run("clean"))
        with hooked(model, [replacing(place, values["clean"][name])]), start(name, "corrupted"):
            denoised = _numbers(run("corrupted"))
        found[name] = Outcomes(clean=plain["clean"], corrupted=plain["corrupted"], noised=noised, denoised=denoised)
        advance(len(noised))
    return found


def mediation(name: str, outcomes: Outcomes, *, seed: int = 0, draws: int = 1000) -> Mediation:
    """Total, direct and indirect effect, interaction and necessity, each with its interval over items.

    Trust: items must be independent; where several share a sequence (`PairedPrompts.group`) pass `outcomes.averaged(...)`.
    """

    def effect(values: np.ndarray, kind: str, control: str) -> Effect:
        return bootstrap_mean(
            values, seed=seed, unit="item", control_name=control, metric=f"{kind} {name}", draws=draws
        )

    o = outcomes
    corrupted = "the corrupted prompt"
    return Mediation(
        mediator=name,
        total=effect(o.clean - o.corrupted, "total effect", corrupted),
        direct=effect(o.noised - o.corrupted, "natural direct effect", corrupted),
        indirect=effect(o.denoised - o.corrupted, "natural indirect effect", corrupted),
        interaction=effect(o.clean - o.noised - o.denoised + o.corrupted, "interaction", "additive effects"),
        necessity=effect(o.clean - o.noised, "necessity", "the clean prompt"),
    )


def vig_ratios(outcomes: Outcomes, *, seed: int = 0, draws: int = 1000) -> dict[str, Effect]:
    """TE, NDE and NIE in the ratio form of Vig et al.: E[y_set / y_null - 1], y = odds of the answer against the foil.

    The outcomes must be log odds (`logit_difference`). Source: Vig et al. 2020, equations 1 to 3.
    Trust: a mean of ratios is ruled by the items whose corrupted odds are near zero; prefer `mediation`.
    """
    null = outcomes.corrupted
    arms = {"total": outcomes.clean, "direct": outcomes.noised, "indirect": outcomes.denoised}
    return {
        name: bootstrap_mean(
            np.expm1(arm - null),
            seed=seed,
            unit="item",
            control_name="the corrupted prompt",
            metric=f"{name} effect as a ratio of odds minus 1",
            draws=draws,
        )
        for name, arm in arms.items()
    }


def _starts(model: PreTrainedModel, pairs: PairedPrompts, depths: Mapping[str, int]) -> Start:
    """For each mediator, forward passes that begin at its layer, from the states of the same arm."""
    layers = sorted(set(depths.values()))
    arms: tuple[Arm, Arm] = ("clean", "corrupted")
    below = {arm: prefixes(model, layers, forward_arguments(model, pairs, arm)) for arm in arms}

    def start(mediator: str, arm: Arm) -> AbstractContextManager[None]:
        layer = depths[mediator]
        return resumed(model, layer, below[arm][layer])

    return start


def _numbers(values: Tensor) -> Float[np.ndarray, "item"]:
    return np.asarray(values.detach().double().cpu().numpy())


def _joined(parts: Sequence[Outcomes]) -> Outcomes:
    names = ("clean", "corrupted", "noised", "denoised")
    return Outcomes(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
