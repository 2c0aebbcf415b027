"""Attribution of one head in steps that any executor can spread: curvature first, then shards of rows, then all as one."""

import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine import shards as engine_shards
from imprint.attribution.engine.checks import run_checks
from imprint.attribution.engine.damping import damping_sweep
from imprint.attribution.engine.ekfac import EkfacOptions, at_precision, fit_factors
from imprint.attribution.engine.factor_file import CHECKS_FILE, FACTORS_FILE, load_factors, save_factors
from imprint.attribution.engine.influence import fitting_rows, query_directions
from imprint.attribution.engine.pruning import without_idle_outputs
from imprint.attribution.engine.queries import Query, query_gradients
from imprint.attribution.engine.selections import HeadParts, head_subspace
from imprint.attribution.engine.subspace import Subspace
from imprint.attribution.head import HeadMechanism, attribute_head, check_fit, check_probes, head_queries
from imprint.attribution.steps import ordinary_probe
from imprint.capabilities import RepeatProbe
from imprint.corpus import Packed
from imprint.mechanisms.steps import ProbeOptions
from imprint.models import Train, evaluating, load_model, open_checkpoint
from imprint.runs import Context, Executor, Reporter, Step, Store, derive, silent, write_json

_SCRATCH = "scratch"
_SHARD = "shard_{:05d}.safetensors"


class _Question(BaseModel, ABC):
    """What is asked about a head, wherever its model comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    packed: Step
    head: str
    parts: HeadParts = "qkvo"
    options: EkfacOptions = EkfacOptions()
    mechanism: HeadMechanism = "induction"
    seed: int = 0

    @abstractmethod
    def model_and_probe(self, context: Context, length: int) -> tuple[PreTrainedModel, RepeatProbe]:
        """The model, and the probe for rows of `length` predicted tokens."""


class HeadOfRun(_Question):
    """A head of a training run's checkpoint; the fields are those of `Attribution`."""

    run: Train
    step: int
    probe: ProbeOptions = ProbeOptions()

    def model_and_probe(self, context: Context, length: int) -> tuple[PreTrainedModel, RepeatProbe]:
        """The checkpoint, and the probe for rows of `length` predicted tokens."""
        return open_checkpoint(context.get(self.run), self.step), self.probe.build(length)[0]


class HeadOfModel(_Question):
    """A head of a saved model; the fields are those of `AttributeModel`."""

    model: Path
    probe_rows: int = Field(default=32, ge=4)

    def model_and_probe(self, context: Context, length: int) -> tuple[PreTrainedModel, RepeatProbe]:
        """The model, and the probe for rows of `length` predicted tokens."""
        return load_model(self.model), ordinary_probe(self.model, length, rows=self.probe_rows, seed=self.seed)


HeadQuestion = HeadOfRun | HeadOfModel


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """A question with everything loaded."""

    question: HeadQuestion
    packed: Packed
    model: PreTrainedModel
    probe: RepeatProbe

    @staticmethod
    def of(question: HeadQuestion, context: Context) -> "_Asked":
        packed = Packed.load(context.get(question.packed))
        model, probe = question.model_and_probe(context, packed.context)
        check_fit(model, packed)
        return _Asked(question=question, packed=packed, model=model, probe=probe)

    @property
    def queries(self) -> list[Query]:
        asked = self.question
        return head_queries(self.probe, asked.head, asked.parts, asked.mechanism, mutant=False)

    @property
    def subspace(self) -> Subspace:
        return head_subspace(self.model, self.question.head, self.question.parts)

    def rows(self, chosen: slice | Int[Tensor, "chosen"]) -> tuple[Int[Tensor, "row seq_plus_1"], Int[Tensor, "row"]]:
        lengths = torch.from_numpy(self.packed.lengths.astype(np.int64))
        return torch.from_numpy(self.packed.tokens)[chosen], lengths[chosen]


