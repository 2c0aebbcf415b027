import json
from dataclasses import replace

import numpy as np
import pytest
from coupling_matrix import ALIGNMENT, ARC_CHALLENGE, nest_of, nested_world
from scipy import stats

from imprint.errors import InputError, SelfCheckFailed
from imprint.stats import Nest, Undefined, condition_f, icc_power, nested_components, one_way, pipeline_means, two_way


@pytest.mark.parametrize(
    ("table", "f", "p", "icc", "eta", "omega"),
    [(ALIGNMENT, 0.537, 0.712, -0.182, 0.177, -0.141), (ARC_CHALLENGE, 4.280, 0.028, 0.522, 0.631, 0.467)],
)
def test_published_table(table, f, p, icc, eta, omega):
    found = one_way(nest_of(table))
    assert (found.f.statistic, found.f.p) == pytest.approx((f, p), abs=6e-4)
    assert (found.icc.estimate, found.eta_squared.estimate, found.omega_squared.estimate) == pytest.approx(
        (icc, eta, omega), abs=6e-4
    )
    assert (found.icc.n, found.icc.unit) == (15, "pipeline seed")
    assert not found.icc.excludes_zero
    json.dumps(found.as_dict(), allow_nan=False)


def test_negative_estimates_are_reported_as_such():
    found = one_way(nest_of(ALIGNMENT))
    for effect in (found.icc, found.omega_squared):
        assert effect.estimate < 0
        assert "negative" in effect.note
    assert found.eta_squared.control.startswith("0.286")  # (5 - 1) / (15 - 1): what no effect gives on average


