"""Questions: what they may say, and which curves they mean."""

import polars as pl
import pytest

from imprint.emergence.predictor import questions_of
from imprint.emergence.predictor.asked import match
from imprint.emergence.trajectories import curves, trajectories
from imprint.errors import InputError
from planted_curves import planted_table, row


def question(**changes):
    plain = {
        "question_id": "q",
        "source": "planted",
        "family": "f0",
        "task": "skill1_1",
        "shots": 0.0,
        "variant": "base",
        "axis": "params",
        "origin": 9e7,
        "horizon": 1e10,
    }
    return plain | changes


@pytest.fixture(scope="module")
def known():
    return curves(trajectories(planted_table()), "params")


def matched(known, **changes):
    by_task = {}
    for index, curve in enumerate(known):
        by_task.setdefault(curve.task, []).append(index)
    (asked,) = questions_of(pl.DataFrame([question(**changes)]))
    return match(asked, known, by_task)


def test_a_question_means_one_curve_up_to_its_origin(known):
    ((index, count),) = matched(known).curves
    assert (known[index].family, known[index].task, count) == ("f0", "skill1_1", 3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": "new"}, "task 'new' is not in the history"),
        ({"family": "new"}, "family 'new' has no scores"),
        ({"shots": 5.0}, "never measured with 5 shots"),
        ({"origin": 1e6}, "up to the origin"),
    ],
)
def test_what_was_never_seen_is_said(known, changes, reason):
    found = matched(known, **changes)
    assert found.curves == ()
    assert reason in found.reason


def test_a_source_or_variant_that_the_history_does_not_name_does_not_stand_in_the_way(known):
    assert matched(known, source="elsewhere", variant="final").curves == matched(known).curves


def test_along_tokens_a_family_may_be_a_model_and_the_unanswered_ones_are_meant():
    rows = [
        row(model=f"m-{size:g}", params=size, tokens=tokens, score=0.25 + tokens / 1e12, task="t")
        for size, last in ((1e7, 4), (1e8, 2))
        for tokens in [1e9 * 2**k for k in range(last)]
    ]
    known = curves(trajectories(pl.DataFrame(rows)), "tokens")
    named = matched(known, family="m-1e+07", task="t", axis="tokens", origin=2e9, horizon=8e9).curves
    assert [known[index].model for index, _ in named] == ["m-1e+07"]
    meant = matched(known, family="f", task="t", axis="tokens", origin=2e9, horizon=8e9).curves
    assert [known[index].model for index, _ in meant] == ["m-1e+08"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"axis": "steps"}, "use params, tokens or flops"),
        ({"origin": -1.0}, "not a positive number; give the raw scale"),
        ({"horizon": 1e7}, "does not lie beyond the origin"),
    ],
)
def test_bad_questions_are_refused(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        questions_of(pl.DataFrame([question(**changes)]))


def test_columns_and_ids_are_checked():
    with pytest.raises(InputError, match="no column 'axis'"):
        questions_of(pl.DataFrame([question()]).drop("axis"))
    with pytest.raises(InputError, match="'q' appears more than once"):
        questions_of(pl.DataFrame([question(), question()]))
