"""The cheap Φ of the four-abilities world: every cluster's subspace perturbed in a finished model, beside matched controls.

A cluster is the rows of one kind. What a method knows of it are activations (association, mean difference, SVD, LEACE) or
loss gradients on its tokens; what it does is edit every token of every question. Two baselines touch no activation at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Float64, Int
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from imprint.capabilities.abilities import AbilityItems, ability_answers, ability_panel
from imprint.corpus import KINDS, AbilitiesWorld, Packed
from imprint.interventions.activations import (
    Affine,
    Edit,
    Intervention,
    Mean,
    Noise,
    Shift,
    Subspace,
    gradient_signs,
    intervene,
    next_tokens,
    random_directions,
    reference_states,
    site_rms,
)
from imprint.mechanisms.association import associate, associated_dims
from imprint.mechanisms.decomposition import principal_directions
from imprint.mechanisms.erasure import leace
from imprint.models import Train, evaluating, open_checkpoint, token_losses
from imprint.runs import Context, Step, derive
from imprint.stats import impact

INFLUENCE_FILE = "influence.parquet"
DOSES: Final[Mapping[str, tuple[float, ...]]] = {
    "mean ablation of associated dims": (0.5, 1.0),
    "noise in associated dims": (1.0, 2.0),
    "shift along the mean difference": (4.0, 8.0),
    "shift along the first SVD direction": (4.0, 8.0),
    "shift along the mean gradient sign": (4.0, 8.0),
    "LEACE erasure": (1.0,),
}
"""Ablations: share replaced. Noise: standard deviation, and shifts: length, in units of the site's root mean square (a state
of width 64 is 8 of them long)."""
_MATCHED_ON = 2048
"""Tokens on which controls are matched in explained variance and norm."""
BASELINES: Final = ("baseline: shared tokens", "baseline: nearness of loss")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clusters:
    """The rows of all kinds, and their states at one site."""

    tokens: Int[Tensor, "row seq"]
    kind: Int[np.ndarray, " row"]
    states: Float[Tensor, "token width"]
    signs: Float[Tensor, "kind width"]
    """Mean over a kind's tokens of the sign of the loss gradient."""

    @property
    def token_kind(self) -> Int[np.ndarray, " token"]:
        """The kind of every token's row."""
        return np.repeat(self.kind, self.tokens.shape[1])

    @property
    def row_means(self) -> Float64[np.ndarray, "row width"]:
        """The mean state of every row."""
        return self.states.view(*self.tokens.shape, -1).double().mean(1).numpy()

    def difference(self, kind: int) -> Float[Tensor, " width"]:
        """Mean state of the kind's tokens minus that of all others."""
        mine = torch.from_numpy(self.token_kind == kind)
        return self.states[mine].mean(0) - self.states[~mine].mean(0)


