import pytest
import torch
from tiny_families import EVERY, inputs, logits, tiny

from imprint.errors import ConfigError, ModelError
from imprint.models.readout import reading

ROWS, POSITIONS = torch.tensor([2, 0, 0]), torch.tensor([4, 0, 3])


@pytest.mark.parametrize("name", EVERY)
def test_chosen_logits_are_those_of_the_full_pass(name):
    model, kwargs = tiny(name), inputs(name)
    plain = logits(model, kwargs)
    with reading(model, ROWS, POSITIONS):
        chosen = logits(model, kwargs)
    assert chosen.shape == (1, 3, 31)
    torch.testing.assert_close(chosen[0], plain[ROWS, POSITIONS], rtol=0, atol=1e-10)
    assert torch.equal(logits(model, kwargs), plain)


def test_only_the_chosen_states_are_unembedded():
    model, kwargs = tiny("llama"), inputs("llama")
    seen = []
    handle = model.lm_head.register_forward_hook(lambda _, args, __: seen.append(args[0].shape))
    with reading(model, ROWS, POSITIONS):
        logits(model, kwargs)
    handle.remove()
    assert seen == [(1, 3, 24)]


def test_bad_pairs_are_refused():
    model, kwargs = tiny("gptj"), inputs("gptj")
    with (
        pytest.raises(ConfigError, match="3 rows of 7 positions"),
        reading(model, torch.tensor([3]), torch.tensor([0])),
    ):
        logits(model, kwargs)
    with pytest.raises(ConfigError, match="batch has"), reading(model, torch.tensor([0]), torch.tensor([-1])):
        logits(model, kwargs)
    with pytest.raises(ConfigError, match="0 rows"), reading(model, ROWS[:0], ROWS[:0]):
        pass
    with pytest.raises(ModelError, match="return_dict"), reading(model, ROWS, POSITIONS):
        model(**kwargs, return_dict=False)
    assert not model.transformer._forward_hooks
