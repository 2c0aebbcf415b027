import json

import pytest
from scipy import stats

from imprint.errors import InputError
from imprint.stats import Undefined, accuracy_gate, shift_gate
from imprint.studies.variance import detectable, judge_accuracy, judge_correlation, judge_shift
from imprint.studies.variance.detectable import fewest_pipelines


def test_the_registered_correlation_gate():
    found = judge_correlation(0.7, 5)
    assert found.gate.false_positive_rate == pytest.approx(14 / 120)  # 11.7 %, METHODS 6
    assert found.honest_threshold == pytest.approx(0.9)
    assert "in 11.7 % of studies; a false-positive rate of 5 % takes 0.9" in found.answer
    assert [one.truth for one in found.power] == [0.5, 0.7, 0.9]
    assert found.power[0].power < found.power[1].power < found.power[2].power
    json.dumps(found.as_dict(), allow_nan=False)


def test_pearson_two_sided_is_the_table_of_critical_values():
    found = judge_correlation(0.7, 5, statistic="pearson", sides="two-sided")
    assert found.gate.false_positive_rate == pytest.approx(0.188, abs=0.001)
    assert found.honest_threshold == pytest.approx(0.878, abs=0.001)


def test_many_scalars_need_a_higher_threshold_or_have_none():
    many = judge_correlation(0.7, 5, scalars=10)
    assert many.gate.family_rate == pytest.approx(1 - (1 - 14 / 120) ** 10)
    assert isinstance(many.honest_threshold, Undefined)
    assert "71.1 % with 10 independent scalars" in many.answer
    assert "cannot show" in many.answer
    json.dumps(many.as_dict(), allow_nan=False)
    pearson = [judge_correlation(0.7, 5, statistic="pearson", scalars=count).honest_threshold for count in (1, 10)]
    assert pearson[0] < pearson[1] < 1


@pytest.mark.parametrize(("documents", "chance"), [(40, 0.2), (7, 0.5), (1000, 0.25)])
def test_the_honest_accuracy_is_the_smallest(documents, chance):
    found = judge_accuracy(0.8, documents, chance=chance)
    hits = round(found.honest_threshold * documents)
    assert stats.binom.sf(hits - 1, documents, chance) <= 0.05 < stats.binom.sf(hits - 2, documents, chance)
    assert accuracy_gate(found.honest_threshold, documents, chance=chance).false_positive_rate <= 0.05


def test_too_few_documents_have_no_honest_accuracy():
    found = judge_accuracy(0.8, 3, chance=0.5)
    assert isinstance(found.honest_threshold, Undefined)
    json.dumps(found.as_dict())


def test_the_honest_shift_has_the_asked_rate():
    found = judge_shift(1.0, 3)
    assert found.gate.false_positive_rate == shift_gate(1.0, treated=3, control=3).false_positive_rate
    assert shift_gate(found.honest_threshold, treated=3, control=3).false_positive_rate == pytest.approx(0.05)
    assert found.honest_threshold == pytest.approx(stats.t.isf(0.025, 2) * (2 / 3) ** 0.5)
    assert judge_shift(1.0, 3, sides="greater").honest_threshold < found.honest_threshold
    assert judge_shift(1.0, 20).honest_threshold < 1 < found.honest_threshold


def test_what_a_design_sees_grows_with_its_pipelines():
    few, many = (detectable(conditions=5, pipelines=n, alpha=0.05) for n in (3, 10))
    assert few.icc > many.icc
    assert few.range_sds > many.range_sds
    assert detectable(conditions=2, pipelines=3, alpha=0.05).smallest_p == pytest.approx(0.1)
    assert detectable(conditions=5, pipelines=3, alpha=0.01).icc > few.icc
    assert detectable(conditions=300, pipelines=3, alpha=0.05).smallest_p == 0.0  # more arrangements than a float holds


@pytest.mark.parametrize(("conditions", "alpha", "needed"), [(2, 0.05, 4), (3, 0.05, 3), (5, 0.05, 2), (300, 0.01, 2)])
def test_fewest_pipelines_for_a_p_of_alpha(conditions, alpha, needed):
    assert fewest_pipelines(conditions, alpha) == needed
    if conditions < 10:
        assert detectable(conditions=conditions, pipelines=needed, alpha=alpha).smallest_p <= alpha


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: judge_correlation(0.7, 2),
        lambda: judge_correlation(1.7, 5),
        lambda: judge_correlation(0.7, 5, alpha=0.5),
        lambda: judge_correlation(0.7, 5, scalars=0),
        lambda: judge_accuracy(0.8, 0, chance=0.2),
        lambda: judge_accuracy(0.8, 40, chance=1.0),
        lambda: judge_shift(1.0, 1),
        lambda: judge_shift(0.0, 3),
        lambda: judge_shift(1.0, 3, alpha=0.0),
        lambda: detectable(conditions=5, pipelines=1, alpha=0.05),
    ],
)
def test_impossible_gates_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()
