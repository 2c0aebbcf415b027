"""The perturbation families of the study, made from a cluster's space, each with its matched control."""

from dataclasses import dataclass

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
    random_tokens,
)
from imprint.runs import derive
from imprint.studies.perturbation.config import Family
from imprint.studies.perturbation.space import Space

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


def perturbation(
    space: Space, cluster: str, family: Family, *, seed: int, tokens: TokenTable | None = None
) -> Intervention | None:
    """The perturbation of one cluster by one family at dose 1; None if nothing of the site belongs to the cluster."""
    number, width = space.index(cluster), len(space.mean)
    if family in NEEDS_DIMENSIONS:
        if len(space.dims[number]) == 0:
            return None
        within = Subspace.of_dims(torch.from_numpy(space.dims[number]), width)
        if family == "ablation":
            return Intervention(site=space.site, edit=Mean(value=_tensor(space.mean), within=within))
        noise = Noise(seed=derive(seed, "noise", cluster) % 2**31, rms=space.rms, within=within)
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
        drawn = random_tokens(target, tokens.candidates, seed=seed)
        return _matched(drawn, _tokens_in_words(target))
    try:
        drawn = random_directions(target, _tensor(space.reference), seed=seed, tolerance=0.05)
    except ConfigError as error:
        if isinstance(target.edit, Shift | Affine):
            raise
        return _matched(random_dims(target, seed=seed), f"as many other dimensions ({error})")
    return _matched(drawn, _directions_in_words(drawn))


def _matched(control: Control, words: str) -> Matched:
    dose = control.intervention.dose
    assert isinstance(dose, float)
    return Matched(intervention=control.intervention, ratio=dose, words=words)


def _tokens_in_words(target: Intervention) -> str:
    assert target.tokens is not None
    return f"the same signs on as many other tokens ({int(target.tokens.sum())}) that are not of the cluster"


def _directions_in_words(control: Control) -> str:
    if control.explained is None:
        return "an equally large step in a random direction"
    return (
        f"random directions of equal rank; variance explained {control.explained:.3f} for {control.wanted or 0:.3f}, norm of"
        f" the change {control.norm_ratio:.2f} x, overlap with the original {control.overlap or 0:.2f}"
    )


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()
