"""Cost of interventions against naive forward passes and bare torch hooks, on models of random weights, in one run.

Run with `python -m benchmarks.interventions --json`. Process-CPU seconds on one thread, the least of several rounds in
which the variants take turns (generation: the median of the rounds' ratios); ratios are what to compare. Every variant
is first checked to compute the same thing.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping

import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel

from imprint.interventions.activations import Intervention, Mean, Shift, Subspace, Zero, intervene, sweep

Work = Mapping[str, Callable[[], torch.Tensor]]


def times_of(work: Work, rounds: int) -> dict[str, list[float]]:
    """The process-CPU seconds of each variant in each round; who begins takes turns."""
    times: dict[str, list[float]] = {name: [] for name in work}
    names = list(work)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            gc.collect()
            start = time.process_time()
            work[name]()
            times[name].append(time.process_time() - start)
    return times


def rounds_of(work: Work, rounds: int) -> dict[str, float]:
    """The least process-CPU seconds of each variant."""
    return {name: min(found) for name, found in times_of(work, rounds).items()}


def median_ratio(times: Mapping[str, list[float]], name: str, base: str) -> float:
    """The median over rounds of the time of one variant in units of another's in the same round."""
    return statistics.median(one / other for one, other in zip(times[name], times[base], strict=True))


def gpt2(*, layers: int, width: int, heads: int, vocabulary: int) -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=vocabulary, n_positions=256, n_embd=width, n_layer=layers, n_head=heads, bos_token_id=0,
        eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval()


def neox(*, layers: int, width: int, vocabulary: int) -> PreTrainedModel:
    config = GPTNeoXConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers, num_attention_heads=8,
        intermediate_size=4 * width, max_position_embeddings=512, bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    return GPTNeoXForCausalLM(config).eval()


def tokens(model: PreTrainedModel, rows: int, length: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, model.config.vocab_size, (rows, length), generator=generator)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@torch.no_grad()
def naive(model: PreTrainedModel, batch: Mapping[str, torch.Tensor], hook: Callable, layer: int) -> torch.Tensor:
    """One full forward pass with a bare hook after a block; logits of the last token."""
    handle = model.base_model.get_submodule("h" if hasattr(model, "transformer") else "layers")[layer]
    handle = handle.register_forward_hook(hook)
    try:
        return model(**batch, use_cache=False).logits[:, -1]
    finally:
        handle.remove()


