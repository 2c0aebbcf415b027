"""Capturing every residual stream of a 6-layer model to disk: tokens a second of process-CPU against two peers.

Run with `python -m benchmarks.extraction --json`, and with `--transformer-lens PYTHON --nnsight PYTHON` (the Python of an
environment that has it) for the peers. One thread, one process each, all interleaved in one run; ratios are what to
compare. Every peer's states are compared with ours before any ratio is printed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.extraction_peer import build, draw
from imprint.models import capture

LAYERS, D, VOCABULARY, BATCH, SEQ = 6, 512, 50_304, 8, 128
PEER = Path(__file__).with_name("extraction_peer.py")


def ours(folder: Path, batches: int) -> tuple[dict[str, float], np.ndarray]:
    """Our capture, timed, and its states (site, token, d)."""
    model = build(LAYERS, D, VOCABULARY, "sdpa")
    tokens, lengths = draw(VOCABULARY, BATCH * batches, SEQ), np.full(BATCH * batches, SEQ)
    sites = ["L0.resid_pre", *(f"L{layer}.resid_post" for layer in range(LAYERS))]
    capture(model, tokens[:BATCH], lengths[:BATCH], sites, folder / "warm", batch_tokens=BATCH * SEQ)
    cpu, wall = time.process_time(), time.perf_counter()
    store = capture(model, tokens, lengths, sites, folder / "ours", batch_tokens=BATCH * SEQ)
    times = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    return times, np.stack([store.states(site) for site in sites])


def peer(python: str, name: str, folder: Path, batches: int) -> tuple[dict[str, float], np.ndarray]:
    """The same by a peer in a process of its own."""
    sizes = [str(number) for number in (LAYERS, D, VOCABULARY, BATCH, SEQ, batches)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [python, str(PEER), name, *sizes, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    times: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return times, np.load(folder / f"{name}.npy", mmap_mode="r")


def difference(one: np.ndarray, two: np.ndarray) -> float:
    """The largest difference of states, in units of their root mean square."""
    gap = np.abs(one.astype(np.float32) - two.astype(np.float32)).max()
    return float(gap / np.sqrt((one.astype(np.float32) ** 2).mean()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--transformer-lens", help="the Python of an environment with transformer-lens")
    parser.add_argument("--nnsight", help="the Python of an environment with nnsight")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    peers = {"transformer_lens": arguments.transformer_lens, "nnsight": arguments.nnsight}
    asked = {name: python for name, python in peers.items() if python}
    seconds: dict[str, list[float]] = {}
    apart: dict[str, float] = {}
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as place:
            times, states = ours(Path(place), arguments.batches)
            seconds.setdefault("imprint", []).append(times["cpu_seconds"])
            for name, python in asked.items():
                times, theirs = peer(python, name, Path(place), arguments.batches)
                seconds.setdefault(name, []).append(times["cpu_seconds"])
                apart[name] = difference(states, theirs)
    sys.stdout.write(
        json.dumps(_result(seconds, apart, arguments.batches), indent=None if arguments.json else 2) + "\n"
    )


def _result(seconds: dict[str, list[float]], apart: dict[str, float], batches: int) -> dict[str, Any]:
    tokens = batches * BATCH * SEQ
    best = {name: min(times) for name, times in seconds.items()}
    return {
        "tokens": tokens,
        "streams": LAYERS + 1,
        "tokens_per_cpu_second": {name: tokens / time for name, time in best.items()},
        "times_as_many_tokens": {name: time / best["imprint"] for name, time in best.items() if name != "imprint"},
        "largest_difference_in_rms": apart,
    }


if __name__ == "__main__":
    main()
