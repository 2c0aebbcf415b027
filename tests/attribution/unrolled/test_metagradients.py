import math
import weakref
from dataclasses import dataclass, replace

import pytest
import torch
from unrolled_runs import (
    DRAWN,
    HEAVY,
    ROWS,
    SMOOTH,
    batches_of,
    differences,
    four_stages,
    likelihood,
    one_stage,
    pair,
    rows_of,
    tiny_gpt2,
    two_stages,
)

from imprint.attribution.engine.queries import Query
from imprint.attribution.unrolled import (
    AdamW,
    NextToken,
    Sgd,
    Stage,
    Training,
    language_model_training,
    parameters_of,
    replay,
    row_log_likelihood,
)
from imprint.errors import ConfigError, SelfCheckFailed

PLAIN = Sgd(learning_rate=0.1)


def relative(found, truth):
    return float((found - truth).abs().max() / truth.abs().max())


@pytest.mark.parametrize("optimiser", [PLAIN, HEAVY, SMOOTH], ids=["sgd", "momentum, decay, clipping", "adamw"])
def test_the_metagradient_of_one_stage_is_what_retraining_says(optimiser):
    training, query = one_stage(optimiser), likelihood()
    (found,) = training.metagradients([query])
    torch.testing.assert_close(found[0, :4], differences(training, query, 0, range(4)), rtol=1e-3, atol=0)


def test_adamw_without_a_smoothed_root_is_exact_for_changes_that_are_small_enough():
    training, query = one_stage(replace(SMOOTH, eps_root=0.0)), likelihood()
    found = training.metagradients([query])[0][0, :2]
    assert found.isfinite().all()
    torch.testing.assert_close(found, differences(training, query, 0, range(2), step=1e-7), rtol=1e-3, atol=0)


def test_both_stages_of_two():
    training, query = two_stages(), likelihood()
    for stage, found in enumerate(training.metagradients([query])):
        torch.testing.assert_close(found[0, :3], differences(training, query, stage, range(3)), rtol=1e-3, atol=0)


def test_every_stage_of_pretraining_sft_dpo_and_lora():
    training, query = four_stages(), likelihood()
    for stage, found in enumerate(training.metagradients([query])):
        torch.testing.assert_close(found[0, :2], differences(training, query, stage, range(2)), rtol=1e-3, atol=0)


def test_at_weights_other_than_one():
    training, query = two_stages(), likelihood()
    weights = [torch.linspace(0, 2, ROWS, dtype=torch.float64), None]
    found = training.metagradients([query], weights)[0][0, 2]

    def value(change):
        moved = weights[0] + change * torch.nn.functional.one_hot(torch.tensor(2), ROWS)
        return training.values(training.run([moved, None]), [query])[0]

    torch.testing.assert_close(found, (value(1e-4) - value(-1e-4)) / 2e-4, rtol=1e-3, atol=0)


def test_the_sign_a_row_that_is_the_query_raises_it():
    tokens, lengths = rows_of()
    training = one_stage(PLAIN)
    own = Query(name="own", measure=lambda model: row_log_likelihood(model, tokens[:1], lengths[:1])[0])
    gradients = training.metagradients([own])[0][0]
    assert gradients[0] > 0
    assert gradients.argmax() == 0


def test_an_example_that_no_batch_holds_has_a_metagradient_of_exactly_zero():
    for gradients in two_stages().metagradients([likelihood()]):
        assert gradients[0, DRAWN:].tolist() == [0.0]
        assert gradients[0, :DRAWN].all()


@pytest.mark.parametrize("every", [1, 3, 100])
def test_the_distance_of_checkpoints_does_not_change_the_answer(every):
    training, query = two_stages(), likelihood()
    for found, usual in zip(training.metagradients([query], every=every), training.metagradients([query]), strict=True):
        assert torch.equal(found, usual)


