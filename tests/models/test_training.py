from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import ARCHITECTURES, GPT2, QUICK, STILL, bytes_of, packed_rows, stream_of
from torch.nn.functional import cross_entropy

from imprint.errors import ConfigError, ContextTooLong, ModelError, SelfCheckFailed
from imprint.models import Architecture, Optimisation, checkpoint_name, load_model, train, training

EVERY = list(ARCHITECTURES)
PLAIN, DROPOUT = "gpt2", "gpt2 with dropout and tied embeddings"


def trained(folder, name=PLAIN, packed=None, stream=None, optimisation=QUICK, seed=0, **options):
    """The result files of one run."""
    model = ARCHITECTURES[name].initialise(0)
    train(model, packed or packed_rows(), stream or stream_of(), optimisation, folder, seed=seed, **options)
    return bytes_of(folder)


def weights_at(folder, step):
    return load_file(folder / checkpoint_name(step) / "model.safetensors")


# The architecture


@pytest.mark.parametrize("name", EVERY)
def test_a_seed_names_the_initial_weights(name):
    state = torch.get_rng_state()
    one, same, other = (ARCHITECTURES[name].initialise(seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, same[key]) for key, value in one.items())
    assert any(not torch.equal(value, other[key]) for key, value in one.items())
    assert {value.dtype for value in one.values()} == {torch.float32}
    assert ARCHITECTURES[name].context == 16


@pytest.mark.parametrize("name", EVERY)
def test_parameters_are_counted_without_making_the_model(name):
    made = ARCHITECTURES[name].initialise(0)
    assert ARCHITECTURES[name].parameters == sum(parameter.numel() for parameter in made.parameters())


def test_common_names_and_legacy_names_of_arguments_are_understood():
    assert Architecture(config={"num_hidden_layers": 3}).build_config().n_layer == 3
    rotary = Architecture(model_type="llama", config={"rope_theta": 500.0}).build_config()
    assert rotary.rope_parameters["rope_theta"] == 500.0


@pytest.mark.parametrize(
    ("model_type", "config", "error", "words"),
    [
        ("gpt5", {}, ModelError, "gpt5.*known types"),
        ("t5", {}, ConfigError, "next token"),
        ("bert", {}, ConfigError, "next token.*gpt2"),
        ("gpt2", {"n_layers": 2}, ConfigError, "no 'n_layers'; did you mean 'n_layer'"),
        ("llama", {"xyzzy": 2}, ConfigError, "no 'xyzzy'; see"),
        ("gpt2", {"n_layer": "2"}, ConfigError, "n_layer.*int.*str"),
    ],
)
def test_a_wrong_architecture_is_one_clear_sentence(model_type, config, error, words):
    with pytest.raises(error, match=words) as caught:
        Architecture(model_type=model_type, config=config).build_config()
    assert "\n" not in str(caught.value)


# The optimiser


def test_the_rate_warms_up_and_stays():
    recipe = Optimisation(learning_rate=0.6, warmup_steps=3)
    assert [recipe.rate(step) for step in (0, 1, 2, 3, 1000)] == pytest.approx([0.2, 0.4, 0.6, 0.6, 0.6])


def test_training_is_what_plain_pytorch_does(tmp_path):
    packed, stream = packed_rows(), stream_of()
    stream.weights[3, 1] = 0.0
    recipe = Optimisation(learning_rate=0.02, beta1=0.8, beta2=0.9, weight_decay=0.1, warmup_steps=4, clip_norm=0.5)
    # In double precision: the gradient of a key's bias is zero, and Adam would blow its rounding error up.
    ours, model = (ARCHITECTURES[PLAIN].initialise(0).double() for _ in range(2))
    train(ours, packed, stream, recipe, tmp_path, seed=0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.02, betas=(0.8, 0.9), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1, (step + 1) / 4))
    norms = []
    for rows, weights in zip(stream.rows, stream.weights, strict=True):
        tokens, lengths = torch.from_numpy(packed.tokens[rows]), packed.lengths[rows]
        logits = model(tokens).logits
        total = sum(
            weight * cross_entropy(logits[row, :length], tokens[row, 1 : length + 1], reduction="sum")
            for row, (weight, length) in enumerate(zip(weights, lengths, strict=True))
        )
        optimiser.zero_grad()
        (total / lengths.sum()).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5).item())
        optimiser.step()
        schedule.step()
    assert max(norms) > 0.5  # clipping took part
    for name, weight in weights_at(tmp_path, 12).items():
        torch.testing.assert_close(weight, model.state_dict()[name], rtol=1e-6, atol=1e-7)


