import numpy as np
import pytest
import torch

from imprint.capabilities.abilities import ability_accuracies, ability_answers, ability_items, ability_panel
from imprint.corpus import ABILITIES, AbilitiesWorld
from imprint.corpus.abilities import BOS, CLOSE, MODULUS, OPEN, RELATION
from imprint.errors import ConfigError
from imprint.models import Architecture

WORLD = AbilitiesWorld()
SIZES = {"vocab_size": 64, "n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_inner": 16}


def model(seed=0):
    return (
        Architecture(model_type="gpt2", config=SIZES | {"bos_token_id": 63, "eos_token_id": 63}).initialise(seed).eval()
    )


def prompts(items):
    """The tokens that the model reads, and the answer."""
    return [
        (row[: query + 1].tolist(), int(gold))
        for row, query, gold in zip(items.tokens, items.query, items.gold, strict=True)
    ]


@pytest.mark.parametrize("ability", ABILITIES)
def test_items_are_the_same_for_the_same_seed(ability):
    first, again, other = (ability_items(ability, count=30, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.tokens, again.tokens)
    assert not torch.equal(first.tokens, other.tokens)
    assert len(first) == 30
    assert first.tokens.shape[1] <= 64
    assert (first.tokens[:, 0] == BOS).all()
    assert set(first.gold.tolist()) <= set(first.options)
    assert first.chance == 1 / len(first.options)


def test_copies_follow_their_context():
    for prompt, gold in prompts(ability_items("copy", count=100)):
        content, last = prompt[1:], prompt[-1]
        first = content.index(last)
        assert first < len(content) - 1
        assert content[first + 1] == gold


def test_sums_are_new_to_their_row():
    for prompt, gold in prompts(ability_items("sums", count=100)):
        asked, content = (prompt[-2], prompt[-1]), prompt[1:-2]
        assert sum(asked) % MODULUS == gold
        before = {(a, b) for a, b in zip(content[::4], content[1::4], strict=True)}
        assert len(content) == 60
        assert asked not in before
        assert asked[::-1] not in before


def test_facts_are_new_to_their_row():
    for prompt, gold in prompts(ability_items("recall", count=100)):
        subject, relation = prompt[-2:]
        assert WORLD.facts[subject, relation - RELATION] == gold
        assert (subject, relation) not in set(zip(prompt[1:-2:4], prompt[2:-2:4], strict=False))


def test_brackets_need_their_match():
    for prompt, gold in prompts(ability_items("brackets", count=100)):
        stack = []
        for token in prompt[1:]:
            if token >= CLOSE:
                stack.pop()
            else:
                stack.append(token - OPEN)
        assert CLOSE + stack[-1] == gold
        assert prompt[-1] >= CLOSE  # the one opened last is closed already
        assert len(prompt) > 32


@pytest.mark.parametrize("ability", ABILITIES)
def test_an_untrained_model_is_at_chance(ability):
    items = ability_items(ability, count=600)
    found = np.mean([ability_answers(model(seed), items)["correct"].mean() for seed in range(4)])
    assert found == pytest.approx(items.chance, abs=0.06)


def test_answers_are_those_of_the_logits():
    items, net = ability_items("brackets", count=300), model()
    table = ability_answers(net, items)
    logits = torch.stack(
        [net(row[: query + 1][None]).logits[0, -1] for row, query in zip(items.tokens, items.query, strict=True)]
    ).double()
    expected = logits.log_softmax(-1)[torch.arange(300), items.gold]
    assert table["log_prob"].to_numpy() == pytest.approx(expected.detach().numpy(), abs=1e-5)
    among = logits[:, list(items.options)].softmax(-1)
    assert table["confidence"].to_numpy() == pytest.approx(among.amax(1).detach().numpy(), abs=1e-5)
    named = [str(items.options[int(place)]) for place in among.argmax(1)]
    assert table["prediction"].to_list() == named
    right = [float(name == gold) for name, gold in zip(named, table["gold"], strict=True)]
    assert table["correct"].to_list() == right
    assert table["item"].to_list() == list(range(300))


def test_panel_is_in_the_order_of_the_abilities():
    panel = ability_panel(count=20)
    assert tuple(items.ability for items in panel) == ABILITIES
    expected = [ability_answers(model(), items)["correct"].mean() for items in panel]
    assert ability_accuracies(model(), panel).tolist() == expected


def test_refuses_no_questions():
    with pytest.raises(ConfigError, match="0 questions"):
        ability_items("copy", count=0)
