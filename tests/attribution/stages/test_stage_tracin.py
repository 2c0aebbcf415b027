import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import spearmanr
from stage_runs import SFT, Muted, write

from imprint.attribution.stages import StageMetagradient, StageScores, StageTracIn, stage_back
from imprint.attribution.stages.objectives import AnswerPairs
from imprint.corpus.chat import PreferenceRows
from imprint.models import checkpoint_name, checkpoint_steps, load_model
from imprint.models.finetuning import Supervised, margins, start_folder, with_adapters
from imprint.runs import Context


def scores_of(world, final=None, back=2, **fields):
    step = StageTracIn(final=final or world.final, back=back, pairs=world.outcome, **fields)
    return StageScores.load(world.store.get(step))


def tuned_at(start, folder, stage, updates):
    """What the stage trained, after so many updates, as peft or transformers opens it."""
    place = folder / checkpoint_name(updates)
    if stage.lora is None:
        return load_model(place, dtype="float64")
    tuned = with_adapters(load_model(start, dtype="float64"), stage.lora, seed=stage.seed)
    saved = load_file(place / "adapter" / "adapter_model.safetensors")
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(saved[name.replace(".default", "")])
    return tuned


def gradient(value, model):
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(value, trained, materialize_grads=True)
    return torch.cat([piece.reshape(-1) for piece in found])


def preference(world, model):
    pairs = PreferenceRows.load(world.store.get(world.outcome))
    sides = Supervised.of(pairs.chosen), Supervised.of(pairs.rejected)
    return margins(model, *sides, torch.arange(len(pairs))).mean()


def by_hand(world, back, query=None):
    """One row and one checkpoint at a time, with the loss that the stage trained on."""
    stage = stage_back(world.final, back)
    folder, start = world.store.get(stage), start_folder(before(world, stage), stage.start_step)
    objective = stage.objective(load_model(start, dtype="float64"), world.store.get(stage.rows))
    total = np.zeros(len(objective.sizes))
    for updates in checkpoint_steps(folder):
        model = tuned_at(start, folder, stage, updates)
        direction = gradient(preference(world, model), model) if query is None else query
        for row in range(len(total)):
            slope = gradient(objective.losses(model, torch.tensor([row]))[0], model) @ direction
            total[row] -= stage.tuning.rate(max(0, updates - 1)) * slope
    return total


def before(world, stage):
    return world.store.get(stage.start) if not hasattr(stage.start, "exists") else stage.start


@pytest.mark.parametrize("back", [2, 1, 0], ids=["sft", "dpo", "lora"])
def test_the_sum_over_checkpoints_of_rate_times_products_of_gradients(world, back):
    np.testing.assert_allclose(scores_of(world, back=back).values, by_hand(world, back), rtol=1e-6, atol=1e-12)


def test_the_query_at_the_final_model_is_another_score(world):
    final = load_model(start_folder(world.store.get(world.final), None), dtype="float64")
    found = scores_of(world, query_at="final")
    expected = by_hand(world, 2, gradient(preference(world, final), final))
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)
    assert np.abs(found.values - scores_of(world).values).max() > 0.05 * np.abs(expected).max()
    assert found.method == "TracIn-CP, query at the final"


def test_rows_at_once_change_nothing_but_rounding(world):
    np.testing.assert_allclose(scores_of(world, batch=1).values, scores_of(world).values, rtol=1e-9)


def test_the_last_stage_ranks_its_own_rows_which_is_another_question(world):
    assert set(scores_of(world, back=0).ids).isdisjoint(scores_of(world, back=2).ids)
    assert scores_of(world, back=2).checks == {"checkpoints": 3.0}


def test_in_a_short_pipeline_it_ranks_rows_much_as_the_exact_derivative_does(world):
    exact = StageScores.load(world.store.get(StageMetagradient(final=world.final, back=2, pairs=world.outcome)))
    assert spearmanr(scores_of(world).values, exact.values).statistic > 0.7


def test_pairs_turned_round_turn_every_score_round(world):
    turned = world.outcome.model_copy(update={"paths": (turned_round(world.folder / "outcome.jsonl"),)})
    for kind in (StageTracIn, StageMetagradient):
        found = [
            StageScores.load(world.store.get(kind(final=world.final, back=2, pairs=pairs))).values
            for pairs in (world.outcome, turned)
        ]
        np.testing.assert_allclose(found[1], -found[0], rtol=1e-6)


def turned_round(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return write(
        path.with_name("turned.jsonl"), [row | {"chosen": row["rejected"], "rejected": row["chosen"]} for row in rows]
    )


def test_mutation_without_the_reference_a_pair_scores_otherwise(world, tmp_path, monkeypatch):
    monkeypatch.setattr(AnswerPairs, "anchor", lambda pairs, model, rows: torch.zeros(len(rows), 1).double())
    StageTracIn(final=world.final, back=1, pairs=world.outcome).execute(tmp_path, Context(world.store))
    found, whole = StageScores.load(tmp_path).values, scores_of(world, back=1).values
    assert np.abs(found - whole).max() > 0.02 * np.abs(whole).max()


def test_checkpoints_after_the_one_that_the_next_stage_starts_from_do_not_count(world):
    early = world.final.model_copy(update={"start_step": 2})
    assert scores_of(world, early, 1).checks == {"checkpoints": 2.0}
    assert scores_of(world, back=1).checks == {"checkpoints": 3.0}


def test_rows_that_are_never_drawn_or_teach_nothing_score_exactly_zero(world):
    dpo, first = world.final.start, stage_back(world.final, 2)
    short = first.model_copy(
        update={"tuning": SFT.model_copy(update={"steps": 1}), "rows": Muted(rows=first.rows, row=3)}
    )
    found = scores_of(world, world.final.model_copy(update={"start": dpo.model_copy(update={"start": short})}))
    drawn = set(short.tuning.order(10, short.seed).rows.reshape(-1).tolist())
    assert [row for row in range(10) if found.values[row]] == sorted(drawn - {3})
