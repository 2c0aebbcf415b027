"""A perturbation study that runs in seconds: two made-up domains, a tiny Llama on bytes, made-up COPA and RTE items."""

from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from imprint.corpus import byte_tokenizer
from imprint.studies import PerturbationStudy, parse_study
from tiny_studies import write_text

COPA = """<?xml version="1.0" encoding="UTF-8"?>
<copa-corpus version="1.0">
{items}
</copa-corpus>
"""
ITEM = """<item id="{number}" asks-for="cause" most-plausible-alternative="{gold}">
<p>The sun set {number}.</p><a1>It was evening {number}.</a1><a2>It was {number} mornings.</a2></item>"""


def save_model(folder: Path) -> Path:
    """A random Llama of three layers on bytes, saved with its tokenizer."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=256,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=3,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def save_items(folder: Path, items: int = 24) -> Path:
    """COPA and RTE files as they are published, with made-up items."""
    written = "\n".join(ITEM.format(number=number, gold=1 + number % 2) for number in range(items))
    (folder / "balanced_copa").mkdir(parents=True)
    (folder / "balanced_copa" / "balanced-copa-dev-all.xml").write_text(COPA.format(items=written), encoding="utf-8")
    (folder / "rte").mkdir()
    rows = [f"It rains in town {number}.\tIt is wet {number}.\t{number % 2}\t{number}" for number in range(items)]
    for split in ("train", "dev"):
        text = "\n".join(["sentence1\tsentence2\tlabel\tidx", *rows]) + "\n"
        (folder / "rte" / f"{split}.tsv").write_text(text, encoding="utf-8")
    return folder


def write_world(folder: Path) -> Path:
    """Text, model and items, in one folder."""
    write_text(folder / "text", documents=60, words=60)
    save_model(folder / "model")
    save_items(folder / "data")
    return folder


def tiny_perturbation(folder: Path, **changes) -> dict:
    """The content of a study file on a world written by `write_world`."""
    content = {
        "kind": "perturbation",
        "title": "A tiny perturbation study",
        "model": {"name": str(folder / "model")},
        "clusters": {"paths": [str(folder / "text")], "documents": 40, "tokens": 16},
        "abilities": {
            "data": str(folder / "data"),
            "suites": ["copa", "rte"],
            "controls": ["rte"],
            "items": 20,
            "fewshot": 0,
        },
        "perturbations": {
            "site": "L1.resid_post",
            "dimensions": 4,
            "rank": 2,
            "families": ["ablation", "noise", "sign"],
            "doses": {"ablation": [0.5, 1.0], "noise": [1.0, 4.0], "sign": [0.1, 0.5]},
            "layers": ["embed"],
            "token_shares": [0.1, 0.5],
        },
    }
    for key, value in changes.items():
        merge = isinstance(value, dict) and isinstance(content.get(key), dict)
        content[key] = content[key] | value if merge else value
    return content


def tiny_study(folder: Path, **changes) -> PerturbationStudy:
    """The same as a study."""
    study = parse_study(tiny_perturbation(folder, **changes), where="study.yaml")
    assert isinstance(study, PerturbationStudy)
    return study