class HeadCurvature(Step):
    """The EK-FAC factors of a head's parameters and the self-checks of its probes: what every shard of rows needs."""

    question: HeadQuestion

    def execute(self, folder: Path, context: Context) -> None:
        """Fit, check and save."""
        torch.set_num_threads(1)
        asked = _Asked.of(self.question, context)
        check_probes(asked.probe, self.question.parts, self.question.mechanism)
        options, model, subspace, queries = self.question.options, asked.model, asked.subspace, asked.queries
        seed = derive(self.question.seed, "labels")
        known = asked.rows(fitting_rows(len(asked.packed), options.max_rows, seed))
        with evaluating(model):
            fast = at_precision(model, options)
            there = subspace.on(fast)
            gradients = query_gradients(model, subspace, queries)
            factors = fit_factors(fast, there, *known, options, seed=seed, advance=context.advance)
            checks = run_checks(
                model, subspace, queries, gradients, *known, options, seed=seed, factors=factors, fast=fast
            )
            if options.damping_sweep:
                checks |= damping_sweep(fast, there, factors, gradients, *known, options.damping_sweep)
        save_factors(factors, folder / FACTORS_FILE)
        write_json(folder / CHECKS_FILE, checks)


class ScoredShard(Step):
    """Token scores, losses and gradient norms of some consecutive rows: one shard of the engine's pass."""

    curvature: HeadCurvature
    first: int = Field(ge=0)
    last: int = Field(ge=1)
    """The row after the shard's last."""

    def execute(self, folder: Path, context: Context) -> None:
        """Score and save `shard_00000.safetensors`."""
        torch.set_num_threads(1)
        options = self.curvature.question.options
        asked = _Asked.of(self.curvature.question, context)
        model, subspace = asked.model, asked.subspace
        factors = load_factors(context.get(self.curvature) / FACTORS_FILE, options)
        with evaluating(model):
            fast = at_precision(model, options)
            scored = subspace.on(fast)
            directions = query_directions(model, subspace, factors, asked.queries, fast.dtype, plain=True)
            if options.token_energy < 1:
                scored, directions = without_idle_outputs(scored, factors, directions, options.token_energy)
            engine_shards.Shards(folder, *asked.rows(slice(self.first, self.last)), directions).collect(
                fast, scored, by_token=True, norms=True, batch=64, advance=context.advance
            )


class ShardedAttribution(Step):
    """All shards as one attribution, in the files of `Attribution` and to the byte what that would have given."""

    curvature: HeadCurvature
    shards: tuple[ScoredShard, ...] = Field(min_length=1)
    """All rows, in order."""

    def execute(self, folder: Path, context: Context) -> None:
        """Put the shards where the engine looks for them, and let it go on from there."""
        torch.set_num_threads(1)
        scratch, curvature = folder / _SCRATCH / "shards", context.get(self.curvature)
        scratch.mkdir(parents=True, exist_ok=True)
        for name in (FACTORS_FILE, CHECKS_FILE):
            shutil.copyfile(curvature / name, scratch / name)
        for number, shard in enumerate(self.shards):
            shutil.copyfile(context.get(shard) / _SHARD.format(0), scratch / _SHARD.format(number))
        question = self.curvature.question
        asked = _Asked.of(question, context)
        attribute_head(
            asked.model,
            asked.packed,
            question.head,
            asked.probe,
            parts=question.parts,
            mechanism=question.mechanism,
            options=question.options,
            seed=question.seed,
            shards=scratch,
            advance=context.advance,
        ).save(folder)


def attribute_sharded(question: HeadQuestion, store: Store, executor: Executor, *, progress: Reporter = silent) -> Path:
    """The folder of a head's attribution, scored in shards by an executor; the files are those of `Attribution`.

    A shard is the engine's (131 072 tokens), whatever the executor, so every executor gives the bytes that the step in
    one piece gives. Trust: see `influence`. Raises as `attribute_head` does.
    """
    packed = Packed.load(store.get(question.packed, progress=progress))
    curvature, rows = HeadCurvature(question=question), len(packed)
    fitted = min(rows, question.options.max_rows)
    executor.run([curvature], store, progress=progress, stage=f"curvature of {question.head}", units=fitted)
    size = max(1, engine_shards.SHARD_TOKENS // packed.tokens.shape[1])
    shards = [
        ScoredShard(curvature=curvature, first=first, last=min(first + size, rows)) for first in range(0, rows, size)
    ]
    executor.run(shards, store, progress=progress, stage="influence of every row", units=rows)
    whole = ShardedAttribution(curvature=curvature, shards=tuple(shards))
    with progress.stage("join the shards", rows) as advance:
        return store.get(whole, progress=progress, advance=advance)
