from dataclasses import replace

import pytest
import torch
from mediation_items import random_pairs
from tiny_families import EVERY, tiny

from imprint.capabilities import copy_log_probs, repeat_probe
from imprint.errors import ConfigError, ContextTooLong
from imprint.mechanisms import answer_log_prob, copy_pairs, logit_difference, outcome
from imprint.models import induction_transformer


@pytest.mark.parametrize("name", EVERY)
def test_the_outcome_is_read_at_each_items_position(name):
    model, pairs = tiny(name), random_pairs(name)
    kwargs = {} if name == "bert" else {"use_cache": False}
    with torch.no_grad():
        values = outcome(model, pairs, "clean")
        for item in range(4):
            single = {key: value[item : item + 1] for key, value in pairs.inputs("clean").items()}
            row = model(**single, **kwargs).logits[0, pairs.position[item]]
            assert values[item].item() == pytest.approx((row[pairs.answer[item]] - row[pairs.foil[item]]).item())


def test_padding_does_not_matter():
    model, pairs = tiny("gpt2"), random_pairs("gpt2")
    pad = torch.full((4, 3), 9)
    padded = replace(
        pairs,
        clean=torch.cat([pairs.clean, pad], 1),
        corrupted=torch.cat([pairs.corrupted, pad], 1),
        attention_mask=torch.tensor([[1] * 7 + [0] * 3] * 4),
    )
    with torch.no_grad():
        torch.testing.assert_close(outcome(model, padded, "corrupted"), outcome(model, pairs, "corrupted"))


def test_metrics():
    logits = torch.tensor([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    pairs = replace(random_pairs("gpt2", items=2), answer=torch.tensor([1, 0]), foil=torch.tensor([0, 2]))
    assert logit_difference(logits, pairs).tolist() == [2.0, 0.0]
    assert answer_log_prob(logits, pairs)[1].item() == pytest.approx(-torch.tensor(3.0).log().item())


def test_copying_as_pairs():
    model = induction_transformer()
    probe = repeat_probe(range(1, 50), period=6, rows=3, seed=0, bos=0)
    pairs = copy_pairs(probe)
    assert len(pairs) == 3 * 5
    with torch.no_grad():
        torch.testing.assert_close(
            outcome(model, pairs, "clean", answer_log_prob).reshape(3, 5), copy_log_probs(model, probe)
        )
    assert (pairs.clean[0] == probe.tokens[0]).all()
    assert (pairs.corrupted[:, 7:] == pairs.clean[:, 7:]).all()  # the second half is the same in both


def test_batches_hold_every_item_once():
    pairs = random_pairs("t5", items=6)
    parts = list(pairs.batches(4))
    assert [len(part) for part in parts] == [4, 2]
    assert torch.equal(torch.cat([part.clean for part in parts]), pairs.clean)
    assert torch.equal(torch.cat([part.decoder for part in parts]), pairs.decoder)


def test_prompts_that_do_not_fit_are_refused():
    pairs = random_pairs("gpt2")
    with pytest.raises(ConfigError, match="Positions must lie in 0 to 6"):
        replace(pairs, position=torch.tensor([7, 0, 0, 0]))
    with pytest.raises(ContextTooLong, match="context of 16"):
        outcome(tiny("gpt2"), random_pairs("gpt2", length=17), "clean")
