import numpy as np
import pytest
from planted_effects import influence_everywhere, planted_truth

from imprint.corpus import ABILITIES
from imprint.runs import LocalExecutor, Store, silent
from imprint.studies import abilities_scorecard as scorecards
from imprint.studies.abilities_scorecard import (
    RETRAINING,
    abilities_scorecard,
    match_rows,
    matches_overview,
    method_matches,
    truth_overview,
    truth_rows,
)
from imprint.studies.ability_perturbations import BASELINES, DOSES
from imprint.studies.ability_training import AbilityTraining
from imprint.studies.planted_abilities import EVERYTHING

BRIEF = AbilityTraining(steps=2, checkpoint_every=2, batch=8, items=20)
SWAPPED = np.eye(4)[[1, 0, 2, 3]]
OWN = "kinds whose own ability loses most"


def matches(effects):
    return {
        (match.method, match.measure): match
        for match in method_matches(influence_everywhere(effects), planted_truth(0.9 * np.eye(4)))
    }


def gates(rows):
    return {row.question.split(" [")[0]: row.passed for row in rows if row.passed is not None}


def test_the_planted_permutation_passes():
    rows = truth_rows(planted_truth(0.9 * np.eye(4)))
    assert len(gates(rows)) == 6
    assert all(gates(rows).values())
    own = next(row for row in rows if row.question.startswith(OWN))
    assert (own.value, own.method) == (4.0, RETRAINING)
    assert next(row for row in rows if row.metric == "permutation p").value == 1 / 24
    cells = [row for row in rows if row.question.startswith("loss of")]
    assert len(cells) == 16
    assert all(row.passed is None for row in cells)


def test_side_effects_do_not_hide_it_until_they_are_larger():
    effects = 0.9 * np.eye(4)
    effects[2, 0] = 0.6
    assert all(gates(truth_rows(planted_truth(effects))).values())
    effects[2, 0] = 1.0
    failed = [question for question, passed in gates(truth_rows(planted_truth(effects))).items() if not passed]
    assert len(failed) == 3  # together, and the two kinds whose row or column it is
    assert failed[0].startswith(OWN)


@pytest.mark.parametrize(
    "effects", [np.zeros((4, 4)), 0.9 * SWAPPED, 0.9 * np.ones((4, 4))], ids=["none", "swapped", "all"]
)
def test_the_mutations_fail(effects):
    passed = gates(truth_rows(planted_truth(effects)))
    assert any(not ok for question, ok in passed.items() if question.startswith(OWN))
    assert sum(not ok for question, ok in passed.items() if question.startswith("without ")) >= 2


def test_runs_that_learned_nothing_fail():
    assert not any(gates(truth_rows(planted_truth(np.zeros((4, 4)), learned=0.3))).values())


def test_a_lead_that_seeds_do_not_agree_on_fails_by_its_interval():
    effects = 0.9 * np.eye(4)
    assert not all(gates(truth_rows(planted_truth(effects, seeds=2, noise=0.3))).values())


def test_one_seed_has_no_interval():
    truth = planted_truth(0.9 * np.eye(4), seeds=1)
    rows = truth_rows(truth)
    assert all(gates(rows).values())
    assert not [row for row in rows if "[" in row.question]
    assert truth_overview(truth).title.endswith("1 seed)")


def test_the_table_of_the_truth_shows_every_cell_with_its_interval():
    truth = planted_truth(0.9 * np.eye(4), noise=0.0)
    shown = truth_overview(truth)
    assert shown.columns == ("", *ABILITIES)
    assert [line[0] for line in shown.lines] == [
        "without novel repeats",
        "without arithmetic",
        "without code",
        "without facts",
    ]
    assert shown.lines[0][1] == "+0.90 [+0.90, +0.90]"
    assert shown.lines[0][2].startswith("+0.00")


def test_a_cheap_method_that_is_right():
    found = matches(np.eye(4))["LEACE erasure", "accuracy"]
    assert (found.matched, found.largest, found.recovered, found.significant) == (4, 4, True, 4)
    assert found.correlation.rho > 0.6
    values = {row.metric: row.value for row in match_rows(found)}
    assert values["1 = yes"] == 1.0
    assert values["rho"] == found.correlation.rho
    assert all(row.passed is None and row.gate == "" for row in match_rows(found))


def test_cheap_methods_that_are_wrong():
    swapped = matches(SWAPPED)["LEACE erasure", "log-prob"]
    assert (swapped.matched, swapped.largest, swapped.recovered) == (2, 2, False)
    assert swapped.correlation.rho < matches(np.eye(4))["LEACE erasure", "log-prob"].correlation.rho
    weak = np.eye(4)
    weak[0, 1] = 1.5
    hidden = matches(weak)["LEACE erasure", "accuracy"]
    assert (hidden.matched, hidden.largest, hidden.recovered) == (4, 2, False)


def test_harm_below_the_controls_is_not_told_apart():
    assert matches(-np.eye(4))["LEACE erasure", "accuracy"].significant == 0


def test_a_uniform_effect_has_no_correlation_to_report():
    found = matches(np.ones((4, 4)))["LEACE erasure", "accuracy"]
    assert (found.correlation, found.matched, found.largest, found.recovered) == (None, 0, 0, False)
    assert not [row for row in match_rows(found) if row.metric == "rho"]
    assert "constant" in matches_overview([found]).lines[0]


def test_the_whole_world_in_two_steps(tmp_path, monkeypatch):
    """The mutation of the scorecard: models that learned nothing pass no gate; the same folder gives the same rows."""
    monkeypatch.setattr(scorecards, "influence_records", lambda *_: influence_everywhere(np.eye(4)))
    found = abilities_scorecard(BRIEF, 2, Store(tmp_path), LocalExecutor(workers=1), silent)
    assert {row.method for row in found.rows} == {"untouched", RETRAINING, EVERYTHING, *DOSES, *BASELINES}
    assert not [row for row in found.rows if row.passed]
    assert all(np.isfinite(row.value) for row in found.rows)
    truth, methods = found.overviews
    assert len(truth.lines) == 4
    assert len(methods.lines) == 2 * (len(DOSES) + 1) + len(BASELINES)
    assert abilities_scorecard(BRIEF, 2, Store(tmp_path), LocalExecutor(workers=1), silent) == found
