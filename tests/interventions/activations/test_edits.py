import pytest
import torch
from scipy import stats

from imprint.errors import ConfigError
from imprint.interventions.activations import (
    Affine,
    Combined,
    Mean,
    Noise,
    Patch,
    RandomSign,
    Resample,
    Shift,
    Sign,
    Subspace,
    Swap,
    Zero,
)
from imprint.interventions.activations.draws import choices, keys, normals
from imprint.interventions.activations.tokens import Tokens

ROWS, LENGTH, WIDTH = 3, 5, 8
AT = Tokens(
    rows=torch.arange(ROWS),
    positions=torch.arange(LENGTH).expand(ROWS, LENGTH),
    real=torch.ones(ROWS, LENGTH, dtype=torch.bool),
)
STATES = torch.randn(ROWS, LENGTH, WIDTH, generator=torch.Generator().manual_seed(0))
VALUE = torch.arange(WIDTH).float()
DIMS = Subspace.of_dims(torch.tensor([6, 1]), WIDTH)
PLANE = Subspace.spanned_by(torch.randn(WIDTH, 2, generator=torch.Generator().manual_seed(1)))
TABLE = torch.randn(ROWS, LENGTH, WIDTH, generator=torch.Generator().manual_seed(2))
SIGNS = TABLE.sign().to(torch.int8)
ALL = [
    Zero(),
    Zero(within=DIMS),
    Mean(value=VALUE, within=PLANE),
    Resample(states=TABLE[0], seed=3),
    Noise(seed=1, rms=2.0, within=PLANE),
    Shift.along(VALUE, rms=2.0),
    Sign(signs=SIGNS, rms=2.0),
    RandomSign(seed=1, rms=2.0),
    Swap(source=VALUE, target=VALUE.flip(0)),
    Patch(states=TABLE, within=DIMS),
    Affine(matrix=torch.eye(WIDTH) * 0.5, mean=VALUE),
    Combined(parts=(Zero(), Noise(seed=1, rms=1.0)), weights=(0.5, 2.0)),
]


def dose(value):
    return torch.tensor([value])[:, None, None]


def apply(edit, value=1.0, states=STATES, at=AT):
    return edit.apply(states, dose(value), at)


@pytest.mark.parametrize("edit", ALL, ids=lambda edit: type(edit).__name__)
def test_dose_zero_is_nothing_and_the_argument_is_never_written_to(edit):
    before = STATES.clone()
    assert torch.equal(apply(edit, 0.0), STATES)
    assert bool((apply(edit) != STATES).any())
    assert torch.equal(STATES, before)
    assert edit.width in (None, WIDTH)


@pytest.mark.parametrize("edit", ALL, ids=lambda edit: type(edit).__name__)
def test_bfloat16_states_stay_bfloat16(edit):
    low = STATES.bfloat16()
    assert edit.apply(low, dose(1.0).bfloat16(), AT).dtype == torch.bfloat16


def test_ablations_of_dimensions_are_exact_at_dose_one():
    inside = torch.tensor([1, 6])
    outside = torch.tensor([0, 2, 3, 4, 5, 7])
    for edit, value in (
        (Zero(within=DIMS), torch.zeros(2)),
        (Mean(value=VALUE, within=DIMS), torch.tensor([1.0, 6.0])),
    ):
        edited = apply(edit)
        assert torch.equal(edited[..., inside], value.expand(ROWS, LENGTH, 2))
        assert torch.equal(edited[..., outside], STATES[..., outside])
    assert torch.equal(apply(Mean(value=VALUE)), VALUE.expand_as(STATES))
    torch.testing.assert_close(apply(Zero(within=DIMS), 0.25)[..., inside], 0.75 * STATES[..., inside])


def test_ablation_of_a_plane_leaves_nothing_in_it_and_all_beside_it():
    edited = apply(Zero(within=PLANE))
    torch.testing.assert_close(PLANE.project(edited), torch.zeros_like(edited), rtol=0, atol=1e-6)
    torch.testing.assert_close(edited, STATES - PLANE.project(STATES), rtol=0, atol=1e-6)


