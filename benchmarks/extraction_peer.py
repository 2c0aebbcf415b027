"""One capture of all residual streams to disk by one library, timed; run by the Python that has that library.

Run by `benchmarks.extraction` as `PYTHON extraction_peer.py NAME LAYERS D VOCABULARY BATCH SEQ BATCHES FOLDER`. The
capture loop is the plain one of each library's documentation: forward with a cache, move to float16, memory map.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

States = Callable[[torch.Tensor], list[torch.Tensor]]
"""The residual streams of a batch, from before the first block to after the last."""


def build(layers: int, d: int, vocabulary: int, attention: str) -> GPTNeoXForCausalLM:
    """The same random model everywhere: weights come from their own generator."""
    config = GPTNeoXConfig(
        vocab_size=vocabulary, hidden_size=d, num_hidden_layers=layers, num_attention_heads=d // 64,
        intermediate_size=4 * d, max_position_embeddings=2048, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    config._attn_implementation = attention
    torch.manual_seed(0)
    model = GPTNeoXForCausalLM(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            if parameter.ndim == 2:
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


def draw(vocabulary: int, rows: int, seq: int) -> np.ndarray:
    """The tokens that every library reads."""
    return np.random.default_rng(0).integers(10, vocabulary, (rows, seq))


def transformer_lens(model: GPTNeoXForCausalLM, layers: int) -> States:
    """Residual streams through a TransformerLens 4 bridge around the model."""
    from transformer_lens.model_bridge import sources

    bridge = sources.build_bridge_from_module(model, "GPTNeoXForCausalLM", hf_config=model.config, device="cpu")
    names = ["blocks.0.hook_resid_pre", *(f"blocks.{layer}.hook_resid_post" for layer in range(layers))]

    def states(tokens: torch.Tensor) -> list[torch.Tensor]:
        _, cache = bridge.run_with_cache(tokens, names_filter=names)
        return [cache[name] for name in names]

    return states


def nnsight(model: GPTNeoXForCausalLM, layers: int) -> States:
    """Residual streams saved in an nnsight trace."""
    from nnsight import NNsight

    traced = NNsight(model)
    blocks = traced.gpt_neox.layers

    def states(tokens: torch.Tensor) -> list[torch.Tensor]:
        with traced.trace(tokens):
            saved = list().save()
            saved.append(blocks[0].input)
            for block in blocks:
                saved.append(block.output)
        return [state[0] if isinstance(state, tuple) else state for state in saved]

    return states


def main() -> None:
    """Capture and say what it took."""
    name, folder = sys.argv[1], Path(sys.argv[8])
    layers, d, vocabulary, batch, seq, batches = map(int, sys.argv[2:8])
    torch.set_num_threads(1)
    model = build(layers, d, vocabulary, "eager" if name == "transformer_lens" else "sdpa")
    states = {"transformer_lens": transformer_lens, "nnsight": nnsight}[name](model, layers)
    tokens = torch.from_numpy(draw(vocabulary, batch * batches, seq))
    with torch.inference_mode():
        states(tokens[:batch])
        cpu, wall = time.process_time(), time.perf_counter()
        out = np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=np.float16, shape=(layers + 1, batch * batches * seq, d)
        )
        for number in range(batches):
            place = slice(number * batch * seq, (number + 1) * batch * seq)
            for layer, state in enumerate(states(tokens[number * batch : (number + 1) * batch])):
                out[layer, place] = state.reshape(-1, d).to(torch.float16).numpy()
        out.flush()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    sys.stdout.write("\n" + json.dumps({"cpu_seconds": cpu, "wall_seconds": wall}) + "\n")


if __name__ == "__main__":
    main()
