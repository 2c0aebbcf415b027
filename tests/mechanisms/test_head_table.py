from dataclasses import dataclass

import numpy as np
import pytest
import torch
from handmade_heads import CONTEXT

from imprint.capabilities import copy_log_probs, repeat_probe
from imprint.errors import ConfigError, InputError
from imprint.mechanisms.duplicate_token import duplicate_probe
from imprint.mechanisms.head_table import Behaviour, initial_maxima, score_heads
from imprint.models import Architecture, induction_transformer


@pytest.fixture(scope="module")
def model():
    return induction_transformer(50, CONTEXT)


@dataclass
class Fixed:
    """Heads with given scores and a given null."""

    values: torch.Tensor
    chance: torch.Tensor
    name: str = "fixed"
    control: str = "nothing"

    def rows(self, model):
        return self.values

    def null(self, model, *, draws, seed):
        return self.chance


def scores(*heads, rows=6):
    return torch.tensor(heads).reshape(2, 2, 1) + torch.linspace(-0.01, 0.01, rows)


def test_the_table_is_the_mean_its_interval_and_the_rank_in_the_null(model):
    found = score_heads(model, Fixed(scores(0.1, 0.5, 0.9, 0.2), torch.linspace(0, 0.6, 99)))
    assert [head.head for head in found.heads] == ["L0.H0", "L0.H1", "L1.H0", "L1.H1"]
    assert [head.score.estimate for head in found.heads] == pytest.approx([0.1, 0.5, 0.9, 0.2])
    assert [head.p for head in found.heads] == pytest.approx([0.83, 0.18, 0.01, 0.67], abs=0.011)
    assert [head.role for head in found.heads] == ["", "", "fixed", ""]
    assert found.best().head == "L1.H0"
    assert found.best().score.low < 0.9 < found.best().score.high
    assert found.null_95 == pytest.approx(0.57)
    assert found.as_dict()["heads"][0]["score"]["n"] == 6


def test_both_nulls_must_be_beaten(model):
    mechanism = Fixed(scores(0.1, 0.5, 0.9, 0.2), torch.linspace(0, 0.6, 99))
    found = score_heads(model, mechanism, initial_maxima=torch.full((50,), 0.95))
    assert found.best() is None
    assert found.draws == 149
    assert found.null_95 == pytest.approx(0.95)
    assert found.heads[2].p == pytest.approx(1.0)


def test_enough_initial_models_can_be_beaten(model):
    mechanism = Fixed(scores(0.1, 0.5, 0.9, 0.2), torch.linspace(0, 0.6, 99))
    for models, called in ((18, False), (19, True)):
        found = score_heads(model, mechanism, initial_maxima=torch.full((models,), 0.3))
        assert found.heads[2].p == pytest.approx(1 / (models + 1))
        assert (found.best() is not None) is called


def test_the_initial_maximum_is_over_heads(model):
    mechanism = Fixed(scores(0.1, 0.5, 0.9, 0.2), torch.zeros(0))
    assert initial_maxima(mechanism, [model, model]).tolist() == pytest.approx([0.9, 0.9])


def test_without_any_null_nothing_is_called(model):
    with pytest.raises(ConfigError, match="initial_maxima"):
        score_heads(model, Fixed(scores(0.1, 0.5, 0.9, 0.2), torch.zeros(0)))


def test_one_row_has_no_interval(model):
    with pytest.raises(InputError):
        score_heads(model, Fixed(scores(0.1, 0.5, 0.9, 0.2, rows=1), torch.zeros(9)))


def test_a_head_that_is_not_needed_is_not_called(model):
    """L0.H1 scores highest, but ablating it changes nothing; L1.H0 is needed for copying."""
    probe = repeat_probe(range(1, 50), period=20, rows=6, seed=0, bos=0)
    copying = Behaviour(
        name="copying", tokens=probe.tokens, measure=lambda m: copy_log_probs(m, probe).mean(1).double().numpy()
    )
    counted = []
    found = score_heads(
        model,
        Fixed(scores(0.1, 0.95, 0.9, 0.2), torch.linspace(0, 0.6, 99)),
        behaviour=copying,
        advance=counted.append,
    )
    assert found.heads[1].ablation.estimate == 0.0
    assert found.heads[2].ablation.low > 3
    assert [head.role for head in found.heads] == ["", "", "fixed", ""]
    assert counted == [1, 1, 1, 1]


def test_heads_that_know_nothing_are_rarely_called():
    """Random attention: the share of fresh models with any head called stays near the level."""
    probe = duplicate_probe(range(1, 50), length=20, pairs=4, rows=8, seed=3, bos=0)
    sizes = {"vocab_size": 50, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 4}
    architecture = Architecture(model_type="gpt2", config=sizes)
    called = [
        score_heads(architecture.initialise(seed), probe, draws=39, seed=seed).best() is not None for seed in range(20)
    ]
    assert np.mean(called) <= 0.25
