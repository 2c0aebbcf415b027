"""EK-FAC influence of 512 rows on 32 queries: process-CPU seconds, memory, disk and agreement, ours against three peers.

Run with `python -m benchmarks.attribution --json --kronfluence-python PYTHON --bergson-python PYTHON --dattri-python
PYTHON`, each the Python of an environment that has the peer; a peer without one is left out with a sentence. Every run is
a process of its own on one thread, all runs follow one another in a round, and the round is repeated; the least
process-CPU counts. rho is the mean Spearman over queries with kronfluence's float32 EK-FAC. `--only exact` (or any names)
runs a part; `--results FOLDER` keeps what was measured, and what is not run this time is compared from there by name.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.attribution_shapes import SHAPES
from benchmarks.attribution_targets import judged, ratio, seconds

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
    "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1",
}  # fmt: skip
REFERENCE = "kronfluence_default"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """One setting of one tool."""

    owner: str
    setting: str
    shapes: tuple[str, ...] = SHAPES

    @property
    def name(self) -> str:
        return f"{self.owner}_{self.setting}"

    @property
    def module(self) -> str:
        return "benchmarks.attribution_ours" if self.owner == "imprint" else f"benchmarks.attribution_peer_{self.owner}"


TOOLS = (
    *(Tool(owner="imprint", setting=name) for name in ("floor", "exact", "small", "fast", "one_head", "all_heads")),
    *(Tool(owner="imprint", setting=name, shapes=("neox",)) for name in ("float32", "per_token")),
    *(Tool(owner="kronfluence", setting=name) for name in ("default", "bf16", "fastest")),
    *(Tool(owner="kronfluence", setting=name, shapes=("neox",)) for name in ("identity", "per_token")),
    Tool(owner="bergson", setting="ekfac"),
    *(Tool(owner="dattri", setting=name, shapes=("neox",)) for name in ("ekfac", "logra", "trak", "tracin")),
)
OWNERS = ("kronfluence", "bergson", "dattri")


def run(tool: Tool, python: str, shape: str, out: Path, scratch: Path) -> dict[str, Any]:
    """One measured process; its last words where it fails."""
    shutil.rmtree(out, ignore_errors=True)
    command = [python, "-m", tool.module, tool.setting, shape, str(out), str(scratch)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        out.mkdir(parents=True, exist_ok=True)
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        (out / "result.json").write_text(json.dumps({"failed": last[0]}))
    facts: dict[str, Any] = json.loads((out / "result.json").read_text())
    return facts


def measure(tools: list[tuple[Tool, str]], shapes: tuple[str, ...], rounds: int, results: Path) -> None:
    """All runs of a round one after another, `rounds` times; of each the one with the least CPU stays in `results`."""
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            for shape in shapes:
                for tool, python in tools:
                    if shape not in tool.shapes:
                        continue
                    fresh = Path(scratch) / "fresh"
                    facts = run(tool, python, shape, fresh, Path(scratch) / shape / tool.owner)
                    keep(facts, fresh, results / shape / tool.name, first=number == 0)
                    seconds = facts.get("total_cpu_seconds", facts.get("failed"))
                    sys.stderr.write(f"round {number + 1} {shape} {tool.name}: {seconds}\n")


def keep(facts: dict[str, Any], fresh: Path, place: Path, *, first: bool) -> None:
    """Store a run where it is the first or the fastest of its rounds, with the totals of all."""
    before = {} if first or not place.exists() else json.loads((place / "result.json").read_text())
    totals = [*before.get("rounds", []), facts.get("total_cpu_seconds")]
    if not before or "failed" in before or facts.get("total_cpu_seconds", np.inf) < before["total_cpu_seconds"]:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(fresh, place)
        before = facts
    (place / "result.json").write_text(json.dumps(before | {"rounds": totals}))


def gathered(shape: str, results: Path, now: set[str]) -> dict[str, dict[str, Any]]:
    """Everything measured on a shape by tool, this time or earlier, with its agreement with the reference."""
    found = {}
    reference = results / shape / REFERENCE / "scores.npy"
    whole = np.load(reference) if reference.exists() else None
    for tool in TOOLS:
        place = results / shape / tool.name
        if not place.exists():
            continue
        facts = json.loads((place / "result.json").read_text()) | {"earlier": tool.name not in now}
        if whole is not None and (place / "scores.npy").exists():
            facts |= agreement(np.load(place / "scores.npy"), whole, results / shape)
        found[tool.name] = facts
    return found


def agreement(scores: np.ndarray, whole: np.ndarray, place: Path) -> dict[str, float]:
    """rho with the reference; of scores by token, rho of their sums and with the reference's token scores."""
    facts = {}
    if scores.ndim == 3:
        tokens = place / "kronfluence_per_token" / "scores.npy"
        if tokens.exists():
            theirs = np.load(tokens)
            seq = min(scores.shape[2], theirs.shape[2])
            facts["token_rho"] = rho(
                scores[:, :, :seq].reshape(len(scores), -1), theirs[:, :, :seq].reshape(len(scores), -1)
            )
        scores = scores.sum(-1)
    if scores.shape[0] <= len(whole):
        facts["rho"] = rho(scores, whole[: scores.shape[0], : scores.shape[1]])
    return facts


