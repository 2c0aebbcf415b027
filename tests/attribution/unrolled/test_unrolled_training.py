import numpy as np
import pytest
import torch
from unrolled_runs import SMOOTH, batches_of, four_stages, likelihood, one_stage, rows_of, tiny_gpt2, two_stages

from imprint.attribution.unrolled import AdamW, Training, language_model_training, parameters_of
from imprint.corpus import Packed, Stream
from imprint.errors import ConfigError, SelfCheckFailed
from imprint.models import Optimisation, load_model, train


def packed(tokens, lengths):
    rows = len(tokens)
    return Packed(
        tokens=tokens.numpy(),
        lengths=lengths.numpy(),
        document=np.arange(rows),
        offsets=np.zeros((*tokens.shape, 2), dtype=np.int64),
        document_ids=tuple(map(str, range(rows))),
        domains=("x",) * rows,
    )


@pytest.mark.parametrize("masked", [False, True], ids=["all rows", "some rows masked by the stream"])
def test_weights_of_one_repeat_the_recorded_run(tmp_path, masked):
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    model, (tokens, lengths), batches = tiny_gpt2(**still), rows_of(), batches_of(steps=12)
    multipliers = torch.ones(batches.shape)
    if masked:
        multipliers[3:9, 1] = 0.0
    recipe = Optimisation(learning_rate=0.01, warmup_steps=5)
    training = language_model_training(model, tokens, lengths, batches, AdamW.of(recipe), multipliers=multipliers)
    start = training.initial
    found = training.run()
    stream = Stream(rows=batches.numpy().astype(np.int32), weights=multipliers.numpy())
    train(model, packed(tokens, lengths), stream, recipe, tmp_path, seed=0)
    trained = dict(load_model(tmp_path / "step_00000012", dtype="float64").named_parameters())
    for name, value in found.items():
        assert not torch.equal(value, start[name])
        torch.testing.assert_close(value, trained[name].detach(), rtol=1e-9, atol=1e-10)


def test_an_example_of_weight_zero_is_an_example_masked_in_every_batch():
    training = one_stage()
    recipe = training.stages[0]
    weights = torch.ones(recipe.rows)
    weights[2] = 0.0
    multipliers = (recipe.batches != 2).double()
    masked = language_model_training(training.model, *rows_of(), recipe.batches, SMOOTH, multipliers=multipliers)
    expected = masked.run()
    for name, value in training.run([weights]).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-12, atol=1e-15)


def test_stages_continue_from_each_other():
    training = two_stages()
    first = Training(model=training.model, initial=training.initial, stages=training.stages[:1])
    second = Training(model=training.model, initial=first.run(), stages=training.stages[1:])
    together, start, after = training.run(), training.start_of(1), second.run()
    for name, value in together.items():
        assert torch.equal(value, after[name])
        assert torch.equal(start[name], second.initial[name])


def test_checkpoints_lie_on_the_run():
    training = two_stages()
    found = list(training.checkpoints([0, 2, 7], stage=1))
    assert [(point.stage, point.step) for point in found] == [(1, 0), (1, 2), (1, 7)]
    assert [point.learning_rate for point in found] == [0.05] * 3
    start = training.start_of(1)
    for name, value in training.run().items():
        assert torch.equal(found[0].params[name], start[name])
        assert torch.equal(found[2].params[name], value)
    rates = [point.learning_rate for point in training.checkpoints([0, 1, 2, 5])]
    assert rates == pytest.approx([0.001, 0.001, 0.002, 0.003])


def test_a_checkpoint_beyond_the_run():
    with pytest.raises(ConfigError, match="makes 7 updates, so it has no checkpoint 8"):
        list(two_stages().checkpoints([8]))


def test_the_held_copy_answers_as_the_parameters_do():
    training, query = four_stages(), likelihood()
    params = training.run()
    copy = training.holding(params)
    assert not copy.training
    assert copy is not training.model
    torch.testing.assert_close(query.measure(copy).detach(), training.values(params, [query])[0])


def test_a_run_that_diverges():
    training = one_stage(AdamW(learning_rate=1e300))
    with pytest.raises(SelfCheckFailed, match="diverged"):
        training.run()


def test_parameters_of_another_model():
    model = tiny_gpt2()
    initial = parameters_of(model)
    initial.pop("transformer.ln_f.bias")
    with pytest.raises(ConfigError, match=r"differ in 'transformer\.ln_f\.bias'"):
        Training(model=model, initial=initial, stages=one_stage().stages)


def test_parameters_that_the_model_does_not_train_stay_out():
    model = tiny_gpt2()
    model.transformer.wpe.weight.requires_grad_(False)
    training = language_model_training(model, *rows_of(), batches_of(), SMOOTH)
    assert "transformer.wpe.weight" not in training.run()
    assert training.metagradients([likelihood()])[0].any()
