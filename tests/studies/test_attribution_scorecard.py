import dataclasses

import numpy as np
import pytest
from attribution_text import PLAN, small_world

from imprint.runs import LocalExecutor, Store, silent
from imprint.stats import Effect
from imprint.studies.attribution_judgement import judge
from imprint.studies.attribution_methods import (
    CANDIDATES,
    CURVED,
    EXACT,
    NULL,
    PLAIN,
    RETRAINED,
    VARIANTS,
    damped,
    needs,
)
from imprint.studies.attribution_retrainings import Laboratory
from imprint.studies.attribution_scorecard import judgement_rows, methods_overview, sentences, trust_overview
from tiny_studies import bytes_of


def laboratory(folder):
    return Laboratory(
        world=small_world(folder),
        plan=PLAN,
        store=Store(folder / "store"),
        executor=LocalExecutor(workers=1),
        reporter=silent,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("attribution")


@pytest.fixture(scope="module")
def judgement(folder):
    return judge(laboratory(folder))


def test_every_method_is_judged(judgement):
    assert {one.method for one in judgement.methods} == {*CANDIDATES, *RETRAINED}
    assert all((one.qld is None) == (one.method in VARIANTS) for one in judgement.methods)
    small = [one.small.estimate for one in judgement.methods]
    assert small == sorted(small, reverse=True)


def test_leave_one_out_is_the_oracle_of_dropping_one_row(judgement):
    """With drops of one row its LDS is 1 by construction; metagradients come near."""
    assert judgement.of("leave-one-out").small.estimate == pytest.approx(1.0, abs=1e-6)
    assert judgement.of(EXACT).small.estimate > 0.8


def test_rows_are_finite_and_the_gates_are_there(judgement):
    rows = judgement_rows(judgement)
    assert all(np.isfinite(row.value) for row in rows)
    gated = [row.method for row in rows if row.passed is not None]
    assert gated == [EXACT, *[CURVED] * 6, f"negated {EXACT}", NULL, NULL]
    (negated,) = [row for row in rows if row.method == f"negated {EXACT}"]
    assert negated.passed
    assert negated.value == pytest.approx(-judgement.of(EXACT).small.estimate)


def test_the_gates_follow_the_numbers(judgement):
    """A curved method that ranks like the plain one leads nothing, and one that is the truth leads."""

    def leads(scores):
        changed = dataclasses.replace(judgement, scores={**judgement.scores, CURVED: scores})
        rows = [row for row in judgement_rows(changed) if row.method == CURVED and row.passed is not None]
        return [row.passed for row in rows if "lead over gradient dot" in row.question]

    assert leads(judgement.scores[PLAIN]) == [False, False]
    assert leads(-judgement.scores[PLAIN]).count(True) <= 1


def test_a_metagradient_below_the_bar_is_missed(judgement):
    low = Effect(estimate=0.5, low=0.4, high=0.6, n=6, unit="run", control="", metric="LDS")
    methods = tuple(dataclasses.replace(one, small=low) if one.method == EXACT else one for one in judgement.methods)
    changed = dataclasses.replace(judgement, methods=methods)
    assert next(row for row in judgement_rows(changed) if row.gate.startswith(">=")).passed is False


def test_the_table_shows_what_the_rows_say(judgement):
    table = methods_overview(judgement)
    assert [line[0] for line in table.lines] == [one.method for one in judgement.methods]
    assert all(len(line) == len(table.columns) for line in table.lines)
    assert "different questions" in table.title


def test_the_words_name_methods_and_sums(judgement):
    said = sentences(judgement)
    assert said[0].startswith("Where the run was recorded, ")
    assert "Never read a sum of scores as the predicted effect of removal" in said[-1]
    for ratio in judgement.sums.values():
        assert f"{ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] of it" in said[-1]
    assert len(trust_overview(judgement).lines) == len(said)


def test_what_each_method_needs():
    assert (needs(EXACT), needs(CURVED), needs(damped(1.0))) == (
        "the recorded run",
        "the trained model",
        "the trained model",
    )
    assert needs("BM25") == "the text"


def test_the_same_store_answers_without_training(judgement, folder):
    before = bytes_of(folder / "store", manifests=True)
    again = judge(laboratory(folder))
    assert bytes_of(folder / "store", manifests=True) == before
    assert again.methods == judgement.methods