def zeroed(dims: torch.Tensor) -> Callable:
    def hook(_: object, __: object, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[..., dims] = 0
        return output

    return hook


def agreement(work: Work) -> dict[str, float]:
    """The largest difference of logits from the naive ones, beside the largest between two variants."""
    naive_logits = work["naive"]()
    spread = naive_logits.amax(0) - naive_logits.amin(0)
    difference = (naive_logits - work["sweep"]()).abs()
    return {"max_difference": float(difference.max()), "max_effect": float(spread.max())}


def many_interventions(rounds: int) -> dict[str, float]:
    """64 ablations of the residual stream in the middle of 12 layers."""
    model = gpt2(layers=12, width=384, heads=6, vocabulary=8192)
    batch = tokens(model, 4, 64)
    groups = [torch.arange(start, start + 6) for start in range(0, 384, 6)]
    variants = {
        str(index): [Intervention(site="L5.resid_post", edit=Zero(within=Subspace.of_dims(dims, 384)))]
        for index, dims in enumerate(groups)
    }
    work: Work = {
        "naive": lambda: torch.stack([naive(model, batch, zeroed(dims), 5) for dims in groups]),
        "sweep": lambda: torch.stack(list(sweep(model, batch, variants).values())),
    }
    compared = agreement(work)
    seconds = rounds_of(work, rounds)
    return {"ratio": seconds["sweep"] / seconds["naive"], **compared, "naive_cpu_s": seconds["naive"]}


def doses(rounds: int) -> dict[str, float]:
    """Five doses at one layer, on the shape of Pythia-70M and the bench's 8 x 128 tokens."""
    model = neox(layers=6, width=512, vocabulary=50304)
    batch = tokens(model, 8, 128)
    levels = [0.0, 0.25, 0.5, 0.75, 1.0]
    item = Intervention(site="L3.resid_post", edit=Zero(within=Subspace.of_dims(torch.arange(64), 512)))

    def faded(dose: float) -> Callable:
        def hook(_: object, __: object, output: torch.Tensor) -> torch.Tensor:
            output = output.clone()
            output[..., :64] *= 1 - dose
            return output

        return hook

    variants = {str(level): [item.at(level)] for level in levels}
    work: Work = {
        "naive": lambda: torch.stack([naive(model, batch, faded(level), 3) for level in levels]),
        "sweep": lambda: torch.stack(list(sweep(model, batch, variants).values())),
    }
    difference = float((work["naive"]() - work["sweep"]()).abs().max())
    seconds = rounds_of(work, rounds)
    return {
        "speedup": seconds["naive"] / seconds["sweep"],
        "max_difference": difference,
        "naive_cpu_s": seconds["naive"],
    }


def nothing(rounds: int) -> dict[str, float]:
    """An intervention of dose 0 on every layer of the smallest model, where fixed costs show most."""
    model = neox(layers=6, width=64, vocabulary=1000)
    batch = {"input_ids": tokens(model, 1, 16)["input_ids"]}
    items = [Intervention(site=f"L{layer}.resid_post", edit=Mean(value=torch.ones(64)), dose=0.0) for layer in range(6)]
    passes = 50

    @torch.no_grad()
    def forward() -> torch.Tensor:
        for _ in range(passes):
            logits = model(**batch, use_cache=False).logits
        return logits

    def inside() -> torch.Tensor:
        with intervene(model, items):
            return forward()

    identical = torch.equal(forward(), inside())
    seconds = rounds_of({"plain": forward, "inside": inside}, 10 * rounds)
    extra = 1000 * (seconds["inside"] - seconds["plain"]) / passes
    return {"extra_ms_a_forward": extra, "forward_ms": 1000 * seconds["plain"] / passes, "bit_identical": identical}


def generation(rounds: int) -> dict[str, float]:
    """64 new tokens under a steering vector at every step, KV cache, greedy."""
    model = neox(layers=6, width=512, vocabulary=50304)
    batch = tokens(model, 1, 16)
    vector = 2 * torch.randn(512, generator=torch.Generator().manual_seed(5))
    item = Intervention(site="L3.resid_post", edit=Shift.along(vector, rms=float(vector.norm())))
    options = {"max_new_tokens": 64, "min_new_tokens": 64, "do_sample": False, "pad_token_id": 0}

    @torch.no_grad()
    def plain() -> torch.Tensor:
        return model.generate(**batch, **options)

    def hooks() -> torch.Tensor:
        handle = model.gpt_neox.layers[3].register_forward_hook(lambda _, __, output: output + vector)
        try:
            return plain()
        finally:
            handle.remove()

    def steered() -> torch.Tensor:
        with intervene(model, [item]):
            return plain()

    same = float((hooks() == steered()).double().mean())
    times = times_of({"plain": plain, "hooks": hooks, "steered": steered}, 5 * rounds)
    return {
        "ratio": median_ratio(times, "steered", "plain"),
        "bare_hooks_ratio": median_ratio(times, "hooks", "plain"),
        "same_tokens_as_bare_hooks": same,
        "steered_differs_from_plain": bool((plain() != steered()).any()),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    result = {
        "64 interventions, 12 layers": many_interventions(arguments.rounds),
        "5 doses": doses(arguments.rounds),
        "no-op on every layer": nothing(arguments.rounds),
        "steered generation": generation(arguments.rounds),
    }
    sys.stdout.write(json.dumps(result, indent=None if arguments.json else 2) + "\n")


if __name__ == "__main__":
    main()