def rho(scores: np.ndarray, reference: np.ndarray) -> float:
    """Mean over queries of the Spearman correlation over rows."""
    return float(np.mean([spearmanr(one, other).statistic for one, other in zip(scores, reference, strict=True)]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    for owner in OWNERS:
        parser.add_argument(f"--{owner}-python", help=f"the Python of an environment with {owner}")
    parser.add_argument("--shape", choices=[*SHAPES, "both"], default="both")
    parser.add_argument("--only", nargs="+", default=[], help="names such as imprint_fast, or kronfluence, or exact")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--results", type=Path, help="where measurements are kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        result = whole_run(arguments, arguments.results or Path(place))
    sys.stdout.write(json.dumps(result, indent=None if arguments.json else 2) + "\n")


def whole_run(arguments: argparse.Namespace, results: Path) -> dict[str, Any]:
    """Everything that was asked for, as one object."""
    shapes = SHAPES if arguments.shape == "both" else (arguments.shape,)
    pythons = {"imprint": sys.executable} | {owner: getattr(arguments, f"{owner}_python") for owner in OWNERS}
    wanted = [tool for tool in TOOLS if not arguments.only or {tool.name, tool.owner} & set(arguments.only)]
    skipped = sorted({tool.owner for tool in wanted if not pythons[tool.owner]})
    tools = [(tool, python) for tool in wanted if (python := pythons[tool.owner])]
    measure(tools, shapes, arguments.rounds, results)
    result: dict[str, Any] = {"skipped": [f"{owner} was left out: give --{owner}-python PATH" for owner in skipped]}
    now = {tool.name for tool, _ in tools}
    for shape in shapes:
        found = gathered(shape, results, now)
        for name, facts in found.items():
            facts["times_exact"] = ratio(seconds(found, name), seconds(found, "imprint_exact"))
            facts["times_fast"] = ratio(seconds(found, name), seconds(found, "imprint_fast"))
        result[shape] = {"tools": found, "targets": judged(shape, found)}
    if not arguments.only or "exact" in arguments.only:
        result["exact"] = exact(pythons, results)
    return result


def exact(pythons: dict[str, str | None], results: Path) -> dict[str, Any]:
    """Agreement with exact block Gauss-Newton on a tiny model, of ours and of the peers that have an environment."""
    results.mkdir(parents=True, exist_ok=True)
    world = results / "tiny.pt"
    with tempfile.TemporaryDirectory() as scratch:
        truth = [sys.executable, "-m", "benchmarks.attribution_exact", "world", str(world)]
        subprocess.run(truth, cwd=ROOT, env=os.environ | ENVIRONMENT, check=True)
        for owner, setting in (("kronfluence", "default"), ("bergson", "ekfac")):
            if python := pythons[owner]:
                tool = Tool(owner=owner, setting=setting)
                run(tool, python, str(world), results / "tiny" / tool.name, Path(scratch) / owner)
        compared = [sys.executable, "-m", "benchmarks.attribution_exact", "compare", str(world), str(results / "tiny")]
        done = subprocess.run(
            compared, cwd=ROOT, env=os.environ | ENVIRONMENT, check=True, capture_output=True, text=True
        )
    facts: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return facts


if __name__ == "__main__":
    main()
