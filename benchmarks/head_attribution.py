"""Cost of attributing one head against the physical limit: one forward-backward over the same rows, in one run.

Run with `python -m benchmarks.head_attribution --json`. Process-CPU seconds on one thread; ratios are what to compare.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from imprint.attribution import EkfacOptions, fit_factors, head_subspace, induction_queries, query_gradient, score_rows
from imprint.capabilities import repeat_probe
from imprint.models import token_losses


def cpu_seconds(work: Callable[[], object], repeats: int = 2) -> float:
    """The least process-CPU seconds of several runs."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def forward_backward(model: PreTrainedModel, tokens: torch.Tensor, batch: int = 64) -> None:
    """One ordinary training pass without an optimiser."""
    for start in range(0, len(tokens), batch):
        rows = tokens[start : start + batch]
        model.zero_grad(set_to_none=True)
        token_losses(model(rows[:, :-1], use_cache=False).logits, rows[:, 1:]).sum().backward()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, default=256)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=2048, n_positions=128, n_embd=256, n_layer=4, n_head=8, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config).eval()
    tokens = torch.from_numpy(np.random.default_rng(0).integers(1, 2048, (arguments.rows, 129)))
    lengths = torch.full((len(tokens),), 128)
    probe = repeat_probe(range(1, 2048), period=60, rows=16, seed=0, bos=0, context=128)
    rows = []
    limit = cpu_seconds(lambda: forward_backward(model, tokens))
    for head in ("L0.H0", "L3.H1"):
        space = head_subspace(model, head)
        queries = induction_queries(probe, head)
        gradients = [query_gradient(model, space, query) for query in queries]
        options = EkfacOptions(max_rows=arguments.rows)
        score = cpu_seconds(lambda s=space, g=gradients: score_rows(model, s, [*g, *g], tokens, lengths))  # type: ignore[misc]
        fit = cpu_seconds(lambda s=space, o=options: fit_factors(model, s, tokens, lengths, o, seed=0))  # type: ignore[misc]
        rows.append(
            {"head": head, "score pass / forward-backward": score / limit, "factors / forward-backward": fit / limit}
        )
    result = {"rows": arguments.rows, "forward_backward_cpu_seconds": limit, "ratios": rows}
    sys.stdout.write(json.dumps(result, indent=None if arguments.json else 2) + "\n")


if __name__ == "__main__":
    main()
