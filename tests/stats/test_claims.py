import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imprint.errors import InputError
from imprint.stats import RUNG_MEANING, RUNGS, Claim, Effect, Evidence


def evidence(rung, passed=True, name="", unit="pipeline seed"):
    effect = Effect(estimate=0.4, low=0.3, high=0.5, n=5, unit=unit, control="matched random", metric="pm")
    return Evidence(rung=rung, name=name or f"e{rung}", effect=effect, passed=passed, null="permuted", trust="t")


def claim(*items):
    return Claim(data="novel repeats", mechanism="L1.H0", capability="copying", evidence=items)


def ladder(*rungs):
    return claim(*(evidence(rung) for rung in rungs))


@pytest.mark.parametrize(
    ("rungs", "standing", "shown"),
    [
        ((), None, ()),
        ((0,), 0, (0,)),
        ((0, 1), 1, (0, 1)),
        ((1, 2), 2, (1, 2)),  # rung 0 may be unmeasured
        ((0, 1, 2, 4), 2, (0, 1, 2, 4)),  # sufficiency was not measured: a gap
        ((0, 2), 0, (0, 2)),
        ((2, 3, 4), None, (2, 3, 4)),  # no mechanism was localised
        ((0, 1, 2, 3, 4, 5), 5, (0, 1, 2, 3, 4, 5)),
    ],
)
def test_rungs_are_climbed_without_gaps(rungs, standing, shown):
    found = ladder(*rungs)
    assert (found.rung, found.shown) == (standing, shown)
    assert claim(*reversed(found.evidence)).rung == standing  # the order of evidence does not matter


@pytest.mark.parametrize(("failed", "standing"), [(0, None), (1, 0), (2, 1), (3, 2), (4, 3), (5, 4)])
def test_one_failed_control_blocks_its_rung(failed, standing):
    found = claim(*ladder(0, 1, 2, 3, 4, 5).evidence, evidence(failed, passed=False, name="random heads"))
    assert found.rung == standing
    assert failed not in found.shown
    assert found.blocked_by == f"rung {failed} ({RUNGS[failed]}): random heads did not pass"


def test_says_what_is_missing():
    assert ladder(0, 1, 2, 4).blocked_by == "nothing was measured at rung 3 (sufficient)"
    assert ladder(1).blocked_by == "nothing was measured at rung 2 (necessary)"
    assert ladder(0).blocked_by == "nothing was measured at rung 1 (localised)"
    assert "rungs 0 (associated) and 1 (localised)" in ladder(2).blocked_by
    assert "rungs 0 (associated) and 1 (localised)" in claim().blocked_by
    assert claim(evidence(1, passed=False)).blocked_by == "rung 1 (localised): e1 did not pass"
    assert ladder(0, 1, 2, 3, 4, 5).blocked_by == ""


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=10), st.integers(0, 5))
def test_failed_evidence_never_raises_a_claim(rows, rung):
    items = [evidence(*row) for row in rows]
    before, after = claim(*items).rung, claim(*items, evidence(rung, passed=False)).rung
    assert (-1 if after is None else after) <= (-1 if before is None else before) or (before is None and after is None)
    assert after is None or after < rung or before == after
    if before is not None:
        assert before in claim(*items).shown


def test_json_has_the_promised_shape_and_comes_back():
    original = claim(evidence(0, unit="document"), evidence(1, unit="head"), evidence(2, False))
    record = json.loads(json.dumps(original.as_dict(), allow_nan=False))
    assert {"data", "mechanism", "capability", "rung", "evidence"} <= set(record)
    assert {"rung", "name", "effect"} <= set(record["evidence"][0])
    assert {"estimate", "low", "high", "n", "unit", "control"} <= set(record["evidence"][0]["effect"])
    assert (record["rung"], record["rung_name"]) == (1, "localised")
    assert Claim.from_dict(record) == original
    assert Claim.from_dict(record | {"rung": 5}).rung == 1  # a forged rung is not believed
    assert claim().as_dict()["rung"] is None


@pytest.mark.parametrize("unit", ["document", "item", "token", "head"])
def test_retraining_is_counted_in_seeds(unit):
    assert evidence(3, unit=unit).rung == 3
    with pytest.raises(InputError, match=f"units of '{unit}'"):
        evidence(4, unit=unit)


@pytest.mark.parametrize("rung", [-1, 6])
def test_unknown_rung(rung):
    with pytest.raises(InputError, match=f"rung={rung}"):
        evidence(rung)


def test_every_rung_is_explained():
    assert len(RUNGS) == len(RUNG_MEANING) == 6
