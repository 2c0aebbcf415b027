"""Tiny causal models of three families and tiny corpora, to train in milliseconds."""

import numpy as np

from imprint.corpus import Packed, Stream
from imprint.models import Architecture, Optimisation

SPECIAL = {"bos_token_id": 0, "eos_token_id": 0}
ROTARY = SPECIAL | {
    "vocab_size": 20,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 16,
}
GPT2 = SPECIAL | {"vocab_size": 20, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 16}
STILL = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}

ARCHITECTURES = {
    "gpt2": Architecture(model_type="gpt2", config=GPT2 | STILL | {"tie_word_embeddings": False}),
    "gpt2 with dropout and tied embeddings": Architecture(model_type="gpt2", config=GPT2),
    "gpt_neox": Architecture(model_type="gpt_neox", config=ROTARY),
    "llama": Architecture(model_type="llama", config=ROTARY | {"num_key_value_heads": 2}),
}
QUICK = Optimisation(learning_rate=0.01, warmup_steps=5)


def packed_rows(rows=30, context=12, vocabulary=20, seed=0):
    """Random rows of different lengths, padded with 0."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, context + 1, rows)
    tokens = rng.integers(1, vocabulary, (rows, context + 1))
    tokens[:, 0] = 0
    tokens[np.arange(context + 1) > lengths[:, None]] = 0
    return Packed(
        tokens=tokens,
        lengths=lengths,
        document=np.arange(rows),
        offsets=np.zeros((rows, context + 1, 2), dtype=np.int64),
        document_ids=tuple(map(str, range(rows))),
        domains=("x",) * rows,
    )


def stream_of(rows=30, steps=12, batch=4, seed=0):
    """Random rows, all with weight 1."""
    chosen = np.random.default_rng(seed).integers(0, rows, (steps, batch)).astype(np.int32)
    return Stream(rows=chosen, weights=np.ones((steps, batch), dtype=np.float32))


def bytes_of(folder):
    """Every result file below a folder; the manifest holds times, so it is left out."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if "scratch" not in path.parts}
