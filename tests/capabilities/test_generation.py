import pytest
import torch
from bench_files import TOKENIZER, tiny_llama
from tiny_families import tiny
from transformers import T5Config, T5ForConditionalGeneration

from imprint.capabilities import Decoding, continuations
from imprint.errors import ConfigError, ContextTooLong, ModelError
from imprint.interventions.activations import Intervention, Zero

PROMPTS = ["hello", "a much longer prompt than that", "x", "in between"]


def greedy(model, prompt, count, hook=None):
    """Token by token, no cache, no padding."""
    ids = list(prompt.encode())
    for _ in range(count):
        with torch.no_grad():
            ids.append(model(torch.tensor([ids])).logits[0, -1].argmax().item())
        if ids[-1] == 0:
            break
    return TOKENIZER.decode(ids[len(prompt) :], skip_special_tokens=True)


def test_greedy_continuations_do_not_depend_on_the_batch():
    model = tiny_llama()
    found = continuations(model, TOKENIZER, PROMPTS, Decoding(max_new_tokens=6), batch=2)
    assert found == [greedy(model, prompt, 6) for prompt in PROMPTS]


def test_a_stop_text_ends_a_continuation_and_is_cut_off():
    model = tiny_llama()
    whole = continuations(model, TOKENIZER, PROMPTS[:1], Decoding(max_new_tokens=12))[0]
    stop = whole[5]
    steps = []
    handle = model.get_output_embeddings().register_forward_hook(lambda *_: steps.append(1))
    cut = continuations(model, TOKENIZER, PROMPTS[:1], Decoding(max_new_tokens=12, until=(stop, "never")))[0]
    handle.remove()
    assert cut == whole[: whole.index(stop)]
    assert len(steps) == whole.index(stop) + 1


def test_interventions_act_while_text_is_made():
    model = tiny_llama()
    silence = Intervention(site="L2.resid_post", edit=Zero())
    plain = continuations(model, TOKENIZER, PROMPTS, Decoding(max_new_tokens=5))
    changed = continuations(model, TOKENIZER, PROMPTS, Decoding(max_new_tokens=5), interventions=[silence])
    assert changed != plain
    assert continuations(model, TOKENIZER, PROMPTS, Decoding(max_new_tokens=5)) == plain


def test_a_token_mask_names_prompts_by_their_place():
    model = tiny_llama()
    mask = torch.zeros(len(PROMPTS), 40, dtype=torch.bool)
    mask[1] = True
    only = Intervention(site="L1.resid_post", edit=Zero(), tokens=mask)
    plain = continuations(model, TOKENIZER, PROMPTS, Decoding(max_new_tokens=8))
    for batch in (1, 2, 4):
        found = continuations(model, TOKENIZER, PROMPTS, Decoding(max_new_tokens=8), interventions=[only], batch=batch)
        assert [a != b for a, b in zip(found, plain, strict=True)] == [False, True, False, False]


def test_sampling_repeats_by_its_seed_and_leaves_the_global_state():
    model = tiny_llama()
    decoding = Decoding(max_new_tokens=12, temperature=2.0)
    state = torch.random.get_rng_state()
    first = continuations(model, TOKENIZER, PROMPTS, decoding, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert continuations(model, TOKENIZER, PROMPTS, decoding, seed=1) == first
    assert continuations(model, TOKENIZER, PROMPTS, decoding, seed=2) != first


def test_an_encoder_decoder_answers_without_its_prompt():
    torch.manual_seed(0)
    sizes = {"vocab_size": 256, "d_model": 16, "d_kv": 4, "d_ff": 16, "num_heads": 2, "num_layers": 2}
    model = T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=0, pad_token_id=0)).eval()
    found = continuations(model, TOKENIZER, ["abc", "defgh"], Decoding(max_new_tokens=3))
    with torch.no_grad():
        first = (
            model(input_ids=torch.tensor([list(b"abc")]), decoder_input_ids=torch.tensor([[0]])).logits.argmax().item()
        )
    assert found[0].startswith(TOKENIZER.decode([first], skip_special_tokens=True))
    assert len(found) == 2


def test_prompts_that_are_too_long_lose_their_beginning():
    model = tiny_llama(max_position_embeddings=16)
    long = "z" * 50 + "hello"
    assert continuations(model, TOKENIZER, [long], Decoding(max_new_tokens=6)) == [greedy(model, long[-10:], 6)]


def test_what_is_refused():
    model = tiny_llama(max_position_embeddings=16)
    with pytest.raises(ContextTooLong, match="16"):
        continuations(model, TOKENIZER, ["a"], Decoding(max_new_tokens=16))
    with pytest.raises(ModelError, match="cannot continue"):
        continuations(tiny("bert"), TOKENIZER, ["a"], Decoding())
    with pytest.raises(ConfigError, match="max_new_tokens"):
        Decoding(max_new_tokens=0)
