from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr
from stage_runs import SFT, Muted, value, weighed

from imprint.attribution.stages import (
    REPLAY_TOLERANCE,
    NamedRows,
    StageMetagradient,
    StageScores,
    edited,
    recorded,
    stage_back,
    without,
)
from imprint.attribution.stages.objectives import AnswerPairs
from imprint.attribution.unrolled import AdamW, constant
from imprint.errors import ConfigError, SelfCheckFailed
from imprint.models.finetuning import TuningOrder
from imprint.runs import Context

STEP = 2.0**-14
"""1 +- STEP is exact in a stream's float32."""


def scores_of(world, final=None, back=2, **fields):
    step = StageMetagradient(final=final or world.final, back=back, pairs=world.outcome, **fields)
    return StageScores.load(world.store.get(step))


def differences(world, final, back, rows):
    """Central finite differences through the real fine-tuning steps."""
    stage = stage_back(final, back)

    def moved(row, change):
        return value(world.store, edited(final, back, weighed(stage, row, 1 + change)), world.outcome)

    return np.array([(moved(row, STEP) - moved(row, -STEP)) / (2 * STEP) for row in rows])


def again(world, folder):
    """The same question asked anew, whatever the store holds."""
    StageMetagradient(final=world.final, back=2, pairs=world.outcome).execute(folder, Context(world.store))
    return StageScores.load(folder)


@pytest.mark.parametrize(
    ("back", "rows"),
    [(2, [0, 1]), (1, [1]), (0, [1])],
    ids=["through dpo and lora", "dpo itself", "adapters themselves"],
)
def test_the_derivative_is_what_the_real_stages_do_when_a_row_weighs_a_little_more(world, back, rows):
    found = scores_of(world, back=back)
    np.testing.assert_allclose(found.values[rows], differences(world, world.final, back, rows), rtol=1e-3)
    assert found.ids[0] == ("end0", "dpo0", "mid0")[back]


def test_only_what_the_next_stage_starts_from_counts(world):
    early = world.final.model_copy(update={"start_step": 2})
    found = scores_of(world, early)
    np.testing.assert_allclose(found.values[[1]], differences(world, early, 2, [1]), rtol=1e-3)
    assert np.abs(found.values - scores_of(world).values).max() > 1e-3


def test_leaving_rows_out_ranks_them_alike(world):
    found, whole = scores_of(world), value(world.store, world.final, world.outcome)
    rows = stage_back(world.final, 2).rows
    shifts = [
        whole - value(world.store, without(world.final, 2, NamedRows(rows=rows, names=(name,))), world.outcome)
        for name in found.ids[:6]
    ]
    assert spearmanr(shifts, found.values[:6]).statistic > 0.9
    assert (np.sign(shifts) == np.sign(found.values[:6])).all()


def test_every_replay_is_the_recorded_stage_and_its_check_is_kept(world):
    checks = scores_of(world).checks
    assert set(checks) == {"replay of stage 1", "replay of stage 2", "replay of stage 3"}
    assert max(checks.values()) < 1e-6 < REPLAY_TOLERANCE


def test_items_at_once_and_examples_at_once_change_nothing_but_rounding(world):
    usual = scores_of(world)
    np.testing.assert_allclose(scores_of(world, batch=1).values, usual.values, rtol=1e-6)
    dpo, first = world.final.start, stage_back(world.final, 2)
    small = first.model_copy(update={"tuning": SFT.model_copy(update={"microbatch": 2})})
    other = world.final.model_copy(update={"start": dpo.model_copy(update={"start": small})})
    assert other.key != world.final.key
    np.testing.assert_allclose(scores_of(world, other).values, usual.values, rtol=1e-4)


def test_rows_that_are_never_drawn_or_teach_nothing_have_exactly_no_effect(world):
    dpo, first = world.final.start, stage_back(world.final, 2)
    short = first.model_copy(
        update={"tuning": SFT.model_copy(update={"steps": 1}), "rows": Muted(rows=first.rows, row=3)}
    )
    found = scores_of(world, world.final.model_copy(update={"start": dpo.model_copy(update={"start": short})}))
    drawn = set(short.tuning.order(10, short.seed).rows.reshape(-1).tolist())
    assert 3 in drawn
    assert [row for row in range(10) if found.values[row]] == sorted(drawn - {3})


def test_mutation_a_reference_that_does_not_move_is_wrong(world, tmp_path, monkeypatch):
    whole, anchor = again(world, tmp_path / "whole").values, AnswerPairs.anchor
    np.testing.assert_array_equal(whole, scores_of(world).values)  # stored while nothing is mutated
    monkeypatch.setattr(AnswerPairs, "anchor", lambda pairs, model, rows: anchor(pairs, model, rows).detach())
    cut = again(world, tmp_path / "cut").values
    assert np.abs(cut - whole).max() > 0.02 * np.abs(whole).max()


def other_order(monkeypatch):
    monkeypatch.setattr(
        recorded, "order_of", lambda stage: TuningOrder(rows=stage.rows, tuning=stage.tuning, seed=stage.seed + 1)
    )


def other_adapters(monkeypatch):
    low_rank = recorded._low_rank
    monkeypatch.setattr(recorded, "_low_rank", lambda model, lora, seed: low_rank(model, lora, seed + 1))


def other_rate(monkeypatch):
    of = AdamW.of
    monkeypatch.setattr(AdamW, "of", lambda recipe: replace(of(recipe), schedule=constant))


@pytest.mark.parametrize("other", [other_order, other_adapters, other_rate])
def test_mutation_a_replay_of_another_run_is_refused(world, tmp_path, monkeypatch, other):
    other(monkeypatch)
    with pytest.raises(SelfCheckFailed, match=r"replay of stage 3 ends .* of the stage's way"):
        again(world, tmp_path)


def test_a_stage_that_no_replay_repeats(world):
    dropping = stage_back(world.final, 2).model_copy(update={"tuning": SFT.model_copy(update={"dropout": True})})
    final = world.final.model_copy(update={"start": world.final.start.model_copy(update={"start": dropping})})
    with pytest.raises(ConfigError, match="back=2 was trained with dropout"):
        StageMetagradient(final=final, back=2, pairs=world.outcome)
    assert StageMetagradient(final=final, back=1, pairs=world.outcome).back == 1
    with pytest.raises(ConfigError, match="back=3 names no stage of a pipeline of 3"):
        StageMetagradient(final=world.final, back=3, pairs=world.outcome)
