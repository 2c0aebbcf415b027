import dataclasses

import numpy as np
import pytest
from planted_effects import influence_everywhere

from imprint.attribution import BASELINES
from imprint.runs import LocalExecutor
from imprint.studies import abilities_scorecard, calibration
from imprint.studies.abilities_scorecard import RETRAINING
from imprint.studies.ability_perturbations import BASELINES as SIMILARITIES
from imprint.studies.ability_perturbations import DOSES
from imprint.studies.calibration import CalibrationOptions, calibrate
from imprint.studies.planted_abilities import WORLD
from imprint.studies.planted_ranking import GATE, OTHER, RIGHT, WRONG
from imprint.studies.scorecard import Overview, Row, Scorecard
from tiny_studies import bytes_of

HERE = LocalExecutor(workers=1)
BRIEF = CalibrationOptions(
    ranking_steps=4,
    ranking_checkpoint_every=2,
    ranking_seeds=1,
    scored_rows=120,
    retraining_steps=4,
    retraining_checkpoint_every=2,
    retraining_seeds=2,
    ability_steps=2,
    ability_checkpoint_every=2,
    ability_seeds=1,
    ability_items=4,
    attribution=False,
    susceptibility=False,
    graphs=False,
)
DELETED = ("delete all of the cause", "delete a tenth, all of it the cause", "delete a tenth at random")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("calibration")


@pytest.fixture(scope="module", autouse=True)
def _no_perturbations():
    """What perturbing takes (36 CPU-seconds) is tested with the perturbations."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(abilities_scorecard, "influence_records", lambda *_: influence_everywhere(np.eye(4)))
        yield


@pytest.fixture(scope="module")
def scorecard(folder):
    """A scorecard of models that have learned nothing."""
    return calibrate(folder, BRIEF, executor=HERE)


@pytest.fixture(scope="module")
def rows(scorecard):
    return scorecard.rows


def test_a_row_is_what_json_promises(rows):
    for row in rows:
        plain = row.as_dict()
        assert list(plain) == ["world", "method", "question", "metric", "value", "gate", "passed"]
        assert isinstance(plain["value"], float)
        assert np.isfinite(plain["value"])
        assert plain["passed"] in (True, False, None)


def test_every_method_is_asked_and_the_right_and_the_wrong_have_gates(rows):
    lowest = {row.method: row.gate for row in rows if row.metric == "lowest AUC"}
    assert set(lowest) == {*RIGHT, *WRONG, *OTHER}
    assert {method for method, gate in lowest.items() if gate == f">= {GATE}"} == set(RIGHT)
    assert {method for method, gate in lowest.items() if gate == f"< {GATE}"} == set(WRONG)
    assert set(BASELINES) <= {*WRONG, *OTHER}
    gates = {row.method: row.gate for row in rows if row.method in DELETED and row.passed is not None}
    assert gates == dict(zip(DELETED, ("< 0.1", ">= 0.3", "within ± 0.15"), strict=True))


def test_the_lowest_auc_is_the_lower_of_the_two(rows):
    for method in (*RIGHT, *WRONG, *OTHER):
        against = [row.value for row in rows if row.method == method and row.question.startswith("cause against ")]
        *single, lowest = against
        assert len(single) == 2
        assert lowest == min(single)


def test_models_that_learned_nothing_miss_the_gates(rows):
    """The mutation of the whole scorecard: nothing about the cause may pass when there is no head."""
    missed = {row.method for row in rows if row.passed is False}
    assert {*RIGHT, *DELETED} <= missed
    shifts = [row for row in rows if row.method in DELETED and row.question.startswith("shift")]
    assert all(row.question.endswith("; 2 untouched runs never emerged") for row in shifts)


def test_exact_answers_pass_without_any_training(rows):
    exact = [row for row in rows if row.world in ("hand-built induction transformer", "linear model")]
    assert len(exact) == 10
    assert all(row.passed for row in exact)


def test_four_abilities_are_shown_as_tables_and_gate_only_retraining(scorecard):
    mine = [row for row in scorecard.rows if row.world == WORLD]
    assert {row.method for row in mine if row.gate} == {"untouched", RETRAINING}
    assert {*DOSES, *SIMILARITIES} < {row.method for row in mine}
    truth, methods = scorecard.overviews
    assert truth.columns == ("", "copy", "sums", "brackets", "recall")
    assert [line[0] for line in methods.lines][-2:] == list(SIMILARITIES)


def test_the_same_folder_is_answered_from_its_store(scorecard, folder):
    before = bytes_of(folder, manifests=True)
    assert calibrate(folder, BRIEF, executor=HERE) == scorecard
    assert bytes_of(folder, manifests=True) == before


def test_attribution_comes_last_with_its_own_table(monkeypatch, scorecard, folder):
    """Judging the methods (it retrains a thousand times) is tested with the methods."""
    mine = Row(world="natural text", method="EK-FAC", question="small drops", metric="LDS", value=0.6)
    table = Overview(title="Attribution", columns=("",), lines=())
    found = []

    def judged(lab):
        found.append(lab)
        return Scorecard(rows=(mine,), overviews=(table,))

    monkeypatch.setattr(calibration, "attribution_scorecard", judged)
    whole = calibrate(folder, dataclasses.replace(BRIEF, attribution=True), executor=HERE)
    assert whole.rows == (*scorecard.rows, mine)
    assert whole.overviews == (*scorecard.overviews, table)
    assert found[0].plan.subsets >= 100


def test_the_susceptibility_study_comes_with_its_own_folder(monkeypatch, scorecard, folder):
    """Its worlds are tested with the planted pipelines."""
    mine = Row(world="planted: ten examples", method="susceptibility study", question="names it", metric="", value=1.0)
    asked = []

    def judged(sizes, out, executor, reporter):
        asked.append((sizes.noise_worlds, out))
        return [mine]

    monkeypatch.setattr(calibration, "susceptibility_rows", judged)
    whole = calibrate(folder, dataclasses.replace(BRIEF, susceptibility=True), executor=HERE)
    assert whole.rows == (*scorecard.rows, mine)
    assert asked == [(40, folder / "susceptibility")]


@pytest.mark.slow
def test_the_planted_cause_is_found_and_every_wrong_method_fails(tmp_path):
    """AT-MDA-4 with hard negatives, two seeds trained through the transition (two minutes or so)."""
    rows = calibrate(
        tmp_path,
        CalibrationOptions(retraining=False, abilities=False, attribution=False, susceptibility=False),
        executor=HERE,
    ).rows
    assert [(row.method, row.question, row.value) for row in rows if row.passed is False] == []
    gated = [row for row in rows if row.gate and row.world == "hard-negatives"]
    assert len(gated) == 2 * (len(RIGHT) + len(WRONG) + 2)
