"""Mechanisms over training as content-addressed steps: trajectories of a run, and the heads of one checkpoint."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch
from pydantic import BaseModel, ConfigDict, Field
from transformers import PreTrainedModel

from imprint.capabilities import RepeatProbe, copy_hits, icl, random_period_probes
from imprint.corpus import Packed
from imprint.mechanisms.induction import prefix_matching, previous_token
from imprint.mechanisms.locate import locate
from imprint.mechanisms.patching import denoising
from imprint.models import Component, Train, attention_patterns, checkpoint_steps, open_checkpoint
from imprint.runs import Context, Step, write_json

TRAJECTORY_FILE = "trajectory.parquet"
HEADS_FILE = "heads.parquet"
PRINTABLE = tuple(range(32, 127))


class ProbeOptions(BaseModel):
    """The repeated random sequences that heads and copying are measured on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alphabet: Literal["printable"] | tuple[int, ...] = "printable"
    """Token ids to draw from: the printable ASCII bytes, or a list."""
    rows: int = Field(default=64, ge=8)
    periods: int = Field(default=2, ge=2)
    seed: int = 5
    bos: int | None = 0

    @property
    def tokens(self) -> tuple[int, ...]:
        """The token ids of the alphabet."""
        return PRINTABLE if self.alphabet == "printable" else self.alphabet

    def build(self, context: int, *, seed: int | None = None) -> list[RepeatProbe]:
        """The probes, at `periods` random periods that fit the context."""
        seed = self.seed if seed is None else seed
        return random_period_probes(
            self.tokens, rows=self.rows, seed=seed, bos=self.bos, context=context, periods=self.periods
        )


class Trajectory(Step):
    """Every metric at every checkpoint of a run: `trajectory.parquet` (step, metric, value) and `heads.parquet`."""

    run: Train
    heldout: Step
    probe: ProbeOptions = ProbeOptions()
    heldout_rows: int = Field(default=512, ge=8)

    def execute(self, folder: Path, context: Context) -> None:
        """Train (or reuse) the run and measure its checkpoints."""
        trained = context.get(self.run)
        torch.set_num_threads(1)
        heldout = Packed.load(context.get(self.heldout))
        probes = self.probe.build(heldout.context)
        panel = _Panel(heldout, self.heldout_rows, list(self.probe.tokens), self.probe.bos)
        if not panel.fills_context:
            context.warn("no held-out row fills the context, so icl.olsson and icl.mda were not measured")
        rows: list[dict[str, object]] = []
        heads: list[dict[str, object]] = []
        for step in checkpoint_steps(trained):
            model = open_checkpoint(trained, step)
            scores = list(_head_scores(model, probes))
            heads.extend({"step": step, **score} for score in scores)
            rows.extend({"step": step, "metric": name, "value": value} for name, value in _summary(scores))
            rows.extend({"step": step, "metric": name, "value": value} for name, value in panel.measure(model, probes))
            context.advance(1)
        pl.DataFrame(rows).write_parquet(folder / TRAJECTORY_FILE)
        pl.DataFrame(heads).write_parquet(folder / HEADS_FILE)


def _head_scores(model: PreTrainedModel, probes: list[RepeatProbe]) -> Iterator[dict[str, object]]:
    panels = [attention_patterns(model, probe.tokens) for probe in probes]
    prefix = torch.stack([prefix_matching(panel, probe) for panel, probe in zip(panels, probes, strict=True)]).mean(0)
    previous = torch.stack([previous_token(panel) for panel in panels]).mean(0)
    for layer in range(prefix.shape[0]):
        for head in range(prefix.shape[1]):
            yield {
                "layer": layer,
                "head": head,
                "induction.prefix_matching": float(prefix[layer, head]),
                "previous_token": float(previous[layer, head]),
            }


def _summary(scores: list[dict[str, object]]) -> Iterator[tuple[str, float]]:
    """The strongest head of each kind; an induction head is fed from a layer below, so layer 0 is left out (0 if alone)."""
    frame = pl.DataFrame(scores)
    yield "induction.prefix_matching", float(frame.filter(pl.col("layer") > 0)["induction.prefix_matching"].max() or 0)  # type: ignore[arg-type]
    yield "previous_token", float(frame["previous_token"].max())  # type: ignore[arg-type]


class _Panel:
    """Copying, the three in-context-learning scores and held-out losses of one model."""

    def __init__(self, heldout: Packed, rows: int, alphabet: list[int], bos: int | None) -> None:
        order = np.random.default_rng(0).permutation(len(heldout))[:rows]
        self.tokens = torch.from_numpy(heldout.tokens[order])
        self.lengths = torch.from_numpy(heldout.lengths[order].astype(np.int64))
        self.repeats = torch.from_numpy(heldout.row_domains[order] == "novel repeats")
        self.fills_context = bool((self.lengths >= heldout.context).any()) and heldout.context >= icl.SHORTEST_CONTEXT
        self.alphabet, self.bos = alphabet, bos

    def measure(self, model: PreTrainedModel, probes: list[RepeatProbe]) -> Iterator[tuple[str, float]]:
        """Name and value of every metric."""
        yield "copy.accuracy", float(torch.stack([copy_hits(model, probe).mean() for probe in probes]).mean())
        losses, mask = icl.row_losses(model, self.tokens, self.lengths)
        if self.fills_context:
            windows = icl.IclWindows.for_context(losses.shape[1])
            yield "icl.olsson", icl.olsson(losses, mask, windows)
            yield "icl.mda", icl.mda(losses, mask, windows)
        shots = min(8, len(self.alphabet) // 2, (losses.shape[1] - 2) // 2)
        yield "icl.fewshot", icl.fewshot(model, self.alphabet, shots=shots, bos=self.bos)
        for name, rows in (("loss.heldout", ~self.repeats), ("loss.repeats", self.repeats)):
            if bool(rows.any()):
                yield name, float((losses * mask)[rows].sum() / mask[rows].sum())


class LocateHeads(Step):
    """The induction and previous-token heads of one checkpoint, with nulls, ablations and denoising: `location.json`."""

    run: Train
    step: int
    context_length: int
    probe: ProbeOptions = ProbeOptions()
    initial_models: int = Field(default=20, ge=0)
    """Freshly initialised models whose largest score enters the null of the maximum over heads."""

    def execute(self, folder: Path, context: Context) -> None:
        """Locate the heads and save the findings."""
        torch.set_num_threads(1)
        model = open_checkpoint(context.get(self.run), self.step)
        probes = self.probe.build(self.context_length, seed=self.probe.seed + 1000)
        maxima = [self._initial_maximum(seed, probes[0]) for seed in range(self.initial_models)]
        found = locate(model, probes, seed=self.probe.seed, initial_maxima=torch.tensor(maxima))
        sufficiency = [
            {"head": head.head, "effect": denoising(model, probes[0], [Component.parse(head.head)]).as_dict()}
            for head in found.heads
        ]
        write_json(folder / "location.json", {**found.as_dict(), "denoising": sufficiency})

    def _initial_maximum(self, seed: int, probe: RepeatProbe) -> float:
        model = self.run.architecture.initialise(1_000_000 + seed)
        return float(prefix_matching(attention_patterns(model, probe.tokens), probe).max())
