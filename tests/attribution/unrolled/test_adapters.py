import pytest
import torch
from unrolled_runs import SMOOTH, batches_of, pair, rows_of, tiny_gpt2

from imprint.attribution.unrolled import Full, NextToken, Stage, Training, low_rank, parameters_of
from imprint.errors import ConfigError


def test_adapters_start_as_the_base_and_differ_by_seed():
    model = tiny_gpt2()
    base, adapters = parameters_of(model), low_rank(model, ["c_attn", "mlp.c_fc"], rank=2)
    variables = adapters.start(base)
    assert len(adapters.weights) == 4
    for name, value in adapters.assemble(base, variables).items():
        assert torch.equal(value, base[name])
    again = low_rank(model, ["c_attn"], rank=2, seed=1).start(base)
    name = "transformer.h.0.attn.c_attn.weight.lora_A"
    assert not torch.equal(again[name], variables[name])
    assert torch.equal(low_rank(model, ["c_attn"], rank=2).start(base)[name], variables[name])
    assert variables[name].abs().max() <= 8**-0.5


def test_merged_adapters_are_low_rank_changes_of_the_chosen_weights_only():
    model = tiny_gpt2()
    adapters = low_rank(model, ["attn.c_proj"], rank=2, alpha=6.0)
    stage = Stage(
        name="lora",
        objective=NextToken(**pair(rows_of())),
        batches=batches_of(),
        optimiser=SMOOTH,
        trained=adapters,
    )
    base = parameters_of(model)
    tuned = Training(model=model, initial=base, stages=(stage,)).run()
    for name, value in tuned.items():
        if name.endswith("attn.c_proj.weight"):
            assert torch.linalg.matrix_rank(value - base[name]) == 2
        else:
            assert torch.equal(value, base[name])


def test_an_adapter_of_a_transposed_weight_is_b_times_a_scaled():
    model = tiny_gpt2()
    adapters, base = low_rank(model, ["h.0.attn.c_attn"], rank=2, alpha=6.0), parameters_of(model)
    (name,) = adapters.start(base).keys() - {"transformer.h.0.attn.c_attn.weight.lora_B"}
    variables = {name: torch.randn(2, 8).double(), name.replace("_A", "_B"): torch.randn(24, 2).double()}
    change = adapters.assemble(base, variables)[name[:-7]] - base[name[:-7]]
    torch.testing.assert_close(change, 3.0 * (variables[name.replace("_A", "_B")] @ variables[name]).T)


def test_full_training_does_not_read_the_base():
    base = {"weight": torch.ones(2)}
    assert not Full().reads_base
    assert Full().start(base) is base


@pytest.mark.parametrize("modules", [["nothing"], ["c_attn", "nothing"], []])
def test_modules_that_do_not_exist(modules):
    with pytest.raises(ConfigError, match="no Linear or Conv1D is called"):
        low_rank(tiny_gpt2(), modules)


def test_a_tied_weight_takes_no_adapter():
    with pytest.raises(ConfigError, match=r"'lm_head.weight' is tied or frozen"):
        low_rank(tiny_gpt2(), ["lm_head"])
