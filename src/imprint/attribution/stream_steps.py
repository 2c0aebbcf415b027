"""The extreme rows of a corpus of any size as a content-addressed step: rows are read in chunks, and few are kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine.checks import run_checks
from imprint.attribution.engine.damping import damping_sweep
from imprint.attribution.engine.ekfac import BlockFactors, EkfacOptions, at_precision, fit_factors
from imprint.attribution.engine.factor_file import kept_factors
from imprint.attribution.engine.influence import PLAIN, fitting_rows, query_directions
from imprint.attribution.engine.queries import query_gradients
from imprint.attribution.engine.scores import SIGN
from imprint.attribution.engine.selections import HeadParts, head_subspace
from imprint.attribution.engine.streaming import Extremes, stream_top
from imprint.attribution.head import HeadMechanism, check_predicts, check_probes, head_queries
from imprint.attribution.steps import ordinary_probe
from imprint.capabilities import RepeatProbe
from imprint.corpus import MappedRows
from imprint.errors import ConfigError
from imprint.models import evaluating, load_model
from imprint.runs import Context, Step, derive, read_json, write_json
from imprint.types import Advance

CHUNK_ROWS = 2048
"""Rows read, scored and recorded at a time: what a killed run loses at most."""
SCRATCH_FOLDER = "scratch"
_WORDS_FILE = "extremes.json"
_ARRAYS = ("top", "top_scores", "bottom", "bottom_scores")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtremeRows:
    """The rows that raise each query most (`top`, best first) and least (`bottom`, worst first), with their scores.

    Positive = training on the row raises the query; `<query>/dot` is the same without curvature. Trust: see `Extremes`.
    """

    queries: tuple[str, ...]
    top: Int[np.ndarray, "query k"]
    top_scores: Float[np.ndarray, "query k"]
    bottom: Int[np.ndarray, "query k"]
    bottom_scores: Float[np.ndarray, "query k"]
    rows: int
    """How many rows were scored."""
    checks: dict[str, float]
    """Self-checks that the run passed, by name."""

    def save(self, folder: Path) -> None:
        """Write four `.npy` files and `extremes.json`."""
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        words = {"queries": list(self.queries), "rows": self.rows, "checks": self.checks, "sign": SIGN}
        write_json(folder / _WORDS_FILE, words)

    @staticmethod
    def load(folder: Path) -> "ExtremeRows":
        """Read what `save` wrote."""
        words = read_json(folder / _WORDS_FILE)
        return ExtremeRows(
            queries=tuple(words["queries"]),
            rows=words["rows"],
            checks=words["checks"],
            **{name: np.load(folder / f"{name}.npy") for name in _ARRAYS},
        )


class ExtremesOfModel(Step):
    """The rows of highest and of lowest EK-FAC influence on one head of a saved model; nothing else is kept.

    The scores are those of `AttributeModel`, but no array of rows or tokens is ever held, so that the corpus may have
    any number of rows; rankings that need every row (the consensus, the baselines) are not taken.
    """

    model: Path
    packed: Step
    head: str
    keep: int = Field(ge=1)
    """How many rows at each end."""
    parts: HeadParts = "qkvo"
    options: EkfacOptions = EkfacOptions()
    mechanism: HeadMechanism = "induction"
    probe_rows: int = Field(default=32, ge=4)
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Fit, check, stream and save; a killed run goes on after the last finished chunk."""
        torch.set_num_threads(1)
        rows = MappedRows(context.get(self.packed))
        if len(rows) < self.keep:
            raise ConfigError(f"the top {self.keep} rows were asked for, but there are {len(rows)}; ask for fewer")
        model = load_model(self.model)
        check_predicts(model, rows.largest_token(), rows.context)
        probe = ordinary_probe(self.model, rows.context, rows=self.probe_rows, seed=self.seed)
        self.extremes(model, rows, probe, folder / SCRATCH_FOLDER, context.advance).save(folder)

    def extremes(
        self, model: PreTrainedModel, rows: MappedRows, probe: RepeatProbe, scratch: Path, advance: Advance
    ) -> ExtremeRows:
        """The extremes under each probe, with what a killed run goes on from in `scratch`."""
        queries = head_queries(probe, self.head, self.parts, self.mechanism, mutant=False)
        subspace, seed = head_subspace(model, self.head, self.parts), derive(self.seed, "labels")
        fast = at_precision(model, self.options)
        there = subspace.on(fast)
        tokens, lengths = map(torch.from_numpy, rows.take(fitting_rows(len(rows), self.options.max_rows, seed).numpy()))

        def fit() -> tuple[list[BlockFactors], dict[str, float]]:
            factors = fit_factors(fast, there, tokens, lengths, self.options, seed=seed, advance=advance)
            gradients = query_gradients(model, subspace, queries)
            known = gradients, tokens, lengths
            checks = run_checks(model, subspace, queries, *known, self.options, seed=seed, factors=factors, fast=fast)
            if self.options.damping_sweep:
                checks |= damping_sweep(fast, there, factors, *known, self.options.damping_sweep)
            return factors, checks

        scratch.mkdir(parents=True, exist_ok=True)
        with evaluating(model):
            aligned = check_probes(probe, self.parts, self.mechanism)
            factors, checks = kept_factors(scratch, self.options, fit)
            directions = query_directions(model, subspace, factors, queries, fast.dtype, plain=True)
        found = stream_top(fast, there, directions, _chunks(rows), self.keep, folder=scratch, advance=advance)
        names = [query.name for query in queries]
        return _as_rows(found, (*names, *(f"{name}/{PLAIN}" for name in names)), {**aligned, **checks})


def _chunks(rows: MappedRows) -> Iterator[tuple[Int[Tensor, "row seq_plus_1"], Int[Tensor, "row"]]]:
    for tokens, lengths in rows.chunks(CHUNK_ROWS):
        yield torch.from_numpy(tokens), torch.from_numpy(lengths)


def _as_rows(found: Extremes, queries: tuple[str, ...], checks: dict[str, float]) -> ExtremeRows:
    arrays = {name: getattr(found, name).numpy() for name in _ARRAYS}
    return ExtremeRows(queries=queries, rows=found.rows, checks=checks, **arrays)
