"""The perturbation families of the study, made from a cluster's space, each with its matched control."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from imprint.errors import ConfigError
from imprint.interventions.activations import (
    Affine,
    Control,
    Intervention,
    Mean,
    Noise,
    Shift,
    Sign,
    Subspace,
    random_dims,
    random_directions,
)
from imprint.runs import derive
from imprint.studies.perturbation.config import Family
from imprint.studies.perturbation.space import Space

TRIES = 6
OVERLAP = 10
"""A random subspace whose overlap with the target is more than so many times that of chance is drawn again."""
NEEDS_DIMENSIONS: tuple[Family, ...] = ("ablation", "noise")
"""Families that act on R_k, and have nothing to act on where it is empty."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TokenTable:
    """What gradient-sign injection needs of the rows that are scored: signs, the cluster's tokens, and all that have signs."""

    signs: Int[Tensor, "row position width"]
    members: Bool[Tensor, "row position"]
    candidates: Bool[Tensor, "row position"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Matched:
    """A control at dose 1; its dose is `ratio` times the target's. In words, what was matched."""

    intervention: Intervention
    ratio: float
    words: str


def family_seed(seed: int, cluster: str, family: Family) -> int:
    """The seed of a perturbation's own randomness; its controls take the numbers after it."""
    return derive(seed, cluster, family) % 2**31


def perturbation(
    space: Space,
    cluster: str,
    family: Family,
    *,
    seed: int,
    tokens: TokenTable | None = None,
    row_ids: Int[Tensor, "row"] | None = None,
) -> Intervention | None:
    """The perturbation of one cluster by one family at dose 1; None if nothing of the site belongs to the cluster.

    `seed` is that of `family_seed`; `row_ids` makes rows of one question share their noise.
    """
    number, width = space.index(cluster), len(space.mean)
    if family in NEEDS_DIMENSIONS:
        if len(space.dims[number]) == 0:
            return None
        within = Subspace.of_dims(torch.from_numpy(space.dims[number]), width)
        if family == "ablation":
            return Intervention(site=space.site, edit=Mean(value=_tensor(space.mean), within=within))
        noise = Noise(seed=seed, rms=space.rms, within=within, row_ids=row_ids)
        return Intervention(site=space.site, edit=noise)
    if family == "shift":
        return Intervention(site=space.site, edit=Shift.along(_tensor(space.directions[number]), rms=space.rms))
    if family == "erasure":
        read, write = _tensor(space.erase_read[number]), _tensor(space.erase_write[number])
        matrix = torch.eye(width) - torch.outer(write, read)
        return Intervention(site=space.site, edit=Affine(matrix=matrix, mean=_tensor(space.mean)))
    assert tokens is not None
    edit = Sign(signs=tokens.signs, rms=space.rms)
    return Intervention(site=space.site, edit=edit, tokens=tokens.members)


def matched_control(target: Intervention, space: Space, *, seed: int, tokens: TokenTable | None = None) -> Matched:
    """One draw of the control made from a perturbation: equal rank, explained variance and norm, or equal token count."""
    if isinstance(target.edit, Sign):
        assert tokens is not None
        chosen = tokens_of_the_same_rows(tokens.members, tokens.candidates, seed=seed)
        return Matched(intervention=replace(target, tokens=chosen), ratio=1.0, words=_tokens_in_words(chosen))
    try:
        drawn = _different_directions(target, space, seed)
    except ConfigError as error:
        if isinstance(target.edit, Shift | Affine):
            raise
        return _matched(random_dims(target, seed=seed), f"as many other dimensions ({error})")
    return _matched(drawn, _directions_in_words(drawn))


def _different_directions(target: Intervention, space: Space, seed: int) -> Control:
    """Random directions that are not largely the target's own: the first of some draws with little overlap, or the least."""
    states, width = _tensor(space.reference), len(space.mean)
    drawn = [
        random_directions(
            replace(target, tokens=None), states, seed=derive(seed, "try", number) % 2**31, tolerance=0.05
        )
        for number in range(TRIES)
    ]
    best = next(
        (one for one in drawn if (one.overlap or 0) < OVERLAP / width), min(drawn, key=lambda one: one.overlap or 0)
    )
    return replace(best, intervention=replace(best.intervention, tokens=target.tokens))


def tokens_of_the_same_rows(
    members: Bool[Tensor, "row position"], candidates: Bool[Tensor, "row position"], *, seed: int
) -> Bool[Tensor, "row position"]:
    """As many random candidates in each row as it has members, none of them a member; fewer where a row has no more."""
    scores = torch.rand(members.shape, generator=torch.Generator().manual_seed(seed))
    scores = scores.masked_fill(~(candidates & ~members), 2.0)
    ranks = scores.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    return (ranks < members.sum(1, keepdim=True)) & candidates & ~members


def _matched(control: Control, words: str) -> Matched:
    dose = control.intervention.dose
    assert isinstance(dose, float)
    return Matched(intervention=control.intervention, ratio=dose, words=words)


def _tokens_in_words(chosen: Tensor) -> str:
    return f"the same signs on {int(chosen.sum())} other tokens of the same rows, as many as are the cluster's where there are"


def _directions_in_words(control: Control) -> str:
    if control.explained is None:
        return "an equally large step in a random direction"
    return (
        f"random directions of equal rank; variance explained {control.explained:.3f} for {control.wanted or 0:.3f}, norm of"
        f" the change {control.norm_ratio:.2f} x, overlap with the original {control.overlap or 0:.2f}"
    )


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()