class AbilityInfluence(Step):
    """Φ of one finished run by every method, cell by cell with its control: `influence.parquet`."""

    run: Train
    world: AbilitiesWorld
    packed: Step
    """Rows of all four kinds that the clusters are drawn from (not those trained on)."""
    items: int = Field(ge=2)
    sites: tuple[str, ...] = ("L0.resid_post", "L1.resid_post")
    dims: int = Field(default=8, ge=1)
    """Most dimensions that a cluster's associated subspace holds."""
    controls: int = Field(default=2, ge=1)
    """Random directions drawn for each perturbation."""
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Perturb the last checkpoint and ask it everything."""
        torch.set_num_threads(1)
        model = open_checkpoint(context.get(self.run), self.run.last_step)
        packed = Packed.load(context.get(self.packed))
        panel = ability_panel(count=self.items, seed=self.seed + 1, world=self.world)
        before = [ability_answers(model, items) for items in panel]
        rows = list(_baselines(model, packed, panel))
        for site in self.sites:
            clusters = _clusters(model, packed, site)
            for family, kind, intervention in _perturbations(clusters, site, self.dims, self.seed):
                rows += self._measured(model, panel, before, clusters, family, kind, intervention)
                context.advance(1)
        pl.DataFrame(rows).write_parquet(folder / INFLUENCE_FILE)

    def _measured(
        self,
        model: PreTrainedModel,
        panel: Sequence[AbilityItems],
        before: Sequence[pl.DataFrame],
        clusters: _Clusters,
        family: str,
        kind: int,
        intervention: Intervention,
    ) -> Iterator[dict[str, object]]:
        """One perturbation and its controls on every ability."""
        draws = [derive(self.seed, "control", family, kind, number) for number in range(self.controls)]
        sample = clusters.states[:: max(1, len(clusters.states) // _MATCHED_ON)]
        matched = [
            random_directions(intervention, sample, seed=draw % 2**31, tolerance=0.1).intervention for draw in draws
        ]
        for items, plain in zip(panel, before, strict=True):
            arms = [_answered(model, items, arm) for arm in (intervention, *matched)]
            for metric, span in (("correct", 1.0 - items.chance), ("log_prob", 1.0)):
                values = np.stack([table[metric].to_numpy() for table in (plain, *arms)]) / span
                yield {
                    "cluster": KINDS[kind],
                    "ability": items.ability,
                    "family": family,
                    "setting": f"{intervention.site} dose {intervention.dose}",
                    "metric": metric,
                    **_effect(values[0], values[1], values[2:].mean(0), metric),
                }


def _effect(
    plain: Float64[np.ndarray, " item"],
    perturbed: Float64[np.ndarray, " item"],
    control: Float64[np.ndarray, " item"],
    metric: str,
) -> dict[str, float]:
    """What the perturbation costs, its interval, what its controls cost, and p of the two being equal."""
    cost = impact(plain, perturbed, seed=0, scale="interval", metric=metric, draws=500).lost
    against = impact(control, perturbed, seed=0, scale="interval", metric=metric, draws=1000)
    lost = float(plain.mean() - control.mean())
    return {"estimate": cost.estimate, "low": cost.low, "high": cost.high, "p": against.p, "control": lost}


def _answered(model: PreTrainedModel, items: AbilityItems, intervention: Intervention) -> pl.DataFrame:
    with intervene(model, [intervention], rows=torch.arange(len(items))):
        return ability_answers(model, items)


def _clusters(model: PreTrainedModel, packed: Packed, site: str) -> _Clusters:
    tokens = torch.from_numpy(packed.tokens[:, :-1].astype(np.int64))
    kind = np.array([KINDS.index(name) for name in packed.row_domains])
    batch = {"input_ids": tokens}
    signs = gradient_signs(model, batch, next_tokens(tokens), site).float()
    per_kind = [signs[torch.from_numpy(kind == number)].mean((0, 1)) for number in range(len(KINDS))]
    return _Clusters(
        tokens=tokens,
        kind=kind,
        states=reference_states(model, [site], [batch])[site],
        signs=torch.stack(per_kind),
    )


def _perturbations(clusters: _Clusters, site: str, dims: int, seed: int) -> Iterator[tuple[str, int, Intervention]]:
    """Family, number of the kind, and intervention of everything that is tried at one site."""
    association = associate(clusters.row_means, clusters.kind, names=KINDS)
    width = clusters.states.shape[1]
    for kind in range(len(KINDS)):
        chosen = associated_dims(association, kind, top=dims)
        within = Subspace.of_dims(torch.from_numpy(chosen.copy()), width)
        for family, edit in _edits(clusters, kind, within, seed).items():
            for dose in DOSES[family]:
                yield family, kind, Intervention(site=site, edit=edit, dose=dose)


def _edits(clusters: _Clusters, kind: int, within: Subspace, seed: int) -> dict[str, Edit]:
    rms, difference = site_rms(clusters.states), clusters.difference(kind)
    rows = np.flatnonzero(clusters.token_kind == kind)
    principal = principal_directions(
        clusters.states.double().numpy(), components=1, rows=rows, toward=difference.double().numpy()
    )
    erased = leace(clusters.states.double().numpy(), clusters.token_kind, cluster=kind)
    edits: tuple[Edit, ...] = (
        Mean(value=clusters.states.mean(0), within=within),
        Noise(seed=seed, rms=rms, within=within),
        Shift.along(difference, rms=rms),
        Shift.along(torch.from_numpy(principal.directions[0]).float(), rms=rms),
        Shift.along(clusters.signs[kind], rms=rms),
        Affine(matrix=torch.from_numpy(erased.matrix).float(), mean=torch.from_numpy(erased.mean).float()),
    )
    return dict(zip(DOSES, edits, strict=True))


def _baselines(model: PreTrainedModel, packed: Packed, panel: Sequence[AbilityItems]) -> Iterator[dict[str, object]]:
    """What needs no perturbation: the cosine of token counts, and how near a kind's loss is to the questions' loss."""
    losses = _row_losses(model, torch.from_numpy(packed.tokens.astype(np.int64)))
    for number, kind in enumerate(KINDS):
        mine = packed.row_domains == kind
        for items in panel:
            shared = _cosine(_counts(packed.tokens[mine, 1:]), _counts(_text(items)))
            distance = abs(
                float(losses[torch.from_numpy(mine)].mean()) - float(_row_losses(model, items.tokens).mean())
            )
            for family, value in zip(BASELINES, (shared, -distance), strict=True):
                for metric in ("correct", "log_prob"):
                    yield {
                        "cluster": KINDS[number],
                        "ability": items.ability,
                        "family": family,
                        "setting": "",
                        "metric": metric,
                        "estimate": value,
                        "low": value,
                        "high": value,
                        "p": 1.0,
                        "control": 0.0,
                    }


@torch.no_grad()
def _row_losses(model: PreTrainedModel, tokens: Int[Tensor, "row seq"]) -> Float[Tensor, " row"]:
    with evaluating(model):
        return token_losses(model(tokens[:, :-1], use_cache=False).logits, tokens[:, 1:]).mean(1)


def _text(items: AbilityItems) -> np.ndarray:
    """The tokens of every question that the model reads, without the BOS."""
    read = torch.arange(items.tokens.shape[1])[None, :] <= items.query[:, None]
    return items.tokens[:, 1:][read[:, 1:]].numpy()


def _counts(tokens: np.ndarray) -> Float64[np.ndarray, " token_id"]:
    return np.bincount(tokens.ravel(), minlength=64).astype(np.float64)


def _cosine(first: Float64[np.ndarray, " n"], second: Float64[np.ndarray, " n"]) -> float:
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))
