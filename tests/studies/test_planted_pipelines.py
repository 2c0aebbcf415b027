"""The planted worlds through the real susceptibility study, tiny; and what its rows say of given findings."""

import dataclasses

import numpy as np
import pytest

from imprint.attribution.stages import StageScores
from imprint.runs import LocalExecutor, Store, silent
from imprint.stats import Effect
from imprint.studies.planted_noise import NoiseVerdict, judge_noise_worlds, simulated_noise, train_pool
from imprint.studies.planted_pipelines import CONTEXT, OUTCOME, PipelineSizes, planted_files, planted_study
from imprint.studies.planted_susceptibility import (
    LEAST_RECALL,
    RIGHT,
    WORLDS,
    noise_rows,
    removal_rows,
    susceptibility_rows,
)
from imprint.studies.susceptibility import VARIANCE, Removal, RemovalFinding, metric_of

HERE = LocalExecutor(workers=1)
TINY = PipelineSizes(
    conditions=3,
    conversations=40,
    seeds=2,
    pretraining_steps=2,
    midtraining_steps=2,
    tuning_steps=1,
    adversarial_steps=1,
    permutations=19,
    pool=4,
    pool_seeds=2,
    noise_worlds=3,
    simulated_worlds=10,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pipelines")


@pytest.fixture(scope="module")
def rows(folder):
    """The scorecard of models that learned nothing."""
    return susceptibility_rows(TINY, folder, HERE, silent)


def test_every_world_is_asked_and_gated(rows):
    gated = {row.world for row in rows if row.gate}
    assert gated == set(WORLDS.values())
    assert all(np.isfinite(row.value) for row in rows)
    assert all((row.passed is None) == (row.gate == "") for row in rows)


def test_models_that_learned_nothing_name_nothing(rows):
    """The mutation of the whole: no explanation may be right where there is no difference."""
    named = [row for row in rows if row.question.startswith("names ")]
    assert len(named) == len(RIGHT)
    assert not any(row.passed for row in named)


def test_the_noise_rows_say_that_worlds_share_pipelines(rows):
    drawn, simulated = (row for row in rows if row.question.startswith("claims something"))
    assert drawn.question == "claims something in 3 worlds drawn from 4 conditions x 2 seeds, so they share pipelines"
    assert simulated.question.endswith("10 simulated tables")


def test_the_study_of_a_world_has_the_default_registration(tmp_path):
    study = planted_study("surface", planted_files("surface", TINY, tmp_path), TINY)
    assert [one.id for one in study.hypotheses] == ["H1", "H1b", "H4", "H2", "H3"]
    assert [stage.name for stage in study.stages] == ["midtrain", "sft", "dpo", "adversarial"]
    assert (study.context, study.outcomes[0].name) == (CONTEXT, OUTCOME)
    pool = planted_study("noise", planted_files("noise", TINY, tmp_path), TINY)
    assert (len(study.conditions), len(pool.conditions)) == (3, 4)


def test_every_noise_world_is_judged_on_its_own_conditions(folder, rows):
    study = planted_study("noise", planted_files("noise", TINY, folder / "worlds"), TINY)
    store = Store(folder / "noise" / "store")
    pool = train_pool(study, store, HERE, silent)
    assert len(pool.ran) == 8
    assert set(pool.surface["js1.reference"]) == set(study.conditions)
    verdicts = judge_noise_worlds(pool, TINY, store, HERE, silent)
    assert [one.claims for one in verdicts] == [False] * 3


# Simulated tables


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    return planted_study("noise", planted_files("noise", TINY, tmp_path_factory.mktemp("noise")), TINY)


def test_noise_is_claimed_as_rarely_as_the_gate_says(registered):
    claimed = [one.claims for one in simulated_noise(registered, 60)]
    assert sum(claimed) <= 5
    assert claimed == [one.claims for one in simulated_noise(registered, 60)]


def test_an_open_gate_claims_most_noise(registered):
    """The mutation: at level .9 the gate on variance holds hardly anything back."""
    opened = tuple(
        one.model_copy(update={"alpha": 0.9, "threshold": -1.0}) if metric_of(one.metric)[0] == VARIANCE else one
        for one in registered.hypotheses
    )
    verdicts = simulated_noise(registered.model_copy(update={"hypotheses": opened}), 20)
    assert sum(one.claims for one in verdicts) >= 14


# Rows of given findings


def removal(condition, drivers):
    shift = Effect(estimate=3.0, low=2.0, high=4.0, n=4, unit="pipeline seed", control="random")
    return Removal(
        condition=condition,
        above=True,
        scores=(StageScores(ids=("a",), values=np.zeros(1), method="TracIn-CP", checks={}),),
        agreements=(),
        drivers=drivers,
        outcomes={},
        shift=shift,
        p=0.001,
        others={"random, untouched": shift, "opposite, random": shift},
    )


@pytest.mark.parametrize(("hits", "passed"), [(10, True), (LEAST_RECALL, True), (LEAST_RECALL - 1, False), (0, False)])
def test_recall_counts_the_ten_among_the_removed(hits, passed):
    ten = tuple(f"c1-{number:03d}" for number in range(10))
    drivers = (*ten[:hits], *(f"c1-{number:03d}" for number in range(100, 110 - hits)))
    found = RemovalFinding(removals=(removal("c1", drivers), removal("c0", ten)), sd=1.0, freedom=8, fraction=0.05)
    recall, *others = removal_rows(found, {"c0": (), "c1": ten})
    assert (recall.value, recall.passed) == (hits, passed)
    assert recall.question == "of 10 planted conversations of c1 in the top 5% by TracIn-CP"
    assert [row.passed for row in others] == [None] * 3


def test_claims_are_counted_whatever_they_name():
    quiet = NoiseVerdict(named="nothing to explain", surface=True)
    loud = [dataclasses.replace(quiet, named=name, surface=False) for name in ("surface", "unexplained")]
    claimed, ungated = noise_rows("4 worlds", [quiet, quiet, *loud], 0.05)
    assert (claimed.value, claimed.passed, ungated.value, ungated.passed) == (0.5, False, 0.5, None)
    assert noise_rows("1 world", [quiet], 0.05)[0].passed
