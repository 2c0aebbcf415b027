"""Retraining without chosen rows as content-addressed steps: paid once, whatever methods are judged by it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict, Field, field_validator

from imprint.errors import ConfigError, SelfCheckFailed
from imprint.runs import Context, Executor, Reporter, Step, Store, silent

VALUES_FILE = "values.npy"
Dropped = tuple[int, ...]
"""Rows left out, ascending."""
Retrainer = Callable[[Sequence[int]], Float64[np.ndarray, "query"]]
"""Trains without the given rows and gives the value of every query, higher = better."""


class RetrainableWorld(BaseModel, ABC):
    """A training that can be repeated without some of its rows, and queries to ask of what comes out.

    A subclass's fields (steps too) are part of the key of every retraining.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def retrainer(self, context: Context | Store, seed: int) -> Retrainer:
        """What trains; `seed` is another initialisation and another order, nothing else."""


class Retrain(Step):
    """Values of all queries after training without each of some sets of rows."""

    world: RetrainableWorld
    dropped: tuple[Dropped, ...] = Field(min_length=1)
    seed: int

    @field_validator("dropped")
    @classmethod
    def _ascending(cls, dropped: tuple[Dropped, ...]) -> tuple[Dropped, ...]:
        if any(tuple(sorted(set(rows))) != rows for rows in dropped):
            raise ValueError("rows to leave out must be ascending and different: one set has one name")
        return dropped

    def execute(self, folder: Path, context: Context) -> None:
        """Train once a set, with one thread, and save the values [set, query]."""
        torch.set_num_threads(1)
        retrain = self.world.retrainer(context, self.seed)
        values = []
        for rows in self.dropped:
            values.append(retrain(rows))
            context.advance(1)
        stacked = np.stack(values)
        if not np.isfinite(stacked).all():
            raise SelfCheckFailed(f"a retraining of seed {self.seed} ended in values that are not finite: it diverged")
        np.save(folder / VALUES_FILE, stacked)


def retrain_without(
    world: RetrainableWorld,
    dropped: Sequence[Dropped],
    seeds: Sequence[int],
    store: Store,
    executor: Executor,
    *,
    stage: str,
    together: int = 5,
    reporter: Reporter = silent,
) -> Float64[np.ndarray, "seed set query"]:
    """The value of every query after training without each set, once a seed; equal sets are trained once.

    `together` sets make one step: more cost less overhead, fewer lose less when the run is killed.

    Raises:
        ConfigError: no set or no seed.
        SelfCheckFailed: a retraining diverged.
    """
    if not dropped or not seeds:
        raise ConfigError(f"{len(dropped)} sets of rows and {len(seeds)} seeds: give at least one of each")
    unique = list(dict.fromkeys(dropped))
    chunks = [tuple(unique[start : start + together]) for start in range(0, len(unique), together)]
    steps = [Retrain(world=world, dropped=chunk, seed=seed) for seed in seeds for chunk in chunks]
    folders = executor.run(steps, store, progress=reporter, stage=stage, units=len(unique) * len(seeds))
    found = np.concatenate([np.load(folder / VALUES_FILE) for folder in folders]).reshape(len(seeds), len(unique), -1)
    return np.asarray(found[:, [unique.index(rows) for rows in dropped]])
