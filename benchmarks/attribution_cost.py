"""What attribution of one head costs on the Pythia shapes 14M, 31M, 70M and 160M, and with what power of their size it grows.

Run with `python -m benchmarks.attribution_cost --json`. Weights are random (cost does not depend on them), one thread,
process-CPU seconds, the least of the rounds. `passes` is the cost in units of one forward-backward of the whole model over the
same rows, the physical limit of any method that needs all gradients.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from imprint.attribution import EkfacOptions, attribute_head
from imprint.capabilities import repeat_probe
from imprint.corpus import Packed
from imprint.models import Architecture
from imprint.stats import Undefined, power_exponent

SHAPES = {"14M": (128, 6, 4), "31M": (256, 6, 8), "70M": (512, 6, 8), "160M": (768, 12, 12)}
"""Width, layers, heads."""
VOCABULARY = 50_304


def pythia(name: str, context: int) -> Architecture:
    width, layers, heads = SHAPES[name]
    config = {
        "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": 4 * width,
        "vocab_size": VOCABULARY, "max_position_embeddings": context, "bos_token_id": 0, "eos_token_id": 0,
    }  # fmt: skip
    return Architecture(model_type="gpt_neox", config=config)


def rows_of(count: int, context: int) -> Packed:
    tokens = np.random.default_rng(0).integers(1, VOCABULARY, size=(count, context + 1))
    return Packed(
        tokens=tokens.astype(np.int64),
        lengths=np.full(count, context, dtype=np.int64),
        document=np.arange(count, dtype=np.int64),
        offsets=np.zeros((count, context + 1, 2), dtype=np.int64),
        document_ids=tuple(map(str, range(count))),
        domains=("random",) * count,
    )


def least(work: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def measure(name: str, count: int, context: int, rounds: int) -> dict[str, Any]:
    architecture, packed = pythia(name, context), rows_of(count, context)
    model = architecture.initialise(0).eval()
    layers = SHAPES[name][1]
    probe = repeat_probe(range(1, 1000), period=context // 2 - 1, rows=8, seed=0, bos=0, context=context)
    options = EkfacOptions(max_rows=count)
    tokens = torch.from_numpy(packed.tokens)

    def passes() -> None:
        for row in tokens.split(8):
            logits = model(row[:, :-1], use_cache=False).logits
            torch.nn.functional.cross_entropy(logits.flatten(0, 1), row[:, 1:].flatten()).backward()
        model.zero_grad(set_to_none=True)

    scored = least(lambda: attribute_head(model, packed, f"L{layers // 2}.H0", probe, options=options), rounds)
    limit = least(passes, rounds)
    body = architecture.parameters - 2 * VOCABULARY * SHAPES[name][0]
    return {
        "shape": name, "parameters": architecture.parameters, "body": body, "seconds": scored, "seconds_a_row": scored / count,
        "forward_backward": limit, "passes": scored / limit,
    }  # fmt: skip


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for size in ("parameters", "body"):
        for cost in ("seconds", "forward_backward"):
            power = power_exponent([row[size] for row in rows], [row[cost] for row in rows], metric=cost)
            found[f"{cost} by {size}"] = power.reason if isinstance(power, Undefined) else power.as_dict()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measure(name, asked.rows, asked.context, asked.rounds) for name in SHAPES]
    result = {"rows": asked.rows, "context": asked.context, "shapes": rows, "exponents": summary(rows)}
    if asked.json:
        print(json.dumps(result, indent=2))
        return
    for row in rows:
        print(f"{row['shape']:>5} {row['seconds_a_row']:.3f} s a row, {row['passes']:.2f} forward-backwards")
    for name, power in result["exponents"].items():
        print(
            name,
            power if isinstance(power, str) else f"{power['estimate']:.2f} [{power['low']:.2f}, {power['high']:.2f}]",
        )


if __name__ == "__main__":
    main()
