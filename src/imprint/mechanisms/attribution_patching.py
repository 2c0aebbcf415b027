"""Attribution patching: every patch of a model at once, to first order, from one forward and one backward pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError, InterventionNeverFired
from imprint.mechanisms.mediation import Outcomes
from imprint.mechanisms.paired_prompts import Arm, Metric, PairedPrompts, logit_difference, outcome
from imprint.mechanisms.places import Mediator, Place, place_of, reading
from imprint.models import Anatomy, Component, Hook, evaluating, hooked
from imprint.stats import spearman

Direction = Literal["denoising", "noising"]
Path = Literal["input", "site"]


def attribution_patching(
    model: PreTrainedModel,
    pairs: PairedPrompts,
    sites: Sequence[str],
    *,
    direction: Direction = "denoising",
    steps: int = 0,
    path: Path = "input",
    metric: Metric = logit_difference,
    batch: int = 64,
) -> dict[str, Float[np.ndarray, "item d"]]:
    """First-order effects of patching each dimension of each site, for every item; sum over dimensions for the whole site.

    (activation when clean - activation when corrupted) . dY/d(activation), summed over positions. "denoising" takes the
    gradient in the corrupted run and approximates NIE = Y(0, M(1)) - Y(0); "noising" takes it in the clean run and
    approximates Y(1) - Y(1, M(0)). Positive = the clean value helps the answer. Give "L3.z" and use `head_attributions`.

    `steps` > 0 averages the gradient over that many midpoints of a path between the corrupted and the clean run: along the
    input embeddings (all sites in one pass a step) or along each "site" itself (one pass a step and site), whose sums
    converge to the true effect of patching the site. Sources: Nanda 2023; Sundararajan et al. 2017; Hanna et al. 2024.

    Raises:
        ConfigError: no site, or one that has no activation to patch.
        InterventionNeverFired: the forward pass does not go through a site.

    Trust: exact where the outcome is linear in the site; saturated attention and the first layers' residual stream break
    it, in either direction. Rank with it, then patch the leaders (`mediate`) and report `patching_agreement`.
    """
    if not sites:
        raise ConfigError("No sites were given to attribute; name at least one, for example L0.z.")
    anatomy = Anatomy(model)
    places = {site: place_of(anatomy, Mediator(site=site)) for site in sites}
    embeddings = {f"embed {stack}": _embedding(anatomy, stack) for stack in anatomy.stacks}
    found: dict[str, list[np.ndarray]] = {site: [] for site in sites}
    with evaluating(model):
        for part in pairs.batches(batch):
            passes = _Passes(model, part, metric, places, embeddings)
            gradients = passes.gradients(direction, steps, path)
            for site in sites:
                scores = (passes.difference(site) * gradients[site].double()).sum(1)
                found[site].append(scores.cpu().numpy())
    return {site: np.concatenate(parts) for site, parts in found.items()}


def head_attributions(
    model: PreTrainedModel, attributions: Mapping[str, Float[np.ndarray, "item d"]]
) -> dict[str, Float[np.ndarray, "item"]]:
    """The attribution of every head from those of the z sites ("L3.z"); other sites are left out."""
    anatomy = Anatomy(model)
    heads = {}
    for site, scores in attributions.items():
        component = Component.parse(site)
        if component.site == "z":
            split = scores.reshape(len(scores), anatomy.num_heads, anatomy.d_head).sum(-1)
            for head in range(anatomy.num_heads):
                heads[site.removesuffix("z") + f"H{head}"] = split[:, head]
    return heads


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchingAgreement:
    """How well estimated patching effects rank the measured ones, over mediators."""

    spearman: float
    """Of the mean effects; 1 = the same order."""
    largest_miss: float
    """The largest difference of mean effects, in units of the outcome."""
    missed: str
    """The mediator with that difference."""
    n: int


def patching_agreement(
    estimated: Mapping[str, Float[np.ndarray, "item"]],
    measured: Mapping[str, Outcomes],
    *,
    direction: Direction = "denoising",
) -> PatchingAgreement:
    """Compare attribution patching with the true patches of the same mediators (at least 3) and direction."""
    names = [name for name in estimated if name in measured]
    if len(names) < 3:
        raise ConfigError(f"Only {len(names)} mediators were both estimated and patched; a rank needs at least 3.")
    guess = np.array([estimated[name].mean() for name in names])
    truth = np.array([_patched(measured[name], direction).mean() for name in names])
    worst = int(np.abs(guess - truth).argmax())
    return PatchingAgreement(
        spearman=spearman(guess, truth),
        largest_miss=float(np.abs(guess - truth)[worst]),
        missed=names[worst],
        n=len(names),
    )


def _patched(outcomes: Outcomes, direction: Direction) -> np.ndarray:
    restored, lost = outcomes.denoised - outcomes.corrupted, outcomes.clean - outcomes.noised
    return np.asarray(restored if direction == "denoising" else lost)


def _embedding(anatomy: Anatomy, stack: str) -> Place:
    return place_of(anatomy, Mediator(site=f"{stack}.embed" if stack else "embed"))


class _Passes:
    """The activations of one batch in both arms, and gradients anywhere between them."""

    def __init__(
        self,
        model: PreTrainedModel,
        pairs: PairedPrompts,
        metric: Metric,
        places: Mapping[str, Place],
        embeddings: Mapping[str, Place],
    ) -> None:
        self.model, self.pairs, self.metric = model, pairs, metric
        self.places, self.embeddings = places, embeddings
        self.clean, self.corrupted = self._states("clean"), self._states("corrupted")

    def difference(self, site: str) -> Float[Tensor, "item seq d"]:
        """Clean minus corrupted activation, in double precision."""
        return self.clean[site].double() - self.corrupted[site].double()

    def gradients(self, direction: Direction, steps: int, path: Path) -> dict[str, Tensor]:
        """dY/d(activation) at every site, at the base run or averaged along a path between the runs."""
        arm: Arm = "corrupted" if direction == "denoising" else "clean"
        if steps == 0:
            return self._backward(arm, self.places, [])
        midpoints = [(step + 0.5) / steps for step in range(steps)]
        if path == "input":
            moved = [self._backward(arm, self.places, self._between(self.embeddings, t)) for t in midpoints]
            return {site: torch.stack([one[site] for one in moved]).mean(0) for site in self.places}
        return {site: self._along_site(arm, site, midpoints) for site in self.places}

    def _along_site(self, arm: Arm, site: str, midpoints: Sequence[float]) -> Tensor:
        own = {site: self.places[site]}
        return torch.stack([self._backward(arm, own, self._between(own, t))[site] for t in midpoints]).mean(0)

    @torch.no_grad()
    def _states(self, arm: Arm) -> dict[str, Tensor]:
        kept: dict[str, Tensor] = {}
        with hooked(self.model, reading({**self.places, **self.embeddings}, kept)):
            outcome(self.model, self.pairs, arm, self.metric)
        silent = [name for name in self.places if name not in kept]
        if silent:
            raise InterventionNeverFired(f"No forward pass went through {', '.join(silent)}: it cannot be attributed.")
        return kept

    def _between(self, places: Mapping[str, Place], share: float) -> list[Hook]:
        """Hooks that put `share` of the way from the corrupted to the clean activation at some places."""

        def put(name: str, place: Place) -> Hook:
            value = torch.lerp(self.corrupted[name], self.clean[name], share)
            return place.module, place.edge, lambda tensor: place.put(tensor, value)

        return [put(name, place) for name, place in places.items()]

    def _backward(self, arm: Arm, places: Mapping[str, Place], moved: Sequence[Hook]) -> dict[str, Tensor]:
        kept: dict[str, Tensor] = {}
        with torch.enable_grad(), hooked(self.model, [*moved, *_tapped(places, kept)]):
            total = outcome(self.model, self.pairs, arm, self.metric).sum()
            names = list(kept)
            found = torch.autograd.grad(total, [kept[name] for name in names], materialize_grads=True)
        return dict(zip(names, found, strict=True))


def _tapped(places: Mapping[str, Place], kept: dict[str, Tensor]) -> list[Hook]:
    """Hooks that keep the activation itself, on the graph; the graph starts there if it has not started before."""

    def tap(name: str, place: Place) -> Hook:
        def keep(tensor: Tensor) -> Tensor:
            value = tensor if tensor.requires_grad else tensor.detach().requires_grad_(True)
            part = place.of(value)
            kept[name] = part
            # A copy goes on: Falcon adds into the MLP's output in place, which would move what we kept.
            return place.put(value, part.clone())

        return place.module, place.edge, keep

    return [tap(name, place) for name, place in places.items()]
