import numpy as np
import pytest
import torch
from bench_files import TOKENIZER, tiny_llama
from tiny_families import EVERY, tiny
from two_devices import on_both, same

from imprint.capabilities import (
    Questions,
    Request,
    Scorer,
    ability_answers,
    ability_panel,
    copy_accuracy,
    copying,
    fewshot_hits,
    icl,
    recall,
    repeat_probe,
)
from imprint.interventions.activations import Intervention, Noise, Zero

ROOM = 1e-6


def requests(count=12, seed=0):
    rng = np.random.default_rng(seed)

    def ids(most):
        return tuple(rng.integers(4, 30, rng.integers(1, most)).tolist())

    return [Request(context=ids(7), continuation=ids(5)) for _ in range(count)]


@pytest.mark.parametrize("name", EVERY)
def test_requests_score_as_on_the_cpu(name):
    scorers = [Scorer(model, requests(), mask_token=3, batch_tokens=40) for model in on_both(tiny(name))]
    same(*(scorer.score() for scorer in scorers), ROOM)


def test_requests_score_under_interventions_as_on_the_cpu():
    items = [Intervention(site="L1.mlp", edit=Noise(seed=1, rms=0.5)), Intervention(site="L1.H1", edit=Zero())]
    scorers = [Scorer(model, requests(), layer=1, batch_tokens=40) for model in on_both(tiny("llama"))]
    for _ in range(2):
        same(*(scorer.score(items) for scorer in scorers), ROOM)


def test_copying_and_in_context_scores_are_those_of_the_cpu():
    models, probe = on_both(tiny("gpt_neox")), repeat_probe(range(1, 31), period=7, rows=6, seed=0, bos=0)
    same(*(copying(model, probe) for model in models), ROOM)
    same(*(copy_accuracy(model, [probe]) for model in models), ROOM)
    same(*(fewshot_hits(model, list(range(1, 31)), shots=4, rows=9, seed=0, bos=0) for model in models))
    tokens, lengths = torch.randint(1, 31, (5, 14), generator=torch.Generator().manual_seed(0)), torch.arange(9, 14)
    same(*(icl.row_losses(model, tokens, lengths, batch=2) for model in models), ROOM)


def test_answers_and_recall_are_those_of_the_cpu():
    models = on_both(tiny_llama(vocab_size=512).double())
    for items in ability_panel(count=8):
        frames = [ability_answers(model, items) for model in models]
        for name in ("log_prob", "confidence"):
            same(*(frame[name].to_numpy() for frame in frames), ROOM)
        assert frames[0]["prediction"].to_list() == frames[1]["prediction"].to_list()
    tokens = np.random.default_rng(0).integers(1, 256, (6, 3, 11))
    asked = Questions(tokens=tokens, starts=np.full(6, 4), ends=np.full((6, 3), 10))
    same(*(recall(model, asked) for model in models))
    assert TOKENIZER.vocab_size <= 512
