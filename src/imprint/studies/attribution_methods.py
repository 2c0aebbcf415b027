"""The methods that are compared in the natural-text world, each as a content-addressed step with its cost."""

import time
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from imprint.attribution.engine import EkfacOptions
from imprint.attribution.methods import BM25, METHODS, Ekfac, Method
from imprint.runs import Context, Step, read_json, write_json
from imprint.studies.attribution_world import NaturalWorld

EXACT, CURVED, PLAIN, LEXICAL, NULL = "metagradient", "EK-FAC", "gradient dot", "BM25", "random"
DATAMODELS, SINGLE = "datamodels", "leave-one-out"
RETRAINED = (DATAMODELS, SINGLE)
"""Methods that are retrainings themselves: they are read off the store's retrainings, which run in parallel."""
DAMPINGS = (1e-3, 1e-2, 1.0, 10.0)
TRIGRAMS = "BM25, trigrams"
_NEEDS = {
    NULL: "nothing",
    "repeated n-grams": "the text",
    LEXICAL: "the text",
    TRIGRAMS: "the text",
    "same cluster": "labels of clusters",
    DATAMODELS: "many retrainings",
    SINGLE: "a retraining a row",
}
SCORES_FILE, COST_FILE = "scores.npy", "cost.json"


def damped(relative: float) -> str:
    """The name of EK-FAC at another damping."""
    return f"{CURVED}, damping {relative:g}"


VARIANTS = (TRIGRAMS, *(damped(relative) for relative in DAMPINGS))
CANDIDATES: dict[str, Method] = {
    **{name: method for name, method in METHODS.items() if name not in RETRAINED},
    TRIGRAMS: BM25(n=3),
    **{damped(relative): Ekfac(options=EkfacOptions(damping_relative=relative)) for relative in DAMPINGS},
}
"""Every method that looks at one run, BM25 also on trigrams of bytes, and EK-FAC at several dampings."""


def needs(name: str) -> str:
    """What one must have to use a method."""
    if name in _NEEDS:
        return _NEEDS[name]
    return "the recorded run" if CANDIDATES[name].needs_training else "the trained model"


class MethodScores(Step):
    """One method's scores of every row for every query of the run of one seed, and the CPU-seconds that they took."""

    world: NaturalWorld
    method: str
    seed: int

    def execute(self, folder: Path, context: Context) -> None:
        """Train, then score; only the scoring is timed."""
        torch.set_num_threads(1)
        problem = self.world.open(context, self.seed).problem(self.seed)
        start = time.process_time()
        scores = CANDIDATES[self.method].scores(problem)
        seconds = time.process_time() - start
        np.save(folder / SCORES_FILE, scores)
        write_json(folder / COST_FILE, {"cpu_seconds": round(seconds, 3)})
        context.advance(1)

    @staticmethod
    def load(folder: Path) -> tuple[Float64[np.ndarray, "query row"], float]:
        """Scores and CPU-seconds of a finished step."""
        return np.load(folder / SCORES_FILE), float(read_json(folder / COST_FILE)["cpu_seconds"])


class WorldFacts(Step):
    """What one training of the world costs and what it learns."""

    world: NaturalWorld
    seed: int

    def execute(self, folder: Path, context: Context) -> None:
        """Train once and measure nats a byte of queries and rows."""
        torch.set_num_threads(1)
        world = self.world.open(context, self.seed)
        start = time.process_time()
        params = world.training.run()
        seconds = time.process_time() - start
        natural = slice(0, self.world.text.queries)
        size = int(world.queries.lengths[natural].sum())
        facts = {
            "cpu_seconds": round(seconds, 3),
            "queries_before": -float(world.values(world.training.initial)[natural].sum()) / size,
            "queries_after": -float(world.values(params)[natural].sum()) / size,
            "rows_after": -float(world.likelihoods(params, world.rows).sum()) / int(world.rows.lengths.sum()),
        }
        write_json(folder / COST_FILE, facts)
        context.advance(1)

    @staticmethod
    def load(folder: Path) -> dict[str, float]:
        """CPU-seconds of a training (`cpu_seconds`), and mean losses in nats a byte."""
        facts: dict[str, float] = read_json(folder / COST_FILE)
        return facts