def test_f_equals_scipy_also_with_unequal_sizes():
    rng = np.random.default_rng(0)
    groups = [rng.normal(loc, 1, n) for loc, n in ((0, 3), (1, 5), (0.5, 2))]
    nest = Nest(
        values=np.concatenate(groups),
        conditions=np.repeat(["a", "b", "c"], [3, 5, 2]),
        pipelines=np.arange(10),
    )
    expected = stats.f_oneway(*groups)
    found = one_way(nest)
    assert (found.f.statistic, found.f.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert "unequal" in found.icc.note


def test_closed_form_by_hand():
    nest = Nest(values=np.array([0.0, 2, 4, 6]), conditions=np.array(list("aabb")), pipelines=np.array([1, 2, 1, 2]))
    found = one_way(nest)  # group means 1 and 5: MSB 16, MSW 2
    assert found.f.statistic == pytest.approx(8)
    assert found.icc.estimate == pytest.approx(7 / 9)
    assert found.eta_squared.estimate == pytest.approx(16 / 20)
    assert found.omega_squared.estimate == pytest.approx(14 / 22)
    ratio = [(8 / stats.f.isf(tail, 1, 2) - 1) / (8 / stats.f.isf(tail, 1, 2) + 1) for tail in (0.025, 0.975)]
    assert (found.icc.low, found.icc.high) == pytest.approx(ratio)


def shapes(nest):
    found = one_way(nest)
    effects = (found.icc, found.eta_squared, found.omega_squared)
    return [found.f.statistic, *(value for effect in effects for value in (effect.estimate, effect.low, effect.high))]


def test_shift_scale_order_and_names_do_not_matter():
    nest = nested_world(4, 3, 2, (1, 1, 0.5), seed=1)
    expected = shapes(nest)
    assert shapes(replace(nest, values=5 - 3 * nest.values)) == pytest.approx(expected)
    order = np.random.default_rng(2).permutation(nest.values.size)
    names = np.array(["d", "b", "a", "c"])
    shuffled = Nest(
        values=nest.values[order],
        conditions=names[nest.conditions][order],
        pipelines=(100 * nest.conditions + nest.pipelines)[order],  # globally unique labels: the same nest
        stages=nest.stages[order],
    )
    assert shapes(shuffled) == pytest.approx(expected)


def test_intervals_cover():
    truth, hits = 0.5, 0
    for seed in range(200):
        icc = one_way(nested_world(5, 3, 1, (1, 1, 0), seed)).icc
        hits += icc.low <= truth <= icc.high
    assert 0.91 <= hits / 200 <= 0.985


def test_omega_interval_inverts_the_noncentral_f():
    found = one_way(nest_of(ARC_CHALLENGE), level=0.9)
    share = found.omega_squared.low
    assert stats.ncf.sf(found.f.statistic, 4, 10, 15 * share / (1 - share)) == pytest.approx(0.05, abs=1e-6)


def test_no_spread_is_undefined():
    flat = Nest(values=np.full(6, 0.3), conditions=np.repeat(list("ab"), 3), pipelines=np.arange(6))
    parted = replace(flat, values=np.repeat([0.3, 0.7], 3))
    for nest in (flat, parted):
        found = one_way(nest)
        assert isinstance(found.f, Undefined)
        assert isinstance(found.icc, Undefined)
        json.dumps(found.as_dict())


def lying(nest):
    """The mutation: last-stage seeds passed off as pipelines."""
    return Nest(
        values=nest.values,
        conditions=nest.conditions,
        pipelines=np.unique(np.stack([nest.pipelines, nest.stages]), axis=1, return_inverse=True)[1],
    )


@pytest.mark.parametrize("analyse", [one_way, condition_f, nested_components, pipeline_means, two_way])
def test_last_stage_seeds_of_one_pipeline_are_refused(analyse):
    nest = nested_world(5, 1, 10, (0, 1, 1), seed=3)
    with pytest.raises(InputError, match=r"pipeline seeds of every condition from the first stage on.*"):
        analyse(nest)
    assert one_way(lying(nest)).f.p < 0.05  # what the refusal protects from: this world has no condition effect


def test_refusals():
    with pytest.raises(InputError, match="at least 2"):
        one_way(Nest(values=np.arange(4.0), conditions=np.zeros(4), pipelines=np.arange(4)))
    with pytest.raises(InputError, match="3 labels of pipeline seed do not fit 4 values"):
        Nest(values=np.arange(4.0), conditions=np.zeros(4), pipelines=np.arange(3))
    with pytest.raises(SelfCheckFailed, match="not finite"):
        Nest(values=np.array([1.0, np.nan]), conditions=np.zeros(2), pipelines=np.arange(2))


@pytest.mark.parametrize(("pipeline_sd", "naive"), [(0.0, 0.05), (0.5, 0.58), (1.0, 0.91), (2.0, 0.99)])
def test_naive_f_finds_conditions_in_noise_and_the_nested_one_does_not(pipeline_sd, naive):
    """AT-VAR-3: no condition effect; ten last-stage seeds of one pipeline against five pipelines of two."""
    exact = icc_power(pipeline_sd**2 / (pipeline_sd**2 + 1), conditions=5, pipelines=10)
    assert exact == pytest.approx(naive, abs=0.01)
    worlds = 400
    fooled = [condition_f(lying(nested_world(5, 1, 10, (0, pipeline_sd, 1), seed))).p for seed in range(worlds)]
    honest = [condition_f(nested_world(5, 5, 2, (0, pipeline_sd, 1), 10_000 + seed)).p for seed in range(worlds)]
    assert np.mean(np.array(fooled) < 0.05) == pytest.approx(exact, abs=0.06)
    assert np.mean(np.array(honest) < 0.05) == pytest.approx(0.05, abs=0.035)


def test_a_condition_effect_is_found():
    found = [condition_f(nested_world(5, 5, 2, (2, 1, 1), seed)).p for seed in range(100)]
    assert np.mean(np.array(found) < 0.05) > 0.9


def test_pipeline_means_average_inside_out():
    nest = Nest(
        values=np.array([0.0, 4, 9, 1, 2]),
        conditions=np.array(["a", "a", "a", "a", "b"]),
        pipelines=np.array([7, 7, 7, 8, 7]),
        stages=np.array([0, 0, 1, 0, 0]),
    )
    found = pipeline_means(nest)
    np.testing.assert_allclose(found.values, [(2 + 9) / 2, 1, 2])  # two samples of stage 0, then two stages
    assert found.sizes.tolist() == [2, 1]
    assert found.seeds.tolist() == [7, 8, 7]
    assert found.note == "one pipeline only in b: spread taken from the others"
