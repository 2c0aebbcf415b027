"""Mechanisms over training as content-addressed steps: trajectories of a run, and the heads of one checkpoint."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from transformers import PreTrainedModel

from imprint.capabilities import RepeatProbe, copy_hits, icl, random_period_probes
from imprint.corpus import Packed
from imprint.mechanisms.circuits import induction_circuit
from imprint.mechanisms.fresh_models import LEAST_INITIAL_MODELS, largest_score, largest_scores
from imprint.mechanisms.head_table import HeadMechanism, score_heads
from imprint.mechanisms.induction import prefix_matching, previous_token
from imprint.mechanisms.locate import locate, prefix_maximum, probe_patterns
from imprint.mechanisms.ov_circuit import has_direct_path
from imprint.mechanisms.patching import denoising
from imprint.mechanisms.standard import MECHANISMS, OV_MECHANISMS, standard_mechanism
from imprint.mechanisms.successor import ordinal_pairs
from imprint.models import Component, Train, checkpoint_steps, open_checkpoint
from imprint.runs import Context, Step, write_json

TRAJECTORY_FILE = "trajectory.parquet"
HEADS_FILE = "heads.parquet"
LOCATION_FILE = "location.json"
PRINTABLE = tuple(range(32, 127))
BYTE_LISTS = (tuple(range(48, 58)), tuple(range(65, 91)), tuple(range(97, 123)))
"""Digits, capitals and small letters as the byte tokenizer numbers them: what a successor head may know."""
TRAJECTORY_MECHANISMS = ("copying", "duplicate_token")
"""Scored at every checkpoint beside prefix matching and the previous token."""
TRAJECTORY_ROWS = 16
_INDUCTION = "induction"
LOCATION_ROWS = 32
"""Most sequences of each mechanism at the checkpoint where heads are located."""
BYTE_VOCABULARY = 300
"""A vocabulary up to this size is taken for single bytes (and special tokens)."""


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

    def mechanisms(
        self, names: Sequence[str], context: int, *, rows: int, seed: int | None = None
    ) -> dict[str, HeadMechanism]:
        """Probes of the named mechanisms on the same alphabet; a successor is that of a digit or letter among bytes."""
        seed, pairs = self.seed if seed is None else seed, ordinal_pairs(*BYTE_LISTS)
        return {
            name: standard_mechanism(
                name, self.tokens, context=context, rows=rows, seed=seed, bos=self.bos, successors=pairs
            )
            for name in names
        }


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
        names = _measurable(TRAJECTORY_MECHANISMS, open_checkpoint(trained, self.run.last_step), context)
        mechanisms = self.probe.mechanisms(names, heldout.context, rows=TRAJECTORY_ROWS)
        panel = _Panel(heldout, self.heldout_rows, list(self.probe.tokens), self.probe.bos)
        if not panel.fills_context:
            context.warn("no held-out row fills the context, so icl.olsson and icl.mda were not measured")
        rows: list[dict[str, object]] = []
        heads: list[dict[str, object]] = []
        for step in checkpoint_steps(trained):
            model = open_checkpoint(trained, step)
            with self.run.as_trained(model, step):
                scores = list(_head_scores(model, probes, mechanisms))
                measured = list(panel.measure(model, probes))
            heads.extend({"step": step, **score} for score in scores)
            rows.extend(
                {"step": step, "metric": name, "value": value} for name, value in (*_summary(scores), *measured)
            )
            context.advance(1)
        pl.DataFrame(rows).write_parquet(folder / TRAJECTORY_FILE)
        pl.DataFrame(heads).write_parquet(folder / HEADS_FILE)


def _measurable(names: Sequence[str], model: PreTrainedModel, context: Context) -> list[str]:
    """Those of the mechanisms that the model's architecture has."""
    if has_direct_path(model):
        return list(names)
    context.warn(f"a '{model.config.model_type}' model has no linear path from a head to the logits, so no OV score")
    return [name for name in names if name not in OV_MECHANISMS]