# Determinism


@pytest.mark.parametrize("name", EVERY)
def test_the_same_recipe_gives_the_same_bytes(tmp_path, name):
    first = trained(tmp_path / "first", name, checkpoints=[0, 4], keep_moments=[4, 12])
    torch.manual_seed(123)  # the global generator has no say in it
    state = torch.get_rng_state()
    second = trained(tmp_path / "second", name, checkpoints=[0, 4], keep_moments=[4, 12])
    assert first == second
    assert torch.equal(torch.get_rng_state(), state)
    steps = {path.split("/")[0] for path in first}
    assert steps == {"step_00000000", "step_00000004", "step_00000012"}
    assert sorted(path for path in first if "optimiser" in path) == [
        "step_00000004/optimiser.safetensors",
        "step_00000012/optimiser.safetensors",
    ]


def test_the_seed_feeds_dropout_and_nothing_else(tmp_path):
    assert trained(tmp_path / "a", PLAIN, seed=1) == trained(tmp_path / "b", PLAIN, seed=2)
    assert trained(tmp_path / "c", DROPOUT, seed=1) != trained(tmp_path / "d", DROPOUT, seed=2)


@pytest.mark.parametrize("name", EVERY)
def test_every_family_learns_and_opens_as_a_plain_model(tmp_path, name):
    packed = packed_rows(rows=4)
    stream = stream_of(rows=4, steps=60, seed=1)
    trained(tmp_path, name, packed, stream, checkpoints=[0])
    tokens, lengths = torch.from_numpy(packed.tokens), torch.from_numpy(packed.lengths)

    def loss(step):
        model = load_model(tmp_path / checkpoint_name(step))
        with torch.no_grad():
            losses = training.token_losses(model(tokens[:, :-1]).logits, tokens[:, 1:])
        return float((losses * training.label_mask(lengths, 12)).sum() / lengths.sum())

    assert loss(0) == pytest.approx(np.log(20), abs=0.2)
    assert loss(60) < 0.5 * loss(0)


# Masked rows and padding


def test_a_masked_row_contributes_exactly_nothing(tmp_path):
    packed, stream = packed_rows(), stream_of()
    deleted = int(stream.rows[2, 1])
    stream.weights[stream.rows == deleted] = 0.0
    assert 0 < (stream.weights == 0).sum() < stream.weights.size
    other = packed.tokens.copy()
    other[deleted, 1 : packed.lengths[deleted] + 1] = 20 - other[deleted, 1 : packed.lengths[deleted] + 1]
    assert (other != packed.tokens).any()
    kept = {"checkpoints": range(12), "keep_moments": range(13)}
    original = trained(tmp_path / "a", packed=packed, stream=stream, **kept)
    replaced = trained(tmp_path / "b", packed=replace(packed, tokens=other), stream=stream, **kept)
    assert original == replaced
    stream.weights[:] = 1.0
    assert trained(tmp_path / "c", packed=replace(packed, tokens=other), stream=stream, **kept) != original


@pytest.mark.parametrize("name", [PLAIN, "gpt_neox", "llama"])
def test_masking_takes_away_exactly_the_rows_own_gradient(name):
    packed, stream = packed_rows(), stream_of(steps=1)
    stream.rows[0] = [3, 8, 11, 20]

    def gradient(*weights):
        model = ARCHITECTURES[name].initialise(0).double()
        stream.weights[0] = weights
        recipe = Optimisation(clip_norm=1e9)
        training._update(model, recipe.build(model), recipe, training._Batches(packed, stream), 0)
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    whole, masked, alone = gradient(1, 1, 1, 1), gradient(1, 0, 1, 1), gradient(0, 1, 0, 0)
    torch.testing.assert_close(masked, whole - alone, rtol=1e-9, atol=1e-12)
    assert alone.norm() > 0.1 * whole.norm()
    assert gradient(0, 0, 0, 0).abs().max() == 0


