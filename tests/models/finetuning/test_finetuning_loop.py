from functools import partial

import numpy as np
import pytest
import torch
from tuning_runs import bytes_of, rows_of, state_of, supervised, tiny

from imprint.attribution.unrolled import (
    AdamW,
    NextToken,
    Preference,
    Stage,
    Training,
    low_rank,
    parameters_of,
)
from imprint.corpus import Stream
from imprint.errors import ConfigError, SelfCheckFailed
from imprint.models.finetuning import (
    LoraRecipe,
    PreferenceRecipe,
    Preferred,
    Supervised,
    SupervisedRecipe,
    finetune,
    loop,
    margins,
    merged,
    with_adapters,
)

TARGETS = ("c_attn", "c_fc")
RECIPE = SupervisedRecipe(learning_rate=0.01, warmup_steps=3, weight_decay=0.1, clip_norm=0.5, batch=4, steps=6)
DPO = PreferenceRecipe(learning_rate=0.005, warmup_steps=2, beta=0.3, batch=3, steps=5)


def stream_of(recipe, rows=6, seed=0):
    return recipe.order(rows, seed)


def save_plain(model, folder):
    model.save_pretrained(folder)


def run(folder, recipe=RECIPE, model=None, stream=None, objective=None, seed=0, **options):
    model = model or tiny()
    stream = stream or stream_of(recipe)
    objective = objective or supervised(rows_of())
    finetune(model, objective, stream, recipe, folder, seed=seed, save=partial(save_plain, model), **options)
    return model


def preference(model):
    chosen, rejected = supervised(rows_of(seed=1)), supervised(rows_of(seed=2))
    with torch.no_grad():
        reference = margins(model, chosen, rejected, torch.arange(6))
    return Preferred(chosen=chosen, rejected=rejected, reference=reference, beta=0.3)


def next_token(seed):
    tokens, lengths, prompts = rows_of(seed=seed)
    return NextToken(tokens=tokens, lengths=lengths, prompts=prompts)


def stage(name, objective, recipe, seed, **options):
    stream = stream_of(recipe, seed=seed)
    return Stage(
        name=name,
        objective=objective,
        batches=torch.from_numpy(stream.rows.astype(np.int64)),
        optimiser=AdamW.of(recipe),
        multipliers=torch.from_numpy(stream.weights),
        **options,
    )


def test_sft_dpo_and_lora_in_turn_are_the_differentiable_run(tmp_path):
    plain = tiny()
    stages = (
        stage("sft", next_token(0), RECIPE, 1),
        stage("dpo", Preference(chosen=next_token(1), rejected=next_token(2), beta=0.3), DPO, 2),
        stage("lora", next_token(4), RECIPE, 3, trained=low_rank(plain, TARGETS, rank=2, alpha=6.0, seed=3)),
    )
    expected = Training(model=plain, initial=parameters_of(plain), stages=stages).run()

    model = run(tmp_path / "sft", stream=stream_of(RECIPE, seed=1))
    sft = state_of(model)
    run(tmp_path / "dpo", DPO, model, stream_of(DPO, seed=2), preference(model))
    assert any(not torch.equal(value, sft[key]) for key, value in model.state_dict().items())
    adapted = with_adapters(model, LoraRecipe(rank=2, alpha=6.0, targets=TARGETS), seed=3)
    run(tmp_path / "lora", RECIPE, adapted, stream_of(RECIPE, seed=3), supervised(rows_of(seed=4)))
    found = dict(merged(adapted).named_parameters())
    assert found.keys() == expected.keys()
    for name, value in found.items():
        # A key's bias has no gradient but rounding, which Adam blows up; it has no effect on the model.
        if "c_attn.bias" not in name:
            torch.testing.assert_close(value.detach(), expected[name].detach(), rtol=1e-6, atol=1e-7)
    distance = max((value - plain.get_parameter(name)).abs().max().item() for name, value in found.items())
    assert distance > 0.01


def test_descent_lowers_the_loss_and_every_loss_is_recorded(tmp_path):
    recipe = RECIPE.model_copy(update={"steps": 25, "clip_norm": 10.0})
    run(tmp_path, recipe, checkpoints=[0, 10])
    losses = np.load(tmp_path / "losses.npy")
    assert losses.shape == (25,)
    assert losses[-5:].mean() < 0.5 * losses[:2].mean()
    with torch.no_grad():
        rows = torch.from_numpy(stream_of(recipe).rows[0].astype(np.int64))
        objective = supervised(rows_of())
        first = objective.losses(tiny(), rows).sum() / objective.sizes[rows].sum()
    assert losses[0] == pytest.approx(first.item(), rel=1e-9)
    assert {path.name for path in tmp_path.glob("step_*")} == {"step_00000000", "step_00000010", "step_00000025"}


