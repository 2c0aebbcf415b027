"""What imprint costs on a CUDA device, as ratios to bare torch on the same rows in the same run, and the memory it takes.

Run with `python -m benchmarks.gpu --json`. Shapes of GPT-2 small and Pythia-410M with random weights (cost does not depend on
them), full rows of random tokens. Device-synchronised wall-clock seconds, the median of the rounds after one that is not
counted; peaks are of allocated memory beyond the model. Every ratio's base is measured beside it.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from imprint.attribution.engine import (
    EkfacOptions,
    attention_query,
    fit_factors,
    head_subspace,
    influence,
    likelihood_queries,
    query_gradients,
    whole_model,
)
from imprint.attribution.engine.scoring import score_pass
from imprint.capabilities import random_period_probes, repeat_probe
from imprint.corpus import Packed, Stream
from imprint.interventions.activations import Intervention, Mean, Shift, Subspace, Zero, intervene, sweep
from imprint.mechanisms import locate
from imprint.models import Anatomy, Architecture, Optimisation, capture, record, token_losses, train

VOCABULARY, CONTEXT = 50_304, 512
SHAPES = {
    "gpt2-small": Architecture(
        model_type="gpt2", config={"vocab_size": VOCABULARY, "n_positions": CONTEXT, "bos_token_id": 0, "eos_token_id": 0}
    ),
    "pythia-410m": Architecture(
        model_type="gpt_neox",
        config={
            "vocab_size": VOCABULARY, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
            "intermediate_size": 4096, "max_position_embeddings": CONTEXT, "bos_token_id": 0, "eos_token_id": 0,
        },
    ),
}  # fmt: skip
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
BATCH, ROWS, QUERIES = 32, 256, 8


def seconds(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """The median of the rounds, and the peak of memory beyond what was held before, in GB."""
    work()
    times = []
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times), (torch.cuda.max_memory_allocated() - before) / 1e9


def compared(base: str, work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Any]:
    """Seconds, peak and ratio to the base of each piece of work."""
    found = {name: seconds(one, rounds) for name, one in work.items()}
    return {
        name: {"seconds": time_, "peak_gb": peak, "ratio": time_ / found[base][0]}
        for name, (time_, peak) in found.items()
    }


def tokens_of(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(1, VOCABULARY, (rows, CONTEXT + 1), generator=torch.Generator().manual_seed(seed))


def forwards(model: PreTrainedModel, rows: torch.Tensor, *, logits: bool) -> None:
    run = model if logits else model.base_model
    with torch.inference_mode():
        for part in rows.split(BATCH):
            run(input_ids=part[:, :-1].to(model.device), use_cache=False)


def forward_backwards(model: PreTrainedModel, rows: torch.Tensor) -> None:
    for part in rows.split(BATCH):
        tokens = part.to(model.device)
        token_losses(model(tokens[:, :-1], use_cache=False).logits, tokens[:, 1:]).sum().backward()
    model.zero_grad(set_to_none=True)


def capturing(model: PreTrainedModel, rounds: int) -> dict[str, Any]:
    """Every fourth residual stream, kept on the device and written to disk in float16, against the forward pass alone."""
    rows, layers = tokens_of(128), Anatomy(model).num_layers
    sites = [f"L{layer}.resid_post" for layer in range(3, layers, 4)]

    def recording() -> None:
        with torch.inference_mode():
            for part in rows.split(BATCH):
                with record(model, sites):
                    model.base_model(input_ids=part[:, :-1].to(model.device), use_cache=False)

    def to_disk() -> None:
        with tempfile.TemporaryDirectory() as folder:
            arrays = rows[:, :-1].numpy(), np.full(len(rows), CONTEXT)
            capture(model, *arrays, sites, Path(folder), batch_tokens=BATCH * CONTEXT)

    work = {"forward": lambda: forwards(model, rows, logits=False), "record": recording, "capture to disk": to_disk}
    return {"sites": len(sites)} | compared("forward", work, rounds)


def sweeping(model: PreTrainedModel, rounds: int) -> dict[str, Any]:
    """32 ablations in the middle of the model, against one whole pass with a bare hook each; and five doses."""
    layers, width = Anatomy(model).num_layers, Anatomy(model).d_model
    site, block = f"L{layers // 2 - 1}.resid_post", Anatomy(model).block(layers // 2 - 1)
    batch = {"input_ids": tokens_of(8)[:, :128].to(model.device)}
    groups = list(torch.arange(width).split(width // 32))
    variants = {
        str(number): [Intervention(site=site, edit=Zero(within=Subspace.of_dims(dims, width)))]
        for number, dims in enumerate(groups)
    }

    @torch.no_grad()
    def naive() -> torch.Tensor:
        found = []
        for dims in groups:
            kept = torch.ones(width, dtype=model.dtype, device=model.device)
            kept[dims.to(model.device)] = 0
            handle = block.register_forward_hook(
                lambda _, __, output, kept=kept: (
                    output * kept if isinstance(output, torch.Tensor) else (output[0] * kept, *output[1:])
                )
            )
            found.append(model(**batch, use_cache=False).logits[:, -1])
            handle.remove()
        return torch.stack(found)

    def ours() -> torch.Tensor:
        return torch.stack(list(sweep(model, batch, variants).values()))

    def wide() -> torch.Tensor:
        return torch.stack(list(sweep(model, batch, variants, tokens_at_once=32 * 1024).values()))

    gap = float((naive() - ours()).abs().max() / naive().float().std())
    work = {"naive": naive, "sweep": ours, "sweep, 32 variants a pass": wide}
    return {"largest_difference_in_sd": gap} | compared("naive", work, rounds)


def hooks(model: PreTrainedModel, rounds: int) -> dict[str, Any]:
    """Forward passes of one row under interventions that change nothing, and that add a vector, on every layer."""
    layers, width = Anatomy(model).num_layers, Anatomy(model).d_model
    ids = tokens_of(1)[:, :64].to(model.device)
    vector = torch.randn(width, generator=torch.Generator().manual_seed(0))
    nothing = [Intervention(site=f"L{n}.resid_post", edit=Mean(value=vector), dose=0.0) for n in range(layers)]
    adding = [Intervention(site=f"L{n}.resid_post", edit=Shift.along(vector, rms=0.1)) for n in range(layers)]

    @torch.no_grad()
    def plain() -> None:
        for _ in range(20):
            model(input_ids=ids, use_cache=False)

    def inside(items: list[Intervention]) -> Callable[[], None]:
        def run() -> None:
            with intervene(model, items):
                plain()

        return run

    return compared("plain", {"plain": plain, "no change": inside(nothing), "shift": inside(adding)}, rounds)


def generating(model: PreTrainedModel, rounds: int) -> dict[str, Any]:
    """64 new tokens with a cache, greedily, 8 rows, steered in one layer."""
    batch = {"input_ids": tokens_of(8)[:, :32].to(model.device)}
    batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    options = {"max_new_tokens": 64, "min_new_tokens": 64, "do_sample": False, "pad_token_id": 0}
    vector = torch.randn(Anatomy(model).d_model, generator=torch.Generator().manual_seed(5))
    item = Intervention(site="L3.resid_post", edit=Shift.along(vector, rms=1.0))

    def steered() -> None:
        with intervene(model, [item]):
            model.generate(**batch, **options)

    return compared("plain", {"plain": lambda: model.generate(**batch, **options), "steered": steered}, rounds)


def attributing(model: PreTrainedModel, rounds: int) -> dict[str, Any]:
    """EK-FAC over all linear maps of the blocks and over one head, in units of one forward-backward over the same rows."""
    rows, lengths = tokens_of(ROWS), torch.full((ROWS,), CONTEXT)
    space, few = whole_model(model), whole_model(model, layers=[Anatomy(model).num_layers // 2])
    queries = likelihood_queries(tokens_of(QUERIES, seed=1), torch.full((QUERIES,), CONTEXT))
    options = EkfacOptions(max_rows=ROWS, stability="eigenvalues", batch=BATCH, keep_bytes=8 << 30)
    gradients = query_gradients(model, space, queries)
    head = f"L{Anatomy(model).num_layers // 2}.H1"
    probe = repeat_probe(range(1, 5000), period=CONTEXT // 2 - 1, rows=16, seed=0, bos=0, context=CONTEXT)

    def whole() -> None:
        influence(
            model, space, queries, rows, lengths, options, seed=0, batch=BATCH, by_token=False, plain=False, norms=False
        )

    def passing(*, by_token: bool) -> Callable[[], object]:
        return lambda: score_pass(model, space, gradients, rows, lengths, by_token=by_token, norms=False, batch=BATCH)

    def one_head() -> None:
        influence(
            model,
            head_subspace(model, head),
            [attention_query(probe, head)],
            rows,
            lengths,
            options,
            seed=0,
            batch=BATCH,
        )

    once = compared("forward and backward", {
        "forward and backward": lambda: forward_backwards(model, rows),
        "query gradients": lambda: query_gradients(model, space, queries),
        "score pass by row": passing(by_token=False),
        "score pass by token": passing(by_token=True),
        "factors of one layer": lambda: fit_factors(model, few, rows, lengths, options, seed=0),
        "one head, all of it": one_head,
    }, rounds)  # fmt: skip
    slow = {
        "factors of all layers": lambda: fit_factors(model, space, rows, lengths, options, seed=0),
        "influence": whole,
    }
    base = once["forward and backward"]["seconds"]
    for name, work in slow.items():
        torch.cuda.reset_peak_memory_stats()
        before, start = torch.cuda.memory_allocated(), time.perf_counter()
        work()
        torch.cuda.synchronize()
        spent, peak = time.perf_counter() - start, (torch.cuda.max_memory_allocated() - before) / 1e9
        once[name] = {"seconds": spent, "peak_gb": peak, "ratio": spent / base}
    return {"rows": ROWS, "queries": QUERIES, "tokens": ROWS * CONTEXT} | once


def locating(model: PreTrainedModel, rounds: int) -> dict[str, Any]:
    """Induction heads from three probes of 16 rows, 8 heads ablated, in units of the forward passes that it must make."""
    probes = random_period_probes(range(1, 5000), rows=16, seed=0, bos=0, context=128)

    def passes() -> None:
        with torch.inference_mode():
            for probe in probes:
                for _ in range(11):  # patterns, means, copying, and 8 ablations
                    model(input_ids=probe.tokens.to(model.device), use_cache=False)

    return compared("passes", {"passes": passes, "locate": lambda: locate(model, probes, ablate=8)}, rounds)


def training(shape: str, rounds: int, steps: int = 60) -> dict[str, Any]:
    """Updates of `train` (float32), without its checkpoints, against a bare loop with the same optimiser."""
    rows, recipe = tokens_of(ROWS), Optimisation()
    packed = Packed(
        tokens=rows.numpy(), lengths=np.full(ROWS, CONTEXT), document=np.arange(ROWS),
        offsets=np.zeros((ROWS, CONTEXT + 1, 2), dtype=np.int64), document_ids=tuple(map(str, range(ROWS))),
        domains=("random",) * ROWS,
    )  # fmt: skip
    order = np.random.default_rng(0).integers(0, ROWS, (steps, 8)).astype(np.int32)
    stream = Stream(rows=order, weights=np.ones((steps, 8), dtype=np.float32))
    model, marks = SHAPES[shape].initialise(0), list[float]()

    def mark(_: int) -> None:
        torch.cuda.synchronize()
        marks.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        train(model, packed, stream, recipe, Path(folder), seed=0, device="cuda", advance=mark)
    ours = statistics.median(np.diff(marks[10:]))
    model = SHAPES[shape].initialise(0).cuda().train()
    optimiser, bare = recipe.build(model), list[float]()
    for chosen in order:
        torch.cuda.synchronize()
        start = time.perf_counter()
        tokens = rows[chosen].cuda()
        logits = model(tokens[:, :-1], use_cache=False).logits
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        torch.cuda.synchronize()
        bare.append(time.perf_counter() - start)
    base = statistics.median(bare[10:])
    return {"bare loop": base, "train": ours, "ratio": ours / base}


PARTS = {
    "capture": capturing, "sweep": sweeping, "hooks": hooks, "generation": generating, "attribution": attributing,
    "locate": locating,
}  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES))
    parser.add_argument("--dtypes", nargs="*", default=list(DTYPES))
    parser.add_argument("--parts", nargs="*", default=[*PARTS, "training"])
    asked = parser.parse_args()
    torch.manual_seed(0)
    result: dict[str, Any] = {"device": torch.cuda.get_device_name(0), "torch": torch.__version__}
    for shape in asked.shapes:
        for dtype in asked.dtypes:
            model = SHAPES[shape].initialise(0).to(DTYPES[dtype]).cuda().eval()
            for part in [name for name in PARTS if name in asked.parts]:
                result[f"{shape} {dtype} {part}"] = found = PARTS[part](model, asked.rounds)
                if not asked.json:
                    _show(f"{shape} {dtype} {part}", found)
            del model
            torch.cuda.empty_cache()
        if "training" in asked.parts:
            result[f"{shape} float32 training"] = found = training(shape, asked.rounds)
            if not asked.json:
                _show(f"{shape} float32 training", found)
    if asked.json:
        sys.stdout.write(json.dumps(result) + "\n")


def _show(title: str, found: Mapping[str, Any]) -> None:
    sys.stdout.write(f"{title}\n")
    for name, value in found.items():
        words = (
            f"{value['ratio']:8.3f}  {value['seconds']:9.4f} s {value['peak_gb']:8.2f} GB"
            if isinstance(value, dict)
            else value
        )
        sys.stdout.write(f"  {name:28} {words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
