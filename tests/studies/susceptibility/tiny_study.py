"""A susceptibility study whose pipelines take milliseconds: conditions that teach one of two letters."""

import json
from pathlib import Path

from transformers import GPT2Config, GPT2LMHeadModel

from imprint.corpus import byte_tokenizer
from imprint.studies import parse_study

LETTERS = {"a": 0.0, "b": 0.25, "c": 0.75, "d": 1.0}
"""By condition the share of its conversations that answer x; the others answer y."""


def write_files(folder: Path, *, shares=None, count=16) -> None:
    """Every file of the study."""
    for name, share in (shares or LETTERS).items():
        chats = [_chat(f"say {number % 4}", "xx" if number < share * count else "yy") for number in range(count)]
        _write(folder / f"{name}.jsonl", chats)
    _write(folder / "sft.jsonl", [_chat(f"go {number % 4}", "ok") for number in range(8)])
    _write(folder / "last.jsonl", [_chat(f"say {number % 4}", "xy") for number in range(8)])
    _write(folder / "dpo.jsonl", [_pair(f"pick {number}", "one", "two") for number in range(8)])
    _write(folder / "items.jsonl", [_pair(f"say {number}", "xx", "yy") for number in range(6)])
    _write(folder / "prompts.jsonl", [_chat(f"say {number}", "xx") for number in range(6)])
    _write(folder / "high.jsonl", [_chat(f"loud {number}", "xx") for number in range(5)])
    _write(folder / "low.jsonl", [_chat(f"soft {number}", "xx") for number in range(5)])


def write_model(folder: Path) -> Path:
    """A saved model of random weights on bytes."""
    config = GPT2Config(
        vocab_size=256, n_positions=48, n_embd=16, n_layer=1, n_head=2, n_inner=16, bos_token_id=0, eos_token_id=0
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def study_file(folder: Path, **changes) -> dict:
    """The content of the study's file."""
    tuning = {"learning_rate": 3e-3, "warmup_steps": 1, "batch": 4}
    content = {
        "kind": "susceptibility",
        "conditions": {name: [str(folder / f"{name}.jsonl")] for name in LETTERS},
        "context": 40,
        "base": {"model": str(folder / "model")},
        "stages": [
            {"kind": "sft", "name": "midtrain", "data": "condition", "tuning": {**tuning, "steps": 12}},
            {"kind": "sft", "name": "sft", "data": [str(folder / "sft.jsonl")], "tuning": {**tuning, "steps": 2}},
            {"kind": "dpo", "name": "dpo", "data": [str(folder / "dpo.jsonl")], "tuning": {**tuning, "steps": 2}},
            {
                "kind": "sft",
                "name": "last",
                "data": [str(folder / "last.jsonl")],
                "tuning": {**tuning, "steps": 2},
                "lora": {"rank": 2, "alpha": 4},
            },
        ],
        "pipelines": {"seeds": 2, "checkpoint_every": 6},
        "outcomes": [{"name": "x", "pairs": [str(folder / "items.jsonl")]}],
        "surface": {"permutations": 19, "draws": 20, "folds": 2},
        "representation": {
            "prompts": [str(folder / "prompts.jsonl")],
            "contrasts": [
                {"name": "loud", "positive": str(folder / "high.jsonl"), "negative": [str(folder / "low.jsonl")]}
            ],
            "sites": ["L0.resid_post"],
            "scalars": ["loss"],
            "draws": 19,
        },
        "removal": {"fraction": 0.25},
        "stopping": [],
    }
    return {**content, **changes}


def tiny_study(folder: Path, **changes):
    """The study of `study_file`; the model's folder is made, since a study names one that is there."""
    (folder / "model").mkdir(parents=True, exist_ok=True)
    return parse_study(study_file(folder, **changes), where="tiny")


def _chat(prompt: str, response: str) -> dict:
    return {"prompt": prompt, "response": response}


def _pair(prompt: str, chosen: str, rejected: str) -> dict:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def _write(path: Path, lines: list[dict]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
