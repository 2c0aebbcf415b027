import pytest
import torch
from tiny_families import tiny

from imprint.errors import ModelError
from imprint.mechanisms import fresh_models, largest_score, largest_scores, standard_mechanism
from imprint.models import Anatomy


def weights(model):
    return torch.cat([parameter.flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama"])
def test_they_have_the_models_shape_and_weights_of_their_own(name):
    model = tiny(name)
    first, second = fresh_models(model, 2)
    again = next(fresh_models(model, 1))
    assert type(first) is type(model)
    assert [p.shape for p in first.parameters()] == [p.shape for p in model.parameters()]
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(model))
    assert not torch.equal(weights(first), weights(next(fresh_models(model, 1, seed=1))))
    assert not first.training


def test_the_type_is_kept_and_the_generator_too():
    model = tiny("gpt2").double()
    state = torch.random.get_rng_state()
    assert next(fresh_models(model, 1)).dtype == torch.float64
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_model_that_predicts_no_next_token_has_none():
    with pytest.raises(ModelError, match="no fresh model can be built"):
        next(fresh_models(tiny("t5"), 1))


def test_the_largest_score_is_that_of_the_best_head_of_each_model():
    model = tiny("gpt2")
    mechanism = standard_mechanism("previous_token", range(1, 30), context=16, rows=4, bos=0)
    counted = []
    maxima = largest_scores({"previous": largest_score(mechanism)}, fresh_models(model, 3), advance=counted.append)
    wanted = [mechanism.rows(fresh).mean(-1).max().item() for fresh in fresh_models(model, 3)]
    assert maxima["previous"].tolist() == pytest.approx(wanted)
    assert len(set(wanted)) == 3
    assert counted == [1, 1, 1]
    assert Anatomy(model).num_layers == 2


def test_without_models_there_are_no_maxima():
    assert len(largest_scores({"anything": lambda model: 1.0}, fresh_models(tiny("gpt2"), 0))["anything"]) == 0
