import numpy as np
import pytest
import torch
from bench_files import TOKENIZER, tiny_llama

from imprint.capabilities import quality
from imprint.capabilities.quality import coherence, distinct, overlap_f1, relevance, repetition, words
from imprint.errors import InputError

PROMPTS = ["Tell me about the sea.", "Tell me about the desert.", "Tell me about the forest."]


def test_variety_and_repetition():
    assert words("It's the END, the end.") == ["it", "s", "the", "end", "the", "end"]
    assert distinct(list("aabb"), 1) == 0.5
    assert distinct(list("abcd"), 2) == 1.0
    assert distinct([], 1) == 0.0
    assert repetition(list("abcd" * 3)) == pytest.approx(5 / 9)
    assert repetition(list("abcdefgh")) == 0.0
    assert repetition(list("ab")) == 0.0


def test_overlap():
    assert overlap_f1("the red fox", "The fox, red!") == 1.0
    assert overlap_f1("a b c d", "a x") == pytest.approx(2 / 6)
    assert overlap_f1("", "a") == 0.0


def test_relevance_is_of_the_own_prompt_and_of_no_other():
    own = relevance(PROMPTS, ["the sea is deep", "a desert is dry", "a forest is green"])
    swapped = relevance(PROMPTS, ["a desert is dry", "a forest is green", "the sea is deep"])
    assert own.min() == pytest.approx(1.0)
    assert swapped.max() == pytest.approx(-0.5)
    assert relevance(PROMPTS, ["tell me about the", "", "me"]).tolist() == [0.0, 0.0, 0.0]


def test_texts_shuffled_over_prompts_have_no_relevance():
    rng = np.random.default_rng(0)
    topics = [f"topic{n}" for n in range(60)]
    texts = [f"about {topic}" for topic in topics]
    assert np.mean(relevance(topics, texts)) == pytest.approx(1.0)
    assert abs(np.mean(relevance(topics, list(rng.permutation(texts))))) < 0.06


def test_coherence_is_the_mean_log_probability_under_the_reference():
    model = tiny_llama()
    prompts, texts = ["ab", "abc"], ["cd", "def"]
    found = coherence(prompts, texts, model, TOKENIZER)
    for value, prompt, text in zip(found, prompts, texts, strict=True):
        ids = torch.tensor([list((prompt + text).encode())])
        with torch.no_grad():
            log_probs = model(ids).logits[0, :-1].log_softmax(-1)
        told = log_probs.gather(1, ids[0, 1:, None])[len(prompt) - 1 :].mean()
        assert value == pytest.approx(told.item(), abs=1e-5)


def test_quality_of_good_and_of_broken_texts():
    model = tiny_llama()
    good = quality(PROMPTS, ["the sea is deep", "a desert is dry", "a forest is green"], model, TOKENIZER, gold=PROMPTS)
    loops = quality(PROMPTS, ["no no no no no no no"] * 3, model, TOKENIZER)
    assert good.relevance.estimate > 0.9
    assert loops.relevance.estimate == 0.0
    assert (good.repetition.estimate, loops.repetition.estimate) == (0.0, 0.75)
    assert loops.distinct_1.estimate == pytest.approx(1 / 7)
    assert good.gold_f1.estimate > 0.1
    assert loops.gold_f1 is None


def test_what_is_refused():
    with pytest.raises(InputError, match="one text a prompt"):
        quality(PROMPTS, ["one"], tiny_llama(), TOKENIZER)
    with pytest.raises(InputError, match="coherence needs at least 2"):
        quality(PROMPTS, ["one", "", " "], tiny_llama(), TOKENIZER)
