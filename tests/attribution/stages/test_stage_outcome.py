import pytest
import torch
from stage_runs import save_base

from imprint.attribution.stages.objectives import AnswerPairs, Answers
from imprint.attribution.stages.outcome import MeanMargin
from imprint.attribution.unrolled import parameters_of
from imprint.errors import SelfCheckFailed
from imprint.models import load_model
from imprint.models.finetuning import Preferred, Supervised, margins


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(save_base(tmp_path_factory.mktemp("base")), dtype="float64")


def answers(seed):
    """Five rows with any labels learnt: several answers in one row."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, 256, (5, 9), generator=generator)
    return Supervised(tokens=tokens, label_mask=torch.rand(5, 8, generator=generator) < 0.5)


EVERY = torch.arange(5)


def test_answers_are_what_supervised_tuning_lowers(model):
    rows = answers(0)
    assert torch.equal(Answers.of(rows).sizes, rows.sizes)
    found = Answers.of(rows).losses(model, EVERY, torch.zeros(5, 0))
    torch.testing.assert_close(found, rows.losses(model, EVERY), rtol=1e-12, atol=0)
    assert not torch.allclose(found, answers(1).losses(model, EVERY))


def test_pairs_are_what_preference_tuning_lowers(model):
    chosen, rejected, reference = answers(0), answers(1), torch.linspace(-3, 3, 5, dtype=torch.float64)
    usual = Preferred(chosen=chosen, rejected=rejected, reference=reference, beta=0.3)
    pairs = AnswerPairs(chosen=Answers.of(chosen), rejected=Answers.of(rejected), beta=0.3)
    assert torch.equal(pairs.sizes, usual.sizes)
    torch.testing.assert_close(pairs.losses(model, EVERY, reference[:, None]), usual.losses(model, EVERY))
    torch.testing.assert_close(pairs.anchor(model, EVERY)[:, 0], margins(model, chosen, rejected, EVERY))
    assert not torch.allclose(pairs.losses(model, EVERY, pairs.anchor(model, EVERY)), usual.losses(model, EVERY))


def test_the_gradient_of_the_mean_margin_whatever_the_items_at_once(model):
    chosen, rejected = answers(0), answers(1)
    params = parameters_of(model)
    mean = margins(model, chosen, rejected, EVERY).mean()
    expected = torch.cat([piece.reshape(-1) for piece in torch.autograd.grad(mean, list(model.parameters()))])
    for batch in (1, 2, 8):
        found = MeanMargin(chosen=chosen, rejected=rejected, batch=batch).gradient(model, params)
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


def test_answers_of_which_nothing_is_learnt_have_no_gradient(model):
    nothing = Supervised(tokens=answers(0).tokens, label_mask=torch.zeros(5, 8, dtype=torch.bool))
    with pytest.raises(SelfCheckFailed, match="gradient of the mean margin is zero in every parameter"):
        MeanMargin(chosen=nothing, rejected=nothing, batch=2).gradient(model, parameters_of(model))


def test_a_diverged_model_has_none_either(model):
    params = {name: torch.full_like(value, float("nan")) for name, value in parameters_of(model).items()}
    with pytest.raises(SelfCheckFailed, match="gradient of the mean margin is not finite"):
        MeanMargin(chosen=answers(0), rejected=answers(1), batch=8).gradient(model, params)