def test_resampled_states_are_reference_states_by_row_and_position():
    edit = Resample(states=TABLE[0], seed=3)
    edited = apply(edit)
    matches = (edited[:, :, None] == TABLE[0]).all(-1)
    assert bool((matches.sum(-1) == 1).all())
    assert len(matches.float().argmax(-1).unique()) > 1
    swapped = Tokens(rows=AT.rows.flip(0), positions=AT.positions, real=AT.real)
    assert torch.equal(apply(edit, at=swapped), edited.flip(0))
    assert not torch.equal(apply(Resample(states=TABLE[0], seed=4)), edited)


def test_a_shift_is_a_step_of_dose_times_rms():
    change = apply(Shift.along(VALUE, rms=2.0), -1.5) - STATES
    torch.testing.assert_close(change.norm(dim=-1), torch.full((ROWS, LENGTH), 3.0))
    torch.testing.assert_close(change, (-3.0 * VALUE / VALUE.norm()).expand_as(change), rtol=0, atol=1e-6)


def test_signs_are_looked_up_by_row_and_position_and_others_left():
    some = Tokens(rows=torch.tensor([2]), positions=torch.tensor([[4, 9, 1]]), real=torch.ones(1, 3, dtype=torch.bool))
    edit = Sign(signs=SIGNS, rms=2.0)
    assert edit.covers(some).tolist() == [[True, False, True]]
    change = apply(edit, 0.5, STATES[:1, :3], some) - STATES[:1, :3]
    torch.testing.assert_close(change[0, 0], SIGNS[2, 4].float(), rtol=0, atol=1e-6)
    torch.testing.assert_close(change[0, 2], SIGNS[2, 1].float(), rtol=0, atol=1e-6)


def test_a_swap_moves_one_cluster_mean_onto_the_other_and_keeps_the_residual():
    source, target = STATES.mean((0, 1)), VALUE
    edited = apply(Swap(source=source, target=target))
    torch.testing.assert_close(edited.mean((0, 1)), target, rtol=0, atol=1e-5)
    torch.testing.assert_close(edited - target, STATES - source, rtol=0, atol=1e-5)


def test_an_affine_eraser_removes_its_direction_about_the_mean():
    direction = VALUE / VALUE.norm()
    eraser = Affine(matrix=torch.eye(WIDTH) - direction[:, None] * direction, mean=STATES.mean((0, 1)))
    erased = apply(eraser)
    assert float((erased @ direction).std()) < 1e-5
    torch.testing.assert_close(erased.mean((0, 1)), STATES.mean((0, 1)), rtol=0, atol=1e-5)


def test_combined_edits_add_up_from_the_unedited_state():
    parts = (Zero(within=DIMS), Shift.along(VALUE, rms=1.0))
    edited = apply(Combined(parts=parts, weights=(2.0, -1.0)))
    wanted = STATES + 2 * (apply(parts[0]) - STATES) - (apply(parts[1]) - STATES)
    torch.testing.assert_close(edited, wanted, rtol=0, atol=1e-5)


# ---- numbers that belong to a token ---------------------------------------------------------------------------------


def test_noise_is_standard_normal_times_dose_times_rms():
    rows, length = 50, 40
    at = Tokens(
        rows=torch.arange(rows), positions=torch.arange(length).expand(rows, length), real=torch.ones(rows, length) > 0
    )
    noise = Noise(seed=7, rms=2.0).apply(torch.zeros(rows, length, 65), dose(0.5), at)
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 0.01
    flat = noise.flatten(0, 1)
    correlation = torch.corrcoef(flat.T) - torch.eye(65)
    assert float(correlation.abs().max()) < 5 / (rows * length) ** 0.5
    assert float(torch.corrcoef(flat[:200]).fill_diagonal_(0).abs().mean()) < 1.3 * (2 / torch.pi / 65) ** 0.5


