import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprint.emergence import inside_transition, onset

STEPS = [0, 100, 200, 400, 800]
COPIES = [0.0, 1.0, 1.0, 1.0, 1.0]
PROBE = {"chance": 0.01, "items": 10_000}


def emerged(strength, copying=COPIES, threshold=0.4, steps=STEPS, **probe):
    return onset(steps, strength, copying, threshold=threshold, **{**PROBE, **probe})


def test_the_crossing_is_interpolated_in_log_steps():
    found = emerged([0.0, 0.0, 0.2, 0.6, 0.8])
    assert found.step == pytest.approx(math.sqrt(200 * 400))
    assert not found.censored
    assert emerged([0.0, 0.0, 0.3, 0.7, 0.8]).step == pytest.approx(200 * 2**0.25)


def test_a_run_that_ends_before_is_censored_at_its_last_step():
    found = emerged([0.0, 0.1, 0.2, 0.3, 0.4])
    assert (found.step, found.censored) == (800.0, True)  # reaching the threshold is not exceeding it
    assert not emerged([0.0, 0.1, 0.2, 0.3, 0.41]).censored


def test_strength_counts_only_once_copying_is_above_chance():
    strength = [0.0, 0.9, 0.9, 0.9, 0.9]
    assert emerged(strength, copying=[0.0] * 5).censored
    late = emerged(strength, copying=[0.0, 0.0, 0.0, 1.0, 1.0])
    assert 200 < late.step < 400
    able = 0.01 + 3 * math.sqrt(0.01 * 0.99 / 10_000)
    assert late.step == pytest.approx(200 * 2**able)
    barely = [0.0, 0.0125, 0.0125, 0.0125, 0.0125]
    assert emerged(strength, barely, items=10_000).censored
    assert not emerged(strength, barely, items=1_000_000).censored


def test_the_later_of_both_crossings_counts():
    strength, copying = [0.0, 0.0, 0.2, 0.6, 0.8], [0.0, 0.0, 0.0, 1.0, 1.0]
    assert emerged(strength, copying).step == pytest.approx(math.sqrt(200 * 400))
    slow = emerged(strength, copying=[0.0, 0.0, 0.0, 0.017, 1.0])  # copying passes .01298 after three quarters
    able = 0.01 + 3 * math.sqrt(0.01 * 0.99 / 10_000)
    assert slow.step == pytest.approx(200 * 2 ** (able / 0.017))
    assert slow.step > math.sqrt(200 * 400)


def test_a_dip_before_the_onset_does_not_matter():
    assert emerged([0.9, 0.1, 0.2, 0.6, 0.8], [0.0, 0.0, 1.0, 1.0, 1.0]).step == pytest.approx(math.sqrt(200 * 400))


def test_an_ability_that_is_there_at_once_has_the_first_step():
    assert emerged([0.9] * 5, [1.0] * 5, steps=[50, 100, 200, 400, 800]).step == pytest.approx(50.0)
    assert emerged([0.9] * 5, [1.0] * 5).step == 1.0  # step 0 counts as 1, so that its logarithm exists


def test_the_first_interval_of_a_run_from_scratch():
    assert emerged([0.0, 0.8, 0.8, 0.8, 0.8]).step == pytest.approx(10.0)


curves = st.lists(st.floats(0, 1), min_size=5, max_size=5)


@given(strength=curves, copying=curves, low=st.floats(0.01, 0.9), rise=st.floats(0, 0.5))
def test_a_higher_threshold_is_never_passed_earlier(strength, copying, low, rise):
    early, late = emerged(strength, copying, low), emerged(strength, copying, low + rise)
    assert early.step <= late.step * (1 + 1e-12)
    assert early.censored <= late.censored


@given(strength=curves, copying=curves, lift=st.floats(0, 0.5))
def test_a_stronger_mechanism_never_emerges_later(strength, copying, lift):
    stronger = emerged([value + lift for value in strength], copying)
    assert stronger.step <= emerged(strength, copying).step * (1 + 1e-12)


@given(strength=curves, copying=curves)
def test_the_onset_lies_between_its_checkpoints(strength, copying):
    found = emerged(strength, copying)
    able = 0.01 + 3 * math.sqrt(0.01 * 0.99 / 10_000)
    first = next((i for i in range(5) if strength[i] > 0.4 and copying[i] > able), None)
    if first is None:
        assert found.censored
    else:
        low, high = STEPS[max(first - 1, 0)], max(STEPS[first], 1)
        assert low <= found.step * (1 + 1e-12)
        assert found.step <= high * (1 + 1e-12)


def test_the_checkpoint_inside_the_transition_is_nearest_to_half_of_the_peak():
    assert inside_transition([0, 100, 200, 300, 400], [0.02, 0.04, 0.35, 0.7, 0.8]) == 200
    assert inside_transition([0, 100, 200, 300, 400], [0.02, 0.04, 0.05, 0.7, 0.8]) == 300
    assert inside_transition([0, 100, 200, 300, 400], [0.02, 0.04, 0.11, 0.7, 0.8]) == 200


def test_checkpoints_after_the_peak_do_not_count():
    assert inside_transition([0, 100, 200, 300, 400], [0.0, 0.1, 0.8, 0.4, 0.39]) == 100
    assert inside_transition([0, 100, 200], [0.8, 0.4, 0.1]) == 0


def test_the_first_of_equally_near_checkpoints_counts():
    assert inside_transition([0, 100, 200, 300], [0.0, 0.375, 0.625, 1.0]) == 100


@given(strength=st.lists(st.floats(0.001, 1), min_size=1, max_size=8), scale=st.sampled_from([0.25, 0.5, 2.0, 4.0]))
def test_the_choice_does_not_depend_on_the_scale(strength, scale):
    steps = list(range(0, 100 * len(strength), 100))
    chosen = inside_transition(steps, strength)
    assert chosen == inside_transition(steps, [scale * value for value in strength])
    assert chosen <= steps[int(np.argmax(strength))]
