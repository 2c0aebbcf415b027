import json
from dataclasses import replace

import numpy as np
import pytest
from coupling_matrix import ALIGNMENT, nest_of, nested_world
from statsmodels.regression.mixed_linear_model import MixedLM

from imprint.stats import Nest, Undefined, condition_f, nested_components, one_way
from imprint.stats.mean_squares import MeanSquare, difference_interval, mean_square_interval
from imprint.stats.nest import nested_codes
from imprint.stats.reml import reml_components, reml_deviance


def sampled(conditions, pipelines, stages, samples, sds, seed):
    """A balanced nest of four levels, and its values as an array."""
    models = nested_world(conditions, pipelines, stages, sds[:3], seed)
    noise = sds[3] * np.random.default_rng(seed + 1).standard_normal((models.values.size, samples))
    values = models.values[:, None] + noise
    columns = (models.conditions, models.pipelines, models.stages)
    conditions_, pipelines_, stages_ = (np.repeat(column, samples) for column in columns)
    nest = Nest(values=values.ravel(), conditions=conditions_, pipelines=pipelines_, stages=stages_)
    return nest, values.reshape(conditions, pipelines, stages, samples)


def test_balanced_nest_equals_textbook_anova_and_reml():
    nest, v = sampled(5, 4, 3, 2, (2, 1, 0.7, 0.5), seed=0)
    squares = [
        24 * v.mean((1, 2, 3)).var(ddof=1),
        6 * v.mean((2, 3)).var(1, ddof=1).mean(),
        2 * v.mean(3).var(2, ddof=1).mean(),
        v.var(3, ddof=1).mean(),
    ]
    expected = [*((squares[i] - squares[i + 1]) / size for i, size in enumerate((24, 6, 2))), squares[3]]
    found = nested_components(nest)
    assert [part.level for part in found] == ["condition", "pipeline seed", "stage seed", "evaluation sample"]
    assert [part.variance.estimate for part in found] == pytest.approx(expected)
    assert [part.reml for part in found] == pytest.approx(expected, rel=1e-3)
    assert [part.f.statistic for part in found[:3]] == pytest.approx([squares[i] / squares[i + 1] for i in range(3)])
    assert [part.nodes for part in found] == [5, 20, 60, 120]
    assert [(part.variance.n, part.variance.unit) for part in found] == [
        (20, "pipeline seed"),
        (20, "pipeline seed"),
        (60, "run"),
        (120, "item"),
    ]
    assert sum(part.share for part in found) == pytest.approx(1)
    json.dumps([part.as_dict() for part in found], allow_nan=False)


def test_condition_f_is_the_f_on_pipeline_means():
    nest, _ = sampled(4, 3, 2, 2, (1, 1, 1, 1), seed=5)
    assert nested_components(nest)[0].f.p == pytest.approx(condition_f(nest).p)


def test_negative_component_is_not_clipped_and_reml_is_zero():
    condition, pipeline = nested_components(nest_of(ALIGNMENT))
    assert condition.variance.estimate == pytest.approx(-1.232, abs=2e-3)
    assert "negative" in condition.variance.note
    assert condition.share == pytest.approx(one_way(nest_of(ALIGNMENT)).icc.estimate)  # two balanced levels: the ICC
    assert condition.reml == 0
    assert pipeline.reml == pytest.approx(np.var(list(ALIGNMENT.values()), ddof=1), rel=1e-4)  # the one variance left


def test_levels_that_the_design_cannot_separate_are_named_together():
    found = nested_components(nested_world(4, 3, 1, (1, 1, 1), seed=1))
    assert [part.level for part in found] == ["condition", "pipeline seed + stage seed"]
    assert isinstance(found[-1].f, Undefined)
    assert found[-1].variance.unit == "pipeline seed"


def test_unbalanced_estimates_are_unbiased():
    kept = np.random.default_rng(7).random(5 * 4 * 2) < 0.8
    total = np.zeros(3)
    worlds = 80
    for seed in range(worlds):
        full = nested_world(5, 4, 2, (1, 1, 0.5), seed)
        nest = Nest(
            values=full.values[kept],
            conditions=full.conditions[kept],
            pipelines=full.pipelines[kept],
            stages=full.stages[kept],
        )
        total += [part.variance.estimate for part in nested_components(nest)]
    np.testing.assert_allclose(total / worlds, [1, 1, 0.25], rtol=0.3)


