import json

import numpy as np
import pytest
from pydantic import ValidationError
from stage_runs import chats, value

from imprint.attribution.stages import StageDatamodel, StageScores, fit_subsets, row_names, stage_back, subset_pipelines
from imprint.attribution.stages.datamodel import random_parts
from imprint.errors import ConfigError
from imprint.interventions.data import load_rows

NAMES = tuple(f"row{number}" for number in range(20))


def planted(runs, seed=0, noise=0.0):
    """Outcomes that are a sum of row effects, plus noise in units of their spread."""
    generator = np.random.default_rng(seed)
    effects, kept = generator.standard_normal(20), generator.random((runs, 20)) < 0.5
    sums = kept @ effects
    return kept, sums + noise * sums.std() * generator.standard_normal(runs) + 3, effects


def test_a_linear_outcome_is_recovered():
    kept, outcomes, effects = planted(80)
    found = fit_subsets(NAMES, kept, outcomes)
    np.testing.assert_allclose(found.values, effects, atol=0.02)
    assert found.checks["held_out_spearman"] > 0.99
    assert found.checks["out_of_fold_r2"] > 0.99
    assert found.top(0.05) == (NAMES[int(effects.argmax())],)


def test_noise_lowers_the_held_out_correlation_with_the_recovery():
    clean, noisy = (fit_subsets(NAMES, *planted(80, noise=noise)[:2]).checks for noise in (0.3, 1.5))
    assert noisy["held_out_spearman"] < clean["held_out_spearman"] - 0.1
    assert noisy["out_of_fold_r2"] < clean["out_of_fold_r2"] - 0.1


def test_noise_alone_is_not_predicted():
    found = []
    for seed in range(4):
        outcomes = np.random.default_rng(100 + seed).standard_normal(30)
        found.append(fit_subsets(NAMES, planted(30, seed)[0], outcomes).checks["held_out_spearman"])
    assert abs(np.mean(found)) < 0.25
    assert max(found) < 0.6


def test_mutation_outcomes_of_other_subsets_are_not_predicted():
    kept, outcomes, effects = planted(80)
    found = fit_subsets(NAMES, kept, np.roll(outcomes, 1))
    assert found.checks["held_out_spearman"] < 0.4
    assert np.corrcoef(found.values, effects)[0, 1] < 0.6


def test_an_outcome_that_never_changes_says_nothing():
    found = fit_subsets(NAMES, planted(20)[0], np.full(20, 1.5))
    assert (found.values == 0).all()
    assert found.checks["held_out_spearman"] == 0


def test_too_few_pipelines(world):
    kept, outcomes, _ = planted(7)
    with pytest.raises(ConfigError, match="7 pipelines are too few for a datamodel; run at least 8"):
        fit_subsets(NAMES, kept, outcomes)
    with pytest.raises(ValidationError, match="greater than or equal to 8"):
        StageDatamodel(final=world.final, back=2, pairs=world.outcome, num_subsets=7, seed=0)


def test_the_pilot_is_its_plan_measured_and_fitted(world):
    rows = chats(world.folder, "late", 9)
    final = world.final.model_copy(update={"rows": rows})
    plan = subset_pipelines(final, 0, num_subsets=8, share=0.4, seed=4)
    assert len({pipeline.key for pipeline in plan}) == 8
    assert {stage_back(pipeline, 1).key for pipeline in plan} == {world.final.start.key}
    outcomes = np.array([value(world.store, pipeline, world.outcome) for pipeline in (final, *plan)])[1:]
    kept = np.ones((8, 9), dtype=bool)
    for number, part in enumerate(random_parts(final, 0, num_subsets=8, share=0.4, seed=4)):
        kept[number, load_rows(world.store.get(part))] = False
    before = len(world.store.list())
    pilot = StageDatamodel(final=final, back=0, pairs=world.outcome, num_subsets=8, share=0.4, seed=4)
    folder = world.store.get(pilot)
    assert len(world.store.list()) == before + 1
    found, expected = StageScores.load(folder), fit_subsets(row_names(world.store.get(rows)), kept, outcomes)
    assert (found.ids, found.checks) == (expected.ids, expected.checks)
    np.testing.assert_array_equal(found.values, expected.values)
    [warning] = json.loads((folder / "manifest.json").read_text())["warnings"]
    assert warning.startswith("8 pipelines for 9 rows")
