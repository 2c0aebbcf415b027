import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprint.emergence import inside_transition, transition_checkpoints, transition_window

STEPS = list(range(0, 1100, 100))
RISE = [0.02, 0.02, 0.03, 0.05, 0.12, 0.30, 0.52, 0.70, 0.79, 0.82, 0.80]


def test_the_window_encloses_the_rise():
    """A tenth of the rise is .10, nine tenths are .74: the last checkpoint below and the first one above."""
    assert transition_window(STEPS, RISE) == (300, 800)
    assert transition_window(STEPS, RISE, low=0.3, high=0.5) == (400, 600)


def test_a_jump_is_enclosed_by_its_two_checkpoints():
    assert transition_window([0, 100, 200, 300], [0.02, 0.02, 0.9, 0.9]) == (100, 200)
    assert transition_checkpoints([0, 100, 200, 300], [0.02, 0.02, 0.9, 0.9], 5) == (100,)  # .43 from half, not .45
    assert transition_checkpoints([0, 100, 200, 300], [0.0, 0.0, 0.7, 0.9], 5) == (200,)


def test_a_curve_that_does_not_rise_has_none():
    assert inside_transition(STEPS, [0.03] * 11) == 0
    for flat in ([0.03] * 11, [0.03, 0.12] + [0.03] * 9, [0.9 - 0.05 * i for i in range(11)]):
        assert transition_window(STEPS, flat) is None
        assert transition_checkpoints(STEPS, flat, 3) == ()
    assert transition_window(STEPS, [0.03, 0.12] + [0.03] * 9, least=0.05) == (0, 100)


def test_a_fall_after_the_peak_and_a_dip_before_the_rise_do_not_matter():
    late = [*RISE[:9], 0.82, 0.3]
    assert transition_window(STEPS, late) == (300, 800)
    early = [0.3, 0.2, 0.03, 0.02, *RISE[4:]]
    assert transition_window(STEPS, early) == (300, 800)


def test_checkpoints_are_spread_inside_the_window():
    assert inside_transition(STEPS, RISE) == 500
    assert transition_checkpoints(STEPS, RISE, 1) == (500,)
    assert transition_checkpoints(STEPS, RISE, 2) == (500, 700)
    assert transition_checkpoints(STEPS, RISE, 3) == (400, 500, 700)
    assert transition_checkpoints(STEPS, RISE, 4) == (400, 500, 600, 700)
    assert transition_checkpoints(STEPS, RISE, 9) == (400, 500, 600, 700)
    assert transition_checkpoints(STEPS, RISE, 0) == ()


curves = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(strength=curves, count=st.integers(1, 6))
def test_the_checkpoints_lie_in_the_window_with_that_of_the_transition_among_them(strength, count):
    steps = list(range(0, 50 * len(strength), 50))
    window, chosen = transition_window(steps, strength), transition_checkpoints(steps, strength, count)
    if window is None:
        assert chosen == ()
        return
    assert window[0] in steps
    assert window[1] in steps
    assert inside_transition(steps, strength) in chosen
    assert len(chosen) <= count
    assert list(chosen) == sorted(set(chosen))
    assert all(window[0] <= step <= window[1] for step in chosen)


@given(strength=curves, scale=st.sampled_from([0.25, 0.5, 2.0, 4.0]))
def test_the_window_does_not_depend_on_the_scale(strength, scale):
    steps = list(range(len(strength)))
    scaled = transition_window(steps, [scale * value for value in strength], least=scale * 0.125)
    assert transition_window(steps, strength, least=0.125) == scaled


@pytest.mark.parametrize("shift", [100, 5000])
def test_the_window_moves_with_the_steps(shift):
    moved = [step + shift for step in STEPS]
    assert transition_window(moved, RISE) == (300 + shift, 800 + shift)