def test_scale_and_shift():
    nest, _ = sampled(3, 3, 2, 2, (1, 1, 1, 1), seed=3)
    found, moved = nested_components(nest), nested_components(replace(nest, values=10 - 3 * nest.values))
    for one, other in zip(found, moved, strict=True):
        assert other.variance.estimate == pytest.approx(9 * one.variance.estimate)
        assert (other.variance.low, other.variance.high) == pytest.approx((9 * one.variance.low, 9 * one.variance.high))
        assert other.reml == pytest.approx(9 * one.reml, rel=1e-3, abs=1e-3)


def test_breaking_the_nest_moves_the_variance_inwards():
    nest = nested_world(6, 5, 2, (3, 1, 0.3), seed=4)
    order = np.random.default_rng(0).permutation(nest.values.size)
    kept, broken = nested_components(nest), nested_components(replace(nest, values=nest.values[order]))
    assert kept[0].share > 0.6
    assert broken[0].share < 0.3


@pytest.mark.parametrize("ratio", [1.0, 10.0])
def test_interval_of_a_difference_of_mean_squares_covers(ratio):
    rng = np.random.default_rng(1)
    hits = exact = 0
    for upper, lower in zip(ratio * rng.chisquare(4, 1200) / 4, rng.chisquare(10, 1200) / 10, strict=True):
        low, high = difference_interval(MeanSquare(value=upper, df=4.0), MeanSquare(value=lower, df=10.0), 0.95)
        hits += low <= ratio - 1 <= high
        low, high = mean_square_interval(MeanSquare(value=lower, df=10.0), 0.95)
        exact += low <= 1 <= high
    assert 0.935 <= hits / 1200 <= 0.985
    assert 0.935 <= exact / 1200 <= 0.965


def test_interval_of_a_difference_is_chi_squared_where_nothing_is_subtracted():
    upper = MeanSquare(value=2.0, df=4.0)
    found = difference_interval(upper, MeanSquare(value=0.0, df=10.0), 0.95)
    assert found == pytest.approx(mean_square_interval(upper, 0.95))


def unbalanced():
    full = nested_world(4, 3, 3, (1, 1, 0.5), seed=6)
    kept = np.random.default_rng(0).random(full.values.size) < 0.8
    codes = [code[kept] for code in list(nested_codes(full).values())[:2]]
    return full.values[kept], [np.unique(code, return_inverse=True)[1] for code in codes]


def dense_deviance(values, codes, ratios):
    covariance = np.eye(values.size)
    for code, ratio in zip(codes, ratios, strict=True):
        covariance += ratio * (code[:, None] == code)
    ones, inverse = np.ones(values.size), np.linalg.inv(covariance)
    centred = values - (ones @ inverse @ values) / (ones @ inverse @ ones)
    residual = centred @ inverse @ centred / (values.size - 1)
    logs = np.linalg.slogdet(covariance)[1] + np.log(ones @ inverse @ ones)
    return logs + (values.size - 1) * np.log(residual), residual


@pytest.mark.parametrize("ratios", [(0.0, 0.0), (1.5, 0.0), (0.3, 2.0)])
def test_restricted_likelihood_equals_dense_algebra(ratios):
    values, codes = unbalanced()
    assert reml_deviance(values, codes, np.array(ratios)) == pytest.approx(dense_deviance(values, codes, ratios))


def test_reml_is_the_minimum():
    values, codes = unbalanced()
    found = np.array(reml_components(values, codes))
    best = found[:2] / found[2]
    assert found[2] == pytest.approx(dense_deviance(values, codes, best)[1])
    for change in ([0.05, 0], [-0.05, 0], [0, 0.05], [0, -0.05]):
        assert dense_deviance(values, codes, best + change)[0] > dense_deviance(values, codes, best)[0]


def test_reml_equals_statsmodels_away_from_the_boundary():
    values, (conditions, _) = unbalanced()
    values = values + 2 * conditions
    peer = MixedLM(values, np.ones((values.size, 1)), conditions, exog_re=np.ones((values.size, 1))).fit(reml=True)
    assert reml_components(values, [conditions]) == pytest.approx([float(peer.cov_re[0, 0]), peer.scale], rel=1e-3)
