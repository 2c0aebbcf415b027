import numpy as np
import pytest
import torch
from tiny_families import tiny

from imprint.corpus.chat import RenderedChat
from imprint.errors import ComponentNotFound, ConfigError, ContextTooLong, CorpusError, ModelError
from imprint.mechanisms.checkpoints import entropies_and_losses, read_prompts
from imprint.models import record

SITES = ("L0.resid_post", "L1.resid_post")


def chat(length, answers, seed=0):
    """Random tokens of which those in the spans `answers` are learnt."""
    loss = np.zeros(length, dtype=bool)
    for start, stop in answers:
        loss[start:stop] = True
    return RenderedChat(tokens=np.random.default_rng(seed).integers(1, 31, length), loss=loss)


CHATS = [chat(9, [(5, 9)], 1), chat(12, [(3, 5), (9, 12)], 2), chat(6, [(4, 6)], 3), chat(12, [(1, 2)], 4)]


def alone(model, one):
    ids = torch.from_numpy(one.tokens)[None]
    with torch.no_grad(), record(model, SITES) as states:
        logits = model(input_ids=ids).logits[0]
    return {site: state[0].numpy() for site, state in states.items()}, logits


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_equals_each_conversation_by_itself(name):
    model = tiny(name)
    found = read_prompts(model, CHATS, SITES, batch=3)
    for row, one in enumerate(CHATS):
        states, logits = alone(model, one)
        learnt = np.flatnonzero(one.loss)
        for site in SITES:
            np.testing.assert_allclose(found.states[site][row], states[site][learnt].mean(0), atol=1e-9)
        before, targets = logits[learnt - 1], torch.from_numpy(one.tokens[learnt])
        assert found.loss[row] == pytest.approx(torch.nn.functional.cross_entropy(before, targets).item())
        entropy = torch.distributions.Categorical(logits=before).entropy().mean().item()
        assert found.entropy[row] == pytest.approx(entropy)
        assert found.answer_tokens[row] == len(learnt)


def test_prompt_end_is_the_token_before_the_last_answer():
    model = tiny("gpt2")
    found = read_prompts(model, CHATS, SITES, position="prompt_end", batch=4)
    for row, end in enumerate([4, 8, 3, 0]):
        np.testing.assert_allclose(found.states[SITES[1]][row], alone(model, CHATS[row])[0][SITES[1]][end], atol=1e-9)


def test_answers_after_the_prompt_do_not_change_its_end_but_change_the_rest():
    model = tiny("gpt2")
    other = RenderedChat(tokens=CHATS[0].tokens.copy(), loss=CHATS[0].loss)
    other.tokens[6] = other.tokens[6] % 30 + 1
    one, two = (read_prompts(model, [c], SITES, position="prompt_end") for c in (CHATS[0], other))
    np.testing.assert_array_equal(one.states[SITES[1]], two.states[SITES[1]])
    assert one.loss[0] != two.loss[0]
    means = [read_prompts(model, [c], SITES).states[SITES[1]] for c in (CHATS[0], other)]
    assert np.abs(means[0] - means[1]).max() > 1e-3


def test_batches_do_not_matter():
    model = tiny("llama")
    one, other = read_prompts(model, CHATS, SITES, batch=1), read_prompts(model, CHATS, SITES, batch=4)
    np.testing.assert_allclose(one.states[SITES[0]], other.states[SITES[0]], atol=1e-9)
    np.testing.assert_allclose(one.entropy, other.entropy, atol=1e-9)


def test_entropy_and_loss_of_known_distributions():
    logits = torch.tensor([[0.0] * 8, [50.0] + [0.0] * 7]).repeat(200, 1)
    entropy, loss = entropies_and_losses(logits, torch.tensor([3, 0]).repeat(200))
    np.testing.assert_allclose(entropy, np.tile([np.log(8), 0.0], 200), atol=1e-12)
    np.testing.assert_allclose(loss, np.tile([np.log(8), 0.0], 200), atol=1e-12)


def test_what_cannot_be_read_is_refused():
    model = tiny("gpt2")
    with pytest.raises(CorpusError, match="conversation 2 has no answer token"):
        read_prompts(model, [CHATS[0], chat(5, [])], SITES)
    with pytest.raises(CorpusError, match="no conversation to read"):
        read_prompts(model, [], SITES)
    with pytest.raises(ConfigError, match="no site"):
        read_prompts(model, CHATS, ())
    with pytest.raises(ComponentNotFound):
        read_prompts(model, CHATS, ("L7.resid_post",))
    with pytest.raises(ContextTooLong):
        read_prompts(model, [chat(17, [(3, 5)])], SITES)
    with pytest.raises(ModelError, match="not a causal model"):
        read_prompts(tiny("bert"), CHATS, SITES)
