import pytest
import torch
from unrolled_runs import batches_of, rows_of, tiny_gpt2

from imprint.attribution.unrolled import AdamW, Sgd, Training, language_model_training, linear_world, metasmoothness
from imprint.errors import ConfigError


def smoothness(optimiser, steps=40):
    training = language_model_training(tiny_gpt2(), *rows_of(), batches_of(steps=steps, drawn=8), optimiser)
    return metasmoothness(training, share=0.25)


def test_a_convex_run_is_smooth():
    world = linear_world(seed=0)
    run = world.training(1)
    assert metasmoothness(Training(model=run.model, initial=run.initial, stages=run.stages[:1])) == pytest.approx(1.0)


def test_a_run_at_too_high_a_rate_is_not():
    calm, wild = smoothness(Sgd(learning_rate=1e-3)), smoothness(AdamW(learning_rate=0.1))
    assert calm > 0.98
    assert wild < 0.6


def test_an_unseen_example_moves_nothing():
    training = language_model_training(
        tiny_gpt2(), *rows_of(), torch.zeros(3, 2, dtype=torch.int64), Sgd(learning_rate=0.1)
    )
    found = [metasmoothness(training, share=0.125, seed=seed) for seed in range(6)]
    assert 0.0 in found


@pytest.mark.parametrize(("share", "step"), [(0.0, 0.5), (0.01, 0.5), (0.5, 2.0)])
def test_what_cannot_be_moved(share, step):
    with pytest.raises(ConfigError, match="metasmoothness moves a share"):
        metasmoothness(
            language_model_training(tiny_gpt2(), *rows_of(), batches_of(), Sgd(learning_rate=0.1)),
            share=share,
            step=step,
        )
