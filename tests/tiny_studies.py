"""Studies that run in seconds: text of two made-up domains in a folder, and a model too small to learn anything."""

import functools
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from imprint.runs import recipe

SIZES = {"n_positions": 24, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 16, "vocab_size": 256}
STILL = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
SPECIAL = {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.25, "tie_word_embeddings": False}
TINY = {"model_type": "gpt2", "config": SIZES | STILL | SPECIAL}


def write_text(folder: Path, documents: int = 60, words: int = 80) -> Path:
    """A folder with a JSONL file for each of two domains; no two documents are alike."""
    rng = random.Random(0)
    vocabularies = {
        "prose": ["the", "river", "of", "stones", "and", "a", "winter", "morning", "é", "slowly"],
        "code": ["x", "=", "f(y)", "return", "if", "else:", "0x1f", "[i]", "+=", "None"],
    }
    folder.mkdir(parents=True)
    for domain, vocabulary in vocabularies.items():
        texts = (" ".join(rng.choice(vocabulary) for _ in range(words)) for _ in range(documents))
        lines = [
            json.dumps({"id": f"{domain}-{number}", "text": f"{number} {text}"}) for number, text in enumerate(texts)
        ]
        (folder / f"{domain}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def tiny_content(paths: Path, **changes) -> dict:
    """The content of a study file; `changes` are laid over it section by section."""
    content = {
        "title": "A tiny study",
        "corpus": {"paths": [str(paths)], "documents": 100, "heldout_documents": 100, "passage_bytes": 24},
        "architecture": TINY,
        "training": {
            "steps": 40,
            "batch": 8,
            "checkpoint_every": 20,
            "seeds": 2,
            "optimisation": {"learning_rate": 0.01, "warmup_steps": 5},
        },
        "probe": {"rows": 8},
        "attribution": {"max_rows": 40},
    }
    for key, value in changes.items():
        merge = isinstance(value, dict) and isinstance(content.get(key), dict)
        content[key] = content[key] | value if merge else value
    return content


def bytes_of(folder: Path, *, manifests: bool = False) -> dict[str, bytes]:
    """Every file below a folder; manifests hold times, so they are left out unless asked for."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in paths if manifests or path.name != "manifest.json"
    }


_DIGEST = functools.cache(recipe.source_digest)


@pytest.fixture(scope="module", autouse=True)
def quick_keys() -> Iterator[None]:
    """The source does not change while a file of tests runs, and shape checking makes reading it slow: read it once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "source_digest", _DIGEST)
        yield