def test_microbatches_give_the_same_gradient(tmp_path):
    whole = run(tmp_path / "whole")
    parts = run(tmp_path / "parts", RECIPE.model_copy(update={"microbatch": 3}))
    for (name, one), (_, other) in zip(whole.named_parameters(), parts.named_parameters(), strict=True):
        if "c_attn.bias" not in name:
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_a_row_of_weight_zero_contributes_exactly_nothing(tmp_path):
    stream = stream_of(RECIPE)
    masked = Stream(rows=stream.rows, weights=np.where(stream.rows == 2, 0.0, 1.0).astype(np.float32))
    tokens, lengths, prompts = rows_of()
    other = tokens.clone()
    other[2, 1 : int(lengths[2])] = 20 - other[2, 1 : int(lengths[2])]
    assert not torch.equal(other, tokens)
    run(tmp_path / "a", stream=masked)
    run(tmp_path / "b", stream=masked, objective=supervised((other, lengths, prompts)))
    run(tmp_path / "c", objective=supervised((other, lengths, prompts)))
    name = "step_00000006/model.safetensors"
    assert bytes_of(tmp_path / "a")[name] == bytes_of(tmp_path / "b")[name] != bytes_of(tmp_path / "c")[name]


@pytest.mark.parametrize("dropout", [False, True])
def test_the_same_recipe_gives_the_same_bytes_and_the_seed_feeds_dropout_only(tmp_path, dropout):
    recipe = RECIPE.model_copy(update={"dropout": dropout})
    state = torch.get_rng_state()
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(tmp_path / folder, recipe, seed=seed)
    assert torch.equal(torch.get_rng_state(), state)
    one, same, other = (bytes_of(tmp_path / folder) for folder in "abc")
    assert one == same
    assert (one == other) is not dropout


class Crash(BaseException):
    pass


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("crash_after", [2, 3, 5, 6])
def test_a_killed_run_goes_on_from_its_autosave_to_the_same_bytes(tmp_path, monkeypatch, lora, crash_after):
    monkeypatch.setattr(loop, "AUTOSAVE_STEPS", 2)
    recipe = RECIPE.model_copy(update={"dropout": True})

    def attempt(folder, advance):
        model = with_adapters(tiny(), LoraRecipe(rank=2, targets=TARGETS), seed=1) if lora else tiny()
        objective = preference(model) if lora else supervised(rows_of())
        run(tmp_path / folder, recipe, model, objective=objective, checkpoints=[0, 3], advance=advance)
        return bytes_of(tmp_path / folder)

    done = []

    def crashing(steps):
        done.append(steps)
        if sum(done) == crash_after:
            raise Crash

    whole = attempt("whole", lambda steps: None)
    with pytest.raises(Crash):
        attempt("part", crashing)
    again = []
    assert attempt("part", again.append) == whole
    assert again[0] == 2 * ((crash_after - 1) // 2)  # saved when the next update begins
    assert sum(again) == 6


def test_a_run_that_diverges_and_a_stream_of_other_rows_are_refused(tmp_path):
    model = tiny()
    with torch.no_grad():
        model.transformer.wte.weight.fill_(torch.nan)
    with pytest.raises(SelfCheckFailed, match="update 1 is not finite"):
        run(tmp_path / "nan", model=model)
    stream = Stream(rows=np.array([[0, 6]], dtype=np.int32), weights=np.ones((1, 2), dtype=np.float32))
    with pytest.raises(ConfigError, match="names example 6, but there are 6, numbered from 0"):
        run(tmp_path / "rows", stream=stream)


def test_lengths_of_a_stage():
    assert SupervisedRecipe(batch=4).updates(10) == 3
    assert SupervisedRecipe(batch=4, epochs=2).updates(10) == 5
    assert SupervisedRecipe(batch=4, epochs=0.01).updates(10) == 1
    assert SupervisedRecipe(batch=4, steps=7).updates(10) == 7
    with pytest.raises(ValueError, match=r"either epochs \(2.0\) or steps \(3\)"):
        SupervisedRecipe(epochs=2, steps=3)
    order = SupervisedRecipe(batch=5, epochs=2).order(10, 0)
    assert all(sorted(half.flatten()) == list(range(10)) for half in (order.rows[:2], order.rows[2:]))
    assert not np.array_equal(order.rows, SupervisedRecipe(batch=5, epochs=2).order(10, 1).rows)


def test_packed_documents_are_learnt_whole():
    tokens, lengths, _ = rows_of()
    whole = supervised((tokens, lengths, torch.zeros_like(lengths)))
    assert isinstance(whole, Supervised)
    assert whole.sizes.tolist() == lengths.tolist()