def test_noise_depends_on_seed_row_and_position_only():
    noise = Noise(seed=7, rms=1.0)
    together = apply(noise) - STATES
    for row in range(ROWS):
        alone = (
            apply(
                noise,
                1.0,
                STATES[[row], 2:],
                AT.of(slice(row, row + 1)).__class__(
                    rows=torch.tensor([row]),
                    positions=torch.arange(2, LENGTH)[None],
                    real=torch.ones(1, LENGTH - 2) > 0,
                ),
            )
            - STATES[[row], 2:]
        )
        torch.testing.assert_close(alone, together[[row], 2:], rtol=0, atol=1e-6)
    torch.testing.assert_close((apply(noise, 3.0) - STATES) / 3, together, rtol=0, atol=1e-5)
    assert not torch.allclose(apply(Noise(seed=8, rms=1.0)) - STATES, together)
    assert len(together[..., 0].unique()) == ROWS * LENGTH


def test_draws_cover_all_choices_evenly():
    drawn = choices(6, keys(-3, torch.arange(300), torch.arange(20).expand(300, 20)))
    assert stats.chisquare(drawn.flatten().bincount(minlength=6).numpy()).pvalue > 0.001
    assert bool(normals(7, keys(2**63 + 5, torch.arange(2), torch.zeros(2, 3, dtype=torch.long))).isfinite().all())


def test_noise_in_a_subspace_stays_there():
    change = apply(Noise(seed=1, rms=1.0, within=PLANE)) - STATES
    torch.testing.assert_close(PLANE.project(change), change, rtol=0, atol=1e-5)
    assert bool((apply(Noise(seed=1, rms=1.0, within=DIMS)) - STATES)[..., [0, 2, 3, 4, 5, 7]].eq(0).all())


# ---- what cannot be -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mean(value=torch.full((8,), torch.nan)), "Mean.value holds NaN"),
        (lambda: Noise(seed=1, rms=float("inf")), "Noise.rms holds NaN"),
        (lambda: Shift(direction=VALUE, rms=1.0), "not 1; make it with"),
        (lambda: Shift.along(torch.zeros(8), rms=1.0), "needs a direction"),
        (lambda: Mean(value=torch.ones(2, 8)).width, "one vector"),
        (lambda: Resample(states=torch.ones(8), seed=1).width, "n, width"),
        (lambda: Sign(signs=SIGNS[0], rms=1.0).width, "row, position, width"),
        (lambda: Swap(source=VALUE, target=VALUE[:3]).width, "map one first"),
        (lambda: Affine(matrix=torch.eye(3), mean=VALUE).width, "must be"),
        (lambda: Combined(parts=(), weights=()), "one finite weight"),
        (lambda: Combined(parts=(Zero(),), weights=(float("nan"),)), "one finite weight"),
        (lambda: Combined(parts=(Mean(value=VALUE), Mean(value=VALUE[:3])), weights=(1.0, 1.0)).width, "combined at one site"),
        (lambda: Subspace.of_dims(torch.tensor([1, 1]), 8), "distinct"),
        (lambda: Subspace.of_dims(torch.tensor([8]), 8), "0 to 7"),
        (lambda: Subspace.of_dims(torch.tensor([True, False]), 2), "bool"),
        (lambda: Subspace.of_basis(torch.ones(8, 2)), "not orthonormal"),
        (lambda: Subspace.spanned_by(torch.zeros(8, 2)), "not all zero"),
    ],
)  # fmt: skip
def test_bad_edits_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_subspaces_project_alike_however_they_are_given():
    as_basis = Subspace.of_basis(torch.eye(WIDTH)[:, [1, 6]])
    torch.testing.assert_close(as_basis.project(STATES), DIMS.project(STATES))
    assert (as_basis.rank, DIMS.rank, Subspace.full(8).rank) == (2, 2, 8)
    assert torch.equal(Subspace.full(8).project(STATES), STATES)
    dependent = Subspace.spanned_by(torch.stack([VALUE, 2 * VALUE], 1))
    assert dependent.rank == 1
    torch.testing.assert_close(dependent.project(VALUE), VALUE, rtol=0, atol=1e-5)
    torch.testing.assert_close(DIMS.orthonormal().T @ as_basis.orthonormal(), torch.eye(2, dtype=torch.float64))