def test_queries_do_not_see_each_other_and_scale_with_the_query():
    training, one, other = two_stages(), likelihood(), likelihood(seed=11)
    double = Query(name="double", measure=lambda model: 2 * one.measure(model))
    together = training.metagradients([one, other, double])
    for stage, alone in enumerate(training.metagradients([other])):
        torch.testing.assert_close(together[stage][1], alone[0], rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(together[stage][2], 2 * together[stage][0], rtol=1e-10, atol=1e-14)


def test_the_model_is_not_touched():
    training = one_stage()
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    mode, attention = training.model.training, training.model.config._attn_implementation
    training.metagradients([likelihood()])
    assert all(torch.equal(value, before[name]) for name, value in training.model.state_dict().items())
    assert (training.model.training, training.model.config._attn_implementation) == (mode, attention)
    assert all(parameter.grad is None for parameter in training.model.parameters())


@dataclass(frozen=True)
class Forgetful:
    """A mutant: the adjoint does not flow through one part of the optimiser's state, though training is the same."""

    whole: Sgd | AdamW
    forgotten: int

    def initial(self, parameters):
        return self.whole.initial(parameters)

    def rate(self, step):
        return self.whole.rate(step)

    def response(self, moments, gradient, step):
        return self.whole.response(moments, gradient, step)

    def update(self, parameters, moments, gradient, step):
        cut = tuple(piece.detach() if number == self.forgotten else piece for number, piece in enumerate(moments))
        return self.whole.update(parameters, cut, gradient, step)


@pytest.mark.parametrize(("optimiser", "part"), [(HEAVY, 0), (SMOOTH, 0), (SMOOTH, 1)], ids=["velocity", "m", "v"])
def test_mutation_without_the_adjoint_of_the_optimisers_state_the_answer_is_wrong(optimiser, part):
    query = likelihood()
    (whole,) = one_stage(optimiser).metagradients([query])
    (mutant,) = one_stage(Forgetful(optimiser, part)).metagradients([query])
    assert relative(mutant, whole) > 0.05


def test_mutation_a_reference_without_gradient_is_wrong_across_dpo():
    training, query = four_stages(), likelihood()
    whole = training.metagradients([query])[0]

    class Detached(type(training.stages[2].objective)):
        __slots__ = ()

        def anchor(self, model, rows):
            return super(type(self), self).anchor(model, rows).detach()

    dpo = training.stages[2].objective
    mutant = Detached(chosen=dpo.chosen, rejected=dpo.rejected, beta=dpo.beta)
    stages = [replace(stage, objective=mutant) if stage.name == "dpo" else stage for stage in training.stages]
    cut = replace(training, stages=tuple(stages)).metagradients([query])[0]
    assert relative(cut, whole) > 1e-3


@pytest.mark.parametrize("steps", [16, 64])
def test_states_alive_grow_with_the_square_root_of_the_updates(steps, monkeypatch):
    born, alive = [], []

    class Counted(replay.State):
        __slots__ = ("__weakref__",)

        def __new__(cls, **fields):
            state = object.__new__(cls)
            born.append(weakref.ref(state))
            return state

    monkeypatch.setattr(replay, "State", Counted)
    training = language_model_training(tiny_gpt2(), *rows_of(), batches_of(steps=steps), SMOOTH)
    training.metagradients([likelihood()], advance=lambda _: alive.append(sum(ref() is not None for ref in born)))
    assert len(alive) == 2 * steps
    assert math.isqrt(steps) <= max(alive) <= 2 * math.isqrt(steps) + 3


def test_a_diverged_run_names_stage_and_update():
    training = one_stage(Sgd(learning_rate=1e200))
    with pytest.raises(SelfCheckFailed, match=r"update [234] of stage 'pretrain' is not finite"):
        training.metagradients([likelihood()])


def test_no_queries():
    with pytest.raises(ConfigError, match="no query"):
        one_stage().metagradients([])


@pytest.mark.parametrize(
    ("measure", "problem"),
    [
        (lambda model: torch.zeros(()), "does not depend on"),
        (lambda model: 0 * model.lm_head.weight.sum(), "is zero"),
        (lambda model: math.inf * model.lm_head.weight.sum(), "is not finite"),
    ],
)
def test_a_query_that_cannot_be_attributed(measure, problem):
    with pytest.raises(SelfCheckFailed, match=f"'odd'.*{problem}"):
        one_stage().metagradients([Query(name="odd", measure=measure)])


@pytest.mark.parametrize("row", [-1, ROWS])
def test_batches_that_name_examples_which_do_not_exist(row):
    batches = batches_of()
    batches[3, 1] = row
    with pytest.raises(ConfigError, match=f"has 8 examples.*names example {row}"):
        Stage(name="odd", objective=NextToken(**pair(rows_of())), batches=batches, optimiser=PLAIN)


def test_a_stage_without_batches_and_a_run_without_stages():
    model = tiny_gpt2()
    with pytest.raises(ConfigError, match="no batches"):
        Stage(name="odd", objective=NextToken(**pair(rows_of())), batches=batches_of(steps=0), optimiser=PLAIN)
    with pytest.raises(ConfigError, match="at least one stage"):
        Training(model=model, initial=parameters_of(model), stages=())


def test_weights_that_do_not_fit():
    with pytest.raises(ConfigError, match="has 2 stages but weights for 1"):
        two_stages().metagradients([likelihood()], [None])
    with pytest.raises(ConfigError, match="8 examples but was given 3 weights"):
        two_stages().run([torch.ones(3), None])
