"""Activations captured in shards that any executor can spread, and joined into one `ActivationStore`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from imprint.corpus import Packed
from imprint.models.activation_store import INDEX_FILE, ActivationStore, allocate, write_part
from imprint.models.activations import Activations, capture, captured_model
from imprint.models.capture_plan import PART_TOKENS, CapturePlan
from imprint.models.imported import ImportedModel
from imprint.models.steps import Train
from imprint.runs import Context, Executor, Reporter, Step, Store, digest, read_json, silent, write_json

PARTS_OF_A_SHARD = 8
"""Of about `PART_TOKENS` each: what a killed worker costs at most is one of them."""


class ActivationShard(Step):
    """The activations of some consecutive rows of a packed corpus; the fields are those of `Activations`."""

    packed: Step
    model: ImportedModel | Train
    step: int | None = None
    sites: tuple[str, ...] = Field(min_length=1)
    batch_tokens: int = Field(ge=1)
    skip: int = Field(ge=0)
    first: int = Field(ge=0)
    last: int = Field(ge=1)
    """The row after the shard's last."""

    def execute(self, folder: Path, context: Context) -> None:
        """Capture, going on where a killed attempt stopped; rows are numbered within the shard."""
        torch.set_num_threads(1)
        packed, rows = Packed.load(context.get(self.packed)), slice(self.first, self.last)
        capture(
            captured_model(self.model, self.step, context),
            packed.tokens[rows],
            packed.lengths[rows].astype(np.int64) + 1,
            self.sites,
            folder,
            batch_tokens=self.batch_tokens,
            skip=self.skip,
            advance=context.advance,
        )


class JoinedActivations(Step):
    """Shards of activations as one `ActivationStore`, whose arrays are to the byte those of `Activations`."""

    shards: tuple[ActivationShard, ...] = Field(min_length=1)
    """In the order of their rows."""

    def execute(self, folder: Path, context: Context) -> None:
        """Write every shard's states to their place; `advance` counts rows."""
        stores = [ActivationStore.open(context.get(shard)) for shard in self.shards]
        total, widths = sum(store.num_tokens for store in stores), stores[0].widths
        columns = {
            "row": np.concatenate([store.row + shard.first for shard, store in zip(self.shards, stores, strict=True)]),
            "position": np.concatenate([store.position for store in stores]),
            "token_id": np.concatenate([store.token_id for store in stores]),
        }
        allocate(folder, total, widths, columns)
        start = 0
        for shard, store in zip(self.shards, stores, strict=True):
            for site in store.sites:
                for offset in range(0, store.num_tokens, PART_TOKENS):
                    part = np.ascontiguousarray(store.states(site)[offset : offset + PART_TOKENS])
                    write_part(folder, site, part, start + offset)
            start += store.num_tokens
            context.advance(shard.last - shard.first)
        inputs = digest([read_json(store.folder / INDEX_FILE)["inputs"] for store in stores])
        write_json(folder / INDEX_FILE, {"widths": widths, "tokens": total, "inputs": inputs})


def extract_sharded(wanted: Activations, store: Store, executor: Executor, *, progress: Reporter = silent) -> Path:
    """The folder of an `ActivationStore` with what `wanted` describes, captured in shards by an executor.

    Shards end where `capture` ends a part, so rows run in the batches in which they run without shards, and every array
    is to the byte what `wanted` itself gives. Raises as `capture` does. Trust: see `capture`.
    """
    packed = Packed.load(store.get(wanted.packed, progress=progress))
    plan = CapturePlan.of(packed.tokens, packed.lengths.astype(np.int64) + 1, wanted.skip)
    fields = {name: getattr(wanted, name) for name in type(wanted).model_fields}
    shards = [ActivationShard.model_validate({**fields, "first": a, "last": b}) for a, b in _shards(plan)]
    executor.run(shards, store, progress=progress, stage="capture activations", units=len(packed))
    with progress.stage("join the shards", len(packed)) as advance:
        return store.get(JoinedActivations(shards=tuple(shards)), progress=progress, advance=advance)


def _shards(plan: CapturePlan) -> Iterator[tuple[int, int]]:
    """Ranges of rows that hold some parts each; those that store nothing are left out."""
    parts = list(plan.parts())
    for number in range(0, len(parts), PARTS_OF_A_SHARD):
        few = parts[number : number + PARTS_OF_A_SHARD]
        first, last = few[0][0], few[-1][1]
        if plan.starts[first] < plan.starts[last]:
            yield first, last
