"""Controls made from an intervention: as many dimensions, as much variance, as large a change, as many tokens, at random.

An effect of editing a cluster's subspace means something beside these, not by itself (METHODS section 5).
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from imprint.errors import ConfigError
from imprint.interventions.activations.ablations import Affine, Mean, Patch, Resample, Zero
from imprint.interventions.activations.edit import Edit
from imprint.interventions.activations.injections import Combined, Noise, RandomSign, Shift, Sign, Swap
from imprint.interventions.activations.intervention import Intervention
from imprint.interventions.activations.matching import explained_share, matched_directions, overlap
from imprint.interventions.activations.subspace import Subspace
from imprint.interventions.activations.tokens import Tokens


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Control:
    """A control intervention and how well it matches the original, over the reference states.

    `explained` and `wanted` are the shares of variance inside the control's and the original's subspace (None where
    variance was not matched), `overlap` the mean squared cosine between the two (rank / width by chance, 1 the same),
    `norm_ratio` the control's root-mean-square change over the original's after its dose was set.
    """

    intervention: Intervention
    explained: float | None = None
    wanted: float | None = None
    overlap: float | None = None
    norm_ratio: float = 1.0


def random_dims(intervention: Intervention, *, seed: int) -> Control:
    """The same edit on as many other dimensions, drawn at random (all of them others, if there are enough).

    Trust: dimensions differ in variance, so this control matches their number only; `random_directions` does more.
    """
    within = _within(intervention.edit)
    if within is None or within.dims is None:
        raise ConfigError(f"The edit at {intervention.site} is not of chosen dimensions; use random_directions.")
    others = torch.ones(within.width, dtype=torch.bool)
    others[within.dims] = False
    pool = others.nonzero()[:, 0] if int(others.sum()) >= within.rank else torch.arange(within.width)
    drawn = pool[torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))[: within.rank]]
    chosen = Subspace.of_dims(drawn, within.width)
    edit = _with_subspace(intervention.edit, chosen)
    return Control(intervention=replace(intervention, edit=edit), overlap=overlap(chosen, within))


def random_directions(
    intervention: Intervention, states: Float[Tensor, "token width"], *, seed: int, tolerance: float = 0.01
) -> Control:
    """The same edit along random directions: equal rank, equal explained variance over `states`, equal norm of change.

    A random subspace explains rank / width of the variance, a meaningful one usually more; so it is drawn from a
    distribution tilted towards (or away from) the principal directions until the shares agree, and the dose is then
    set so that the root-mean-square change agrees. A gradient-sign step gets random signs.
    `ConfigError` if the edit has no directions (it is of the whole state), or the shares stay further apart than
    `tolerance` times the wanted one.

    Trust: read `overlap`: an original that holds nearly all the variance it could has no control that is different.
    """
    states = states.cpu()
    if isinstance(intervention.edit, Sign | RandomSign):
        return Control(intervention=replace(intervention, edit=RandomSign(seed=seed, rms=intervention.edit.rms)))
    if isinstance(intervention.edit, Combined):
        return _each_part(intervention, intervention.edit, states, seed, tolerance)
    original = _directions(intervention)
    basis = matched_directions(states, original.rank, explained_share(states, original), seed=seed)
    chosen = Subspace.of_basis(basis.to(states.dtype))
    explained, wanted = explained_share(states, chosen), explained_share(states, original)
    if abs(explained - wanted) > tolerance * wanted:
        raise ConfigError(
            f"No random subspace of rank {original.rank} explains {wanted:.3f} of the variance at {intervention.site} "
            f"(nearest {explained:.3f}); give more reference states, or a larger tolerance."
        )
    control = replace(intervention, edit=_along(intervention.edit, chosen))
    ratio = change_rms(intervention, states) / change_rms(control, states)
    control = replace(control, dose=_scaled(control.dose, ratio))
    reached = change_rms(control, states) / change_rms(intervention, states)
    return Control(
        intervention=control, explained=explained, wanted=wanted, overlap=overlap(chosen, original), norm_ratio=reached
    )


def _each_part(intervention: Intervention, edit: Combined, states: Tensor, seed: int, tolerance: float) -> Control:
    """The control of every part, with the weights of all scaled so that the whole change is as large."""
    parts = [
        random_directions(replace(intervention, edit=part, dose=1.0), states, seed=seed + number, tolerance=tolerance)
        for number, part in enumerate(edit.parts)
    ]
    doses = [part.intervention.doses[0] for part in parts]
    weights = tuple(weight * dose for weight, dose in zip(edit.weights, doses, strict=True))
    combined = Combined(parts=tuple(part.intervention.edit for part in parts), weights=weights)
    control = replace(intervention, edit=combined)
    ratio = change_rms(intervention, states) / change_rms(control, states)
    control = replace(control, dose=_scaled(control.dose, ratio))
    return Control(intervention=control, norm_ratio=change_rms(control, states) / change_rms(intervention, states))


def random_tokens(intervention: Intervention, candidates: Bool[Tensor, "row position"], *, seed: int) -> Control:
    """The same edit on equally many random tokens among `candidates`, none of them the original's.

    `ConfigError` if the intervention has no token mask, or too few other candidates are left.
    """
    tokens = intervention.tokens
    if tokens is None:
        raise ConfigError(f"The intervention at {intervention.site} edits every token, so no others are left to draw.")
    if candidates.dtype != torch.bool or candidates.shape != tokens.shape:
        raise ConfigError(
            f"Candidates must be a boolean mask of shape {tuple(tokens.shape)}, as the intervention's own."
        )
    free, count = (candidates & ~tokens).flatten().nonzero()[:, 0], int(tokens.sum())
    if len(free) < count:
        raise ConfigError(
            f"{count} random tokens were asked, but only {len(free)} candidates are left; give more text."
        )
    drawn = free[torch.randperm(len(free), generator=torch.Generator().manual_seed(seed))[:count]]
    mask = torch.zeros(tokens.numel(), dtype=torch.bool)
    mask[drawn] = True
    return Control(intervention=replace(intervention, tokens=mask.view(tokens.shape)))


def global_noise(
    intervention: Intervention,
    states: Float[Tensor, "token width"],
    *,
    seed: int,
    real: Bool[Tensor, "row position"] | None = None,
) -> Control:
    """Gaussian noise on every token and dimension with the intervention's root-mean-square change.

    With a token mask the change is spread over all `real` tokens, so that its total energy stays the same: of an edit
    of one token in four, the noise has half the root mean square. Source: 000, "global noise".
    """
    share = 1.0
    if intervention.tokens is not None:
        total = intervention.tokens.numel() if real is None else int(real.sum())
        share = int(intervention.tokens.sum()) / total
    size = change_rms(intervention, states) * share**0.5
    edit = Noise(seed=seed, rms=size)
    return Control(intervention=replace(intervention, edit=edit, dose=1.0, tokens=None), norm_ratio=share**0.5)


@torch.no_grad()
def change_rms(intervention: Intervention, states: Float[Tensor, "token width"]) -> float:
    """The root mean square, per number, of what the intervention does to reference states (at its mean absolute dose).

    Tables of single tokens (Patch, Sign) are applied to reference states as if drawn from any token.
    """
    states = states.cpu()
    edit, tokens = _of_any_token(intervention.edit, states), len(states)
    at = Tokens(
        rows=torch.arange(tokens),
        positions=torch.zeros(tokens, 1, dtype=torch.long),
        real=torch.ones(tokens, 1, dtype=torch.bool),
    )
    dose = sum(map(abs, intervention.doses)) / len(intervention.doses)
    doses = torch.full((tokens, 1, 1), dose, dtype=states.dtype)
    change = edit.apply(states[:, None], doses, at)[:, 0] - states
    return float(change.double().square().mean().sqrt())


def _of_any_token(edit: Edit, states: Tensor) -> Edit:
    """The edit, with tables of single tokens drawn from at random."""
    if isinstance(edit, Patch):
        return Resample(states=edit.states.flatten(0, 1).to(states), seed=0, within=edit.within)
    if isinstance(edit, Sign):
        return RandomSign(seed=0, rms=edit.rms)
    if isinstance(edit, Noise):
        return replace(edit, row_ids=None)
    if isinstance(edit, Combined):
        return replace(edit, parts=tuple(_of_any_token(part, states) for part in edit.parts))
    return edit


def _scaled(dose: float | tuple[float, ...], ratio: float) -> float | tuple[float, ...]:
    return tuple(one * ratio for one in dose) if isinstance(dose, tuple) else dose * ratio


def _within(edit: Edit) -> Subspace | None:
    return edit.within if isinstance(edit, Zero | Mean | Resample | Patch | Noise | Swap) else None


def _with_subspace(edit: Edit, within: Subspace) -> Edit:
    assert isinstance(edit, Zero | Mean | Resample | Patch | Noise | Swap)
    return replace(edit, within=within)


def _directions(intervention: Intervention) -> Subspace:
    """The directions along which an edit changes a state."""
    edit = intervention.edit
    if isinstance(edit, Shift):
        return Subspace.spanned_by(edit.direction[:, None])
    if isinstance(edit, Swap):
        change = edit.target - edit.source
        return Subspace.spanned_by((change if edit.within is None else edit.within.project(change))[:, None])
    if isinstance(edit, Affine):
        return Subspace.spanned_by(torch.eye(len(edit.mean), dtype=edit.matrix.dtype) - edit.matrix)
    within = _within(edit)
    if within is None:
        kind = type(edit).__name__
        raise ConfigError(
            f"{kind} at {intervention.site} is of the whole state; its control is global_noise or random_tokens."
        )
    return within


def _along(edit: Edit, chosen: Subspace) -> Edit:
    """The edit along other directions of the same rank."""
    first = chosen.orthonormal()[:, 0]
    if isinstance(edit, Shift):
        return Shift.along(first.to(edit.direction), rms=edit.rms)
    if isinstance(edit, Swap):
        change = edit.target - edit.source
        length = (change if edit.within is None else edit.within.project(change)).norm()
        return Swap(source=edit.source, target=edit.source + length * first.to(edit.source))
    if isinstance(edit, Affine):
        basis = chosen.orthonormal().to(edit.matrix)
        return Affine(matrix=torch.eye(len(basis), dtype=basis.dtype) - basis @ basis.T, mean=edit.mean)
    return _with_subspace(edit, chosen)
