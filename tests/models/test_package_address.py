import sys

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from imprint.errors import ModelError
from imprint.models import load_model

SIZES = {"vocab_size": 31, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that carries a model and must not be imported."""
    root = tmp_path / "site" / "carrier_of_models"
    LlamaForCausalLM(LlamaConfig(**SIZES)).save_pretrained(root / "weights")
    (root / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(root.parent))
    return root


def test_a_model_inside_a_package_is_found_without_importing_it(package):
    model = load_model("package:carrier_of_models/weights")
    assert model.config.hidden_size == 8
    assert "carrier_of_models" not in sys.modules


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("package:no_such_package/a.gguf", "no Python package 'no_such_package' is installed"),
        (
            "package:carrier_of_models/a.gguf",
            "package 'carrier_of_models' has no a.gguf; it holds __init__.py, weights",
        ),
        ("package:carrier_of_models", "write package:NAME/FILE"),
        ("package:a.b/c", "write package:NAME/FILE"),
        ("package:sys/c", "no Python package 'sys' is installed"),
    ],
)
def test_what_is_not_there(package, address, said):
    with pytest.raises(ModelError) as caught:
        load_model(address)
    assert said in str(caught.value)