def test_what_stands_in_the_padding_does_not_matter(tmp_path):
    packed = packed_rows()
    padding = np.arange(13) > packed.lengths[:, None]
    other = np.where(padding, 5, packed.tokens)
    assert (other != packed.tokens).any()
    kept = {"checkpoints": range(12)}
    assert trained(tmp_path / "a", packed=packed, **kept) == trained(
        tmp_path / "b", packed=replace(packed, tokens=other), **kept
    )


# Resuming


class Crash(BaseException):
    pass


@pytest.mark.parametrize("name", [DROPOUT, "llama"])
@pytest.mark.parametrize("crash_after", [3, 4, 5, 9, 12])
def test_an_interrupted_run_goes_on_from_its_autosave_to_the_same_bytes(tmp_path, monkeypatch, name, crash_after):
    monkeypatch.setattr(training, "AUTOSAVE_STEPS", 4)
    kept = {"checkpoints": [0, 4, 6], "keep_moments": [6]}
    whole = trained(tmp_path / "whole", name, **kept)
    done = []

    def advance(steps):
        done.append(steps)
        if sum(done) == crash_after:
            raise Crash

    with pytest.raises(Crash):
        trained(tmp_path / "part", name, advance=advance, **kept)
    again = []
    assert trained(tmp_path / "part", name, advance=again.append, **kept) == whole
    saved = 0 if crash_after <= 4 else 4 * ((crash_after - 1) // 4)  # written when the next update begins
    assert again[0] == saved
    assert sum(again) == 12


def test_a_start_without_moments_is_refused(tmp_path):
    trained(tmp_path / "trunk", checkpoints=[4])
    start = tmp_path / "trunk" / checkpoint_name(4)
    with pytest.raises(ConfigError, match=r"step_00000004.*no moments"):
        trained(tmp_path / "branch", first_step=4, start=start)


@pytest.mark.parametrize("change", [{"n_embd": 32}, {"n_layer": 3}, {"tie_word_embeddings": True}])
def test_a_start_of_another_architecture_is_refused(tmp_path, change):
    trained(tmp_path / "trunk", checkpoints=[4], keep_moments=[4])
    base = GPT2 | STILL | {"tie_word_embeddings": False}
    model = Architecture(config=base | change).initialise(0)
    with pytest.raises(ConfigError, match="another architecture") as caught:
        train(
            model, packed_rows(), stream_of(), QUICK, tmp_path / "branch",
            seed=0, first_step=4, start=tmp_path / "trunk" / checkpoint_name(4),
        )  # fmt: skip
    assert "\n" not in str(caught.value)


# Input that cannot be trained on


@pytest.mark.parametrize("name", [PLAIN, "gpt_neox", "llama"])
def test_rows_longer_than_the_context_are_refused(tmp_path, name):
    trained(tmp_path / "fits", name, packed_rows(context=16))
    with pytest.raises(ContextTooLong, match=r"17 tokens.*context is 16.*context=16"):
        trained(tmp_path / "long", name, packed_rows(context=17))


def test_token_ids_outside_the_vocabulary_are_refused(tmp_path):
    packed = packed_rows()
    packed.tokens[2, 1] = 20
    with pytest.raises(ConfigError, match=r"token id 20.*vocabulary of 20.*vocab_size=21"):
        trained(tmp_path, packed=packed)


def test_a_diverged_run_stops_with_the_remedy(tmp_path):
    with pytest.raises(SelfCheckFailed, match=r"gradient of update \d+ is not finite.*learning rate"):
        trained(tmp_path, optimisation=Optimisation(learning_rate=1e30, warmup_steps=1))


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no CUDA device can be used here; set it to cpu"):
        trained(tmp_path, device="cuda")
    assert list(tmp_path.iterdir()) == []
