import json

import pytest
import torch
from tiny_families import EVERY, inputs, logits, tiny
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from imprint.errors import ModelError
from imprint.models.loading import load_model, load_tokenizer


@pytest.fixture
def saved(tmp_path):
    """A tiny GPT-2 on disk."""
    tiny("gpt2").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("name", EVERY)
def test_a_saved_model_comes_back_exactly(name, tmp_path, capfd):
    model = tiny(name)
    model.save_pretrained(tmp_path)
    capfd.readouterr()
    loaded = load_model(tmp_path, dtype="float64")
    assert type(loaded) is type(model)
    assert not loaded.training
    assert torch.equal(logits(loaded, inputs(name)), logits(model, inputs(name)))
    assert capfd.readouterr() == ("", "")
    assert transformers_logging.is_progress_bar_enabled()


def test_float32_is_the_default_and_others_can_be_asked(saved):
    assert load_model(str(saved)).dtype == torch.float32
    assert load_model(saved, dtype="bfloat16").dtype == torch.bfloat16
    with pytest.raises(ModelError, match="'int8' is not one of float32"):
        load_model(saved, dtype="int8")


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there(saved, device):
    with pytest.raises(ModelError, match=f"device '{device}' cannot be used"):
        load_model(saved, device=device)


def test_missing_folder(tmp_path):
    with pytest.raises(ModelError, match="no such folder"):
        load_model(tmp_path / "nothing")
    with pytest.raises(ModelError, match="no such folder"):
        load_tokenizer("./nothing/here")


def test_unknown_hub_name_is_one_sentence():
    with pytest.raises(ModelError, match="nobody/nothing: cannot be loaded") as caught:
        load_model("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_folder_without_config(saved):
    (saved / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json; the folder holds .*model\.safetensors"):
        load_model(saved)


def test_config_that_is_not_json(saved):
    (saved / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(saved)


def test_pickled_weights_are_refused_with_the_remedy(saved):
    (saved / "model.safetensors").unlink()
    torch.save(tiny("gpt2").state_dict(), saved / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"only pickled weights \(pytorch_model\.bin\).*save_pretrained"):
        load_model(saved)


def test_pickled_weights_are_refused_when_the_config_names_them(saved):
    torch.save(tiny("gpt2").state_dict(), saved / "weights.bin")
    edit_config(saved, transformers_weights="weights.bin")
    with pytest.raises(ModelError, match=r"asks for weights in 'weights\.bin'; only safetensors"):
        load_model(saved)


def test_no_weights_at_all(saved):
    (saved / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no \*\.safetensors weights"):
        load_model(saved)


def test_damaged_weights(saved):
    whole = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(saved)


def test_missing_weights_are_never_made_up(tmp_path):
    tiny("llama").model.save_pretrained(tmp_path)  # no unembedding
    with pytest.raises(ModelError, match=r"1 weights are missing \(first: lm_head\.weight\)"):
        load_model(tmp_path)


def test_weights_of_another_shape(saved):
    edit_config(saved, n_embd=48)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(saved)


def test_unknown_family(saved):
    edit_config(saved, model_type="mamba")
    with pytest.raises(ModelError, match=r"'mamba' is not known to imprint; known types: gpt2"):
        load_model(saved)


def test_own_code_is_never_run(saved):
    (saved / "evil.py").write_text("raise SystemExit('own code was run')")
    edit_config(saved, auto_map={"AutoModelForCausalLM": "evil.Evil"})
    with pytest.raises(ModelError, match=r"needs its own code \(evil\.Evil\)"):
        load_model(saved)


def test_a_pointer_to_classes_that_transformers_ships_is_harmless(saved):
    (saved / "evil.py").write_text("raise SystemExit('own code was run')")
    edit_config(saved, auto_map={"AutoConfig": "evil.GPT2Config", "AutoModelForCausalLM": "evil.GPT2LMHeadModel"})
    assert load_model(saved).config.model_type == "gpt2"


def test_tokenizer_round_trip(tmp_path):
    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(vocab=letters, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert len(tokenizer) == 256
    assert tokenizer.decode(tokenizer("naïve → ok")["input_ids"]) == "naïve → ok"


def test_a_tokenizer_of_one_token_is_refused(tmp_path):
    empty = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocab={"a": 0}, merges=[])))
    empty.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has 1 tokens"):
        load_tokenizer(tmp_path)


# ---- GGUF -----------------------------------------------------------------------------------------------------------


def write_gguf(model, path):
    """A Llama in the llama.cpp format, which interleaves the rows of q and k that transformers keeps in halves."""
    gguf = pytest.importorskip("gguf")
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    names = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    parts = {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    for layer in range(config.num_hidden_layers):
        names |= {f"model.layers.{layer}.{ours}.weight": f"blk.{layer}.{his}.weight" for ours, his in parts.items()}
    for ours, his in names.items():
        weight = model.get_parameter(ours).detach().float()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(ours.split(".")[-2])
        if heads:
            weight = weight.view(heads, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape)
        writer.add_tensor(his, weight.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_gguf_becomes_a_plain_model_by_either_way_of_naming_it(tmp_path):
    pytest.importorskip("accelerate")
    model = tiny("llama-mha").float()
    write_gguf(model, tmp_path / "tiny.gguf")
    for loaded in (load_model(tmp_path / "tiny.gguf"), load_model(tmp_path, gguf_file="tiny.gguf")):
        assert type(loaded) is LlamaForCausalLM
        assert not hasattr(loaded.config, "quantization_config")
        assert not hasattr(loaded, "hf_quantizer")
        torch.testing.assert_close(
            logits(loaded, inputs("llama-mha")), logits(model, inputs("llama-mha")), rtol=0, atol=1e-5
        )
    loaded.save_pretrained(tmp_path / "again")
    assert torch.equal(logits(load_model(tmp_path / "again"), inputs("llama-mha")), logits(loaded, inputs("llama-mha")))


def test_missing_gguf(tmp_path, saved):
    with pytest.raises(ModelError, match=r"absent\.gguf: no such GGUF file"):
        load_model(tmp_path / "absent.gguf")
    with pytest.raises(ModelError, match=r"no such GGUF file; the folder holds config\.json"):
        load_model(saved, gguf_file="absent.gguf")


def test_a_file_that_is_no_gguf(tmp_path):
    pytest.importorskip("gguf")
    (tmp_path / "x.gguf").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(tmp_path / "x.gguf")


def test_gguf_without_its_extra(tmp_path, monkeypatch):
    (tmp_path / "x.gguf").write_bytes(b"")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="needs gguf and accelerate; install imprint with its gguf extra"):
        load_model(tmp_path / "x.gguf")
