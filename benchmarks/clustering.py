"""Exact DBSCAN of wide token states: process-CPU against scikit-learn and faiss range search, and peak memory.

Run with `python -m benchmarks.clustering --json`; `--states FILE.npy` for real activations (token, d), standardised here;
`--peer PYTHON` is the Python of an environment with scikit-learn and faiss-cpu. `--float32` also measures a machine without
fast bfloat16. `--sampled M` clusters through a sample of M points instead, from a memory-mapped float16 file, `--exact`
compares that with exact labels. One thread, a process each, one run; labels are compared before any ratio is printed.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import adjusted_rand_score

from imprint.corpus.clusters import Standardiser, dbscan, k_distances, sampled_dbscan

PEER = Path(__file__).with_name("clustering_peer.py")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def synthetic(points: int, d: int = 512, types: int = 2000, rank: int = 96) -> np.ndarray:
    """Zipf token types with context drift and a power-law spectrum, 10 % of diffuse background."""
    generator = np.random.default_rng(0)
    spectrum = (np.arange(1, rank + 1) ** -0.6).astype(np.float32)
    axes, _ = np.linalg.qr(generator.standard_normal((d, rank)).astype(np.float32))
    weights = 1 / np.arange(1, types + 1)
    kind = generator.choice(types, points, p=weights / weights.sum())
    spread = generator.uniform(0.25, 0.7, types).astype(np.float32)[kind][:, None]
    inner = 3 * generator.standard_normal((types, rank), dtype=np.float32)[kind]
    inner += spread * generator.standard_normal((points, rank), dtype=np.float32)
    far = generator.random(points) < 0.1
    inner[far] = 3.2 * generator.standard_normal((int(far.sum()), rank), dtype=np.float32)
    states = (inner * spectrum) @ axes.T
    for start in range(0, points, 8192):
        part = states[start : start + 8192]
        part += 0.02 * generator.standard_normal(part.shape, dtype=np.float32)
    return states


def ours(path: str, eps: float, min_samples: int, out: str, sample: int, dtype: str) -> dict[str, Any]:
    """Cluster, save the labels, and say what it took; run in a process of its own, so that the peak is its own."""
    torch.set_num_threads(1)
    states = np.load(path, mmap_mode="r" if sample else None)
    cpu, wall = time.process_time(), time.perf_counter()
    if sample:
        found = sampled_dbscan(states, eps=eps, min_samples=min_samples, sample=sample, seed=0)
        reached = None if found.reached is None else found.reached.as_dict()
        facts: dict[str, Any] = {"agreement": found.agreement.as_dict(), "reached": reached, "labels": found.labels}
    else:
        exact = dbscan(states, eps=eps, min_samples=min_samples, dtype=getattr(torch, dtype, None))
        pairs = len(states) ** 2 / 2
        facts = {"compared": exact.compared / pairs, "verified": exact.verified / pairs, "labels": exact.labels}
    facts |= {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    labels = facts.pop("labels")
    np.save(out, labels)
    facts |= {"clusters": int(labels.max()) + 1, "noise": float((labels < 0).mean())}
    return facts | {"peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def run(command: list[str]) -> dict[str, Any]:
    """The last line of a process as JSON."""
    done = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]}
    facts: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return facts


def prepare(arguments: argparse.Namespace, folder: Path) -> tuple[Path, float, list[int]]:
    """Standardised states on disk, eps at the asked quantile of the k-distances, and their shape."""
    if arguments.states is None:
        states = synthetic(arguments.points)
    else:
        raw = np.load(arguments.states, mmap_mode="r")[: arguments.points]
        states = Standardiser.fit(raw).apply(raw)
    path = folder / "states.npy"
    states = states.astype(np.float16) if arguments.sampled else states
    np.save(path, states)
    curve = k_distances(states, k=arguments.min_samples, sample=500, seed=0)
    return path, float(np.quantile(curve, arguments.quantile)), list(states.shape)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--states", help="a .npy file of raw activations (token, d); without it, synthetic ones")
    parser.add_argument("--quantile", type=float, default=0.5, help="of the k-distances, where eps is put")
    parser.add_argument("--min-samples", type=int, default=10)
    parser.add_argument("--sampled", type=int, default=0, help="cluster through this many sampled points")
    parser.add_argument("--exact", action="store_true", help="with --sampled: also exact labels")
    parser.add_argument("--float32", action="store_true", help="also with products in float32")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--peer", help="the Python of an environment with scikit-learn and faiss-cpu")
    parser.add_argument("--peers", nargs="*", default=["scikit_learn", "faiss"])
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        path, eps, min_samples, out, sample, dtype = arguments.one
        sys.stdout.write(json.dumps(ours(path, float(eps), int(min_samples), out, int(sample), dtype)) + "\n")
        return
    with tempfile.TemporaryDirectory() as place:
        result = measure(arguments, Path(place))
    sys.stdout.write(json.dumps(result, indent=None if arguments.json else 2) + "\n")


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All methods one after another, `rounds` times; the least process-CPU of each counts."""
    path, eps, shape = prepare(arguments, folder)
    options = [str(path), str(eps), str(arguments.min_samples)]
    own = [sys.executable, "-m", "benchmarks.clustering", "--one", *options]
    commands = {"imprint": [*own, str(folder / "imprint.npy"), str(arguments.sampled), "fastest"]}
    if arguments.sampled and arguments.exact:
        commands["exact"] = [*own, str(folder / "exact.npy"), "0", "fastest"]
    if arguments.float32:
        commands["imprint_float32"] = [*own, str(folder / "imprint_float32.npy"), "0", "float32"]
    for name in arguments.peers if arguments.peer else []:
        commands[name] = [arguments.peer, str(PEER), name, *options, str(folder / f"{name}.npy")]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for _ in range(arguments.rounds):
        for name, command in commands.items():
            runs[name].append(run(command))
    best = {name: min(found, key=lambda facts: facts.get("cpu_seconds", np.inf)) for name, found in runs.items()}
    return {"shape": shape, "eps": eps, "quantile": arguments.quantile, "methods": best, **compared(best, folder)}


def compared(best: dict[str, dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Ratios of process-CPU to ours, and whether labels are equal."""
    mine = np.load(folder / "imprint.npy")
    facts: dict[str, Any] = {"cpu_times_ours": {}, "labels_equal": {}, "adjusted_rand": {}}
    for name in (name for name in best if name != "imprint" and "failed" not in best[name]):
        labels = np.load(folder / f"{name}.npy")
        facts["cpu_times_ours"][name] = best[name]["cpu_seconds"] / best["imprint"]["cpu_seconds"]
        facts["labels_equal"][name] = bool(np.array_equal(labels, mine))
        facts["adjusted_rand"][name] = float(adjusted_rand_score(labels, mine))
    return facts


if __name__ == "__main__":
    main()
