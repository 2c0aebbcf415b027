import numpy as np
import pytest

from imprint.errors import CorpusError
from imprint.mechanisms.checkpoints import condition_probe


def wandering(checkpoints, seed=0, prompts=12, d=6):
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((prompts, d))
    own = 2 * rng.standard_normal((checkpoints, 1, d))
    return shared + own + 0.2 * rng.standard_normal((checkpoints, prompts, d))


def test_prompts_held_out_mistake_training_noise_for_the_condition_and_say_so():
    found = condition_probe(wandering(4), np.arange(4))
    assert found.probe.accuracy.estimate > 0.9
    assert found.held_out == "prompt"
    assert "which any two training runs do" in found.note


def test_checkpoints_held_out_do_not():
    states, conditions = wandering(12), np.repeat(np.arange(3), 4)
    noise = condition_probe(states, conditions)
    assert (noise.held_out, noise.note) == ("checkpoint", "")
    assert noise.probe.accuracy.n == 12
    assert not noise.probe.accuracy.excludes(1 / 3)
    planted = condition_probe(states + 20 * np.eye(6)[conditions][:, None], conditions)
    assert planted.probe.accuracy.estimate > 0.95


def test_one_condition_is_refused():
    with pytest.raises(CorpusError, match="at least 2 conditions"):
        condition_probe(wandering(3), np.zeros(3, dtype=int))