def _head_scores(
    model: PreTrainedModel, probes: list[RepeatProbe], mechanisms: Mapping[str, HeadMechanism]
) -> Iterator[dict[str, object]]:
    panels = probe_patterns(model, probes)
    prefix = torch.stack([prefix_matching(panel, probe) for panel, probe in zip(panels, probes, strict=True)]).mean(0)
    previous = torch.stack([previous_token(panel) for panel in panels]).mean(0)
    others = {name: mechanism.rows(model).mean(-1) for name, mechanism in mechanisms.items()}
    for layer in range(prefix.shape[0]):
        for head in range(prefix.shape[1]):
            yield {
                "layer": layer,
                "head": head,
                "induction.prefix_matching": float(prefix[layer, head]),
                "previous_token": float(previous[layer, head]),
                **{name: float(score[layer, head]) for name, score in others.items()},
            }


def _summary(scores: list[dict[str, object]]) -> Iterator[tuple[str, float]]:
    """The strongest head of each kind; an induction head is fed from a layer below, so layer 0 is left out (0 if alone).

    `induction.other_heads` is the mean of all heads above layer 0 but the strongest, if there are any.
    """
    frame = pl.DataFrame(scores)
    fed = sorted(frame.filter(pl.col("layer") > 0)["induction.prefix_matching"].to_list())
    yield "induction.prefix_matching", fed[-1] if fed else 0.0
    if len(fed) > 1:
        yield "induction.other_heads", float(np.mean(fed[:-1]))
    for name in ("previous_token", *TRAJECTORY_MECHANISMS):
        if name in frame.columns:
            yield name, float(frame[name].max())  # type: ignore[arg-type]


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
    """The heads of one checkpoint by every mechanism, with nulls, ablations, denoising and the circuit: `location.json`."""

    run: Train
    step: int
    context_length: int
    probe: ProbeOptions = ProbeOptions()
    initial_models: int = Field(default=20, ge=0)
    """Freshly initialised models whose largest score enters the null of the maximum over heads; at least 19 of them."""

    def execute(self, folder: Path, context: Context) -> None:
        """Locate the heads and save the findings."""
        torch.set_num_threads(1)
        if 0 < self.initial_models < LEAST_INITIAL_MODELS:
            context.warn(f"initial_models={self.initial_models} cannot give p <= .05, so no head can be called")
        model = open_checkpoint(context.get(self.run), self.step)
        probes = self.probe.build(self.context_length, seed=self.probe.seed + 1000)
        mechanisms = self._mechanisms(model, context)
        maxima = self._initial_maxima(probes[0], mechanisms)
        found = locate(model, probes, seed=self.probe.seed, initial_maxima=maxima[_INDUCTION])
        write_json(
            folder / LOCATION_FILE,
            {
                **found.as_dict(),
                "denoising": [
                    {"head": head.head, "effect": denoising(model, probes[0], [Component.parse(head.head)]).as_dict()}
                    for head in found.heads
                ],
                "mechanisms": {
                    name: score_heads(model, mechanism, seed=self.probe.seed, initial_maxima=maxima[name]).as_dict()
                    for name, mechanism in mechanisms.items()
                },
                "circuit": [
                    path.as_dict() for path in induction_circuit(model, probes[0], found, seed=self.probe.seed)
                ],
            },
        )
        context.advance(1)

    def _mechanisms(self, model: PreTrainedModel, context: Context) -> dict[str, HeadMechanism]:
        bytes_only = self.probe.alphabet == "printable" and model.config.vocab_size <= BYTE_VOCABULARY
        known = [name for name in MECHANISMS if name != "successor" or bytes_only]
        return self.probe.mechanisms(
            _measurable(known, model, context),
            self.context_length,
            rows=min(self.probe.rows, LOCATION_ROWS),
            seed=self.probe.seed + 1000,
        )

    def _initial_maxima(
        self, probe: RepeatProbe, mechanisms: Mapping[str, HeadMechanism]
    ) -> dict[str, Float[Tensor, "model"]]:
        """The largest score of each freshly initialised model by mechanism."""
        others = {name: largest_score(mechanism) for name, mechanism in mechanisms.items()}
        fresh = (self.run.architecture.initialise(1_000_000 + seed) for seed in range(self.initial_models))
        return largest_scores({_INDUCTION: lambda model: prefix_maximum(model, probe), **others}, fresh)
