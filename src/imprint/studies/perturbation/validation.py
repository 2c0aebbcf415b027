"""Whether a perturbation hits what it aims at: loss on the cluster's own text against other text, attention, drift."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from imprint.corpus import Packed
from imprint.interventions.activations import Intervention, attention_change, idle_expected, intervene, loss_change
from imprint.mechanisms import drift
from imprint.models import Anatomy, Component, ImportedModel, depth_of, evaluating, open_imported, record
from imprint.runs import Context, Step, atomic_file, write_json
from imprint.studies.perturbation.config import Family
from imprint.studies.perturbation.families import family_seed, matched_control, perturbation
from imprint.studies.perturbation.passages import ClusterPassages, rows_of, sources_of
from imprint.studies.perturbation.session import behind_the_first
from imprint.studies.perturbation.space import ClusterSpace, Space

LOSSES_FILE = "losses.parquet"
CHANGES_FILE = "changes.json"
ROWS_AT_ONCE = 16
ATTENTION_ROWS = 8
ATTENTION_LAYERS = 4
"""Patterns are compared in at most so many layers above the site, evenly spaced."""
DRAWS = 199
Pair = tuple[Intervention, Intervention]
"""A perturbation and its control, at their doses."""


class CheckedPerturbation(Step):
    """The losses of held-out passages of every cluster under one perturbation and its control, and what else it changes.

    `losses.parquet`: cluster and source document of each passage, loss before, after, and under the control (nats a token).
    `changes.json`: movement of attention above the site and drift of the last block's states.
    """

    passages: ClusterPassages
    space: ClusterSpace
    model: ImportedModel
    cluster: str
    family: Family
    dose: float
    rows: int = Field(default=32, ge=4)
    """Most passages of each cluster."""
    seed: int = 0

    @idle_expected()
    def execute(self, folder: Path, context: Context) -> None:
        """Run the passages before and after."""
        torch.set_num_threads(1)
        space, packed = Space.load(context.get(self.space)), Packed.load(context.get(self.passages))
        model, _ = open_imported(context.get(self.model), self.model.dtype)
        rows = self._rows(packed)
        seed = family_seed(self.seed, self.cluster, self.family)
        made = perturbation(space, self.cluster, self.family, seed=seed)
        target = None if made is None else replace(made, tokens=_behind_bos(len(rows), packed.context))
        changes = {}
        frame = pl.DataFrame(
            {"cluster": packed.row_domains[rows].tolist(), "source": sources_of(packed, rows).tolist()}
        )
        if target is not None:
            control = matched_control(target, space, seed=seed + 1)
            acting = target.at(self.dose), control.intervention.at(self.dose * control.ratio)
            frame = frame.with_columns(**_losses(model, acting, packed, rows))
            changes = _changes(model, acting, packed, rows, self.seed)
        with atomic_file(folder / LOSSES_FILE) as partial:
            frame.write_parquet(partial)
        write_json(folder / CHANGES_FILE, changes)
        context.advance(1)

    def _rows(self, packed: Packed) -> Int[np.ndarray, "row"]:
        """Rows of the checking half, at most `rows` of each cluster."""
        held_out = rows_of(packed, "check", self.passages.seed)
        names = packed.row_domains[held_out]
        return np.sort(np.concatenate([held_out[names == name][: self.rows] for name in dict.fromkeys(packed.domains)]))


def _behind_bos(rows: int, context: int) -> Bool[Tensor, "row position"]:
    """All tokens but BOS, which holds the attention sink."""
    return behind_the_first(torch.ones(rows, context + 1, dtype=torch.bool))


def _losses(model: PreTrainedModel, acting: Pair, packed: Packed, rows: Int[np.ndarray, "row"]) -> dict[str, pl.Series]:
    parts = {
        arm: loss_change(model, [one], _batches(packed, rows), name="held-out")
        for arm, one in zip(("after", "control"), acting, strict=True)
    }
    values = {"before": parts["after"].before} | {arm: part.after for arm, part in parts.items()}
    return {name: pl.Series(name, value) for name, value in values.items()}


def _batches(packed: Packed, rows: Int[np.ndarray, "row"]) -> Iterator[dict[str, Tensor]]:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        yield _batch(packed, rows[start : start + ROWS_AT_ONCE])


def _batch(packed: Packed, rows: Int[np.ndarray, "row"]) -> dict[str, Tensor]:
    real = np.arange(packed.context + 1)[None, :] <= packed.lengths[rows][:, None]
    return {
        "input_ids": torch.from_numpy(packed.tokens[rows]),
        "attention_mask": torch.from_numpy(real.astype(np.int64)),
    }


def _changes(
    model: PreTrainedModel, acting: Pair, packed: Packed, rows: Int[np.ndarray, "row"], seed: int
) -> dict[str, object]:
    drawn = np.random.default_rng(seed).permutation(rows)[:ATTENTION_ROWS]
    batch = _batch(packed, drawn)
    moved = {
        arm: attention_change(model, [one], batch, sites=_pattern_sites(model, one)).effect(seed=seed).as_dict()
        for arm, one in zip(("attention", "attention_control"), acting, strict=True)
    }
    last = f"L{Anatomy(model).num_layers - 1}.resid_post"
    shifted = drift(*_before_and_after(model, acting[0], batch, last), draws=DRAWS, seed=seed)
    return moved | {"drift": shifted.distance.as_dict(), "drift_p": shifted.p, "drift_floor": shifted.floor}


def _pattern_sites(model: PreTrainedModel, acting: Intervention) -> list[str]:
    """Layers from the first that the intervention can change to the last."""
    first, last = depth_of(model, Component.parse(acting.site)), Anatomy(model).num_layers - 1
    layers = np.unique(np.linspace(min(first, last), last, ATTENTION_LAYERS).round().astype(int))
    return [f"L{layer}.pattern" for layer in layers]


@torch.no_grad()
def _before_and_after(
    model: PreTrainedModel, acting: Intervention, batch: dict[str, Tensor], site: str
) -> tuple[Float[np.ndarray, "token d"], Float[np.ndarray, "token d"], Int[np.ndarray, "token"]]:
    """States of the real tokens without and with the intervention, and the row of each."""
    real = batch["attention_mask"].bool()
    with evaluating(model), record(model, [site]) as before:
        model.base_model(**batch)
    with evaluating(model), record(model, [site]) as after, intervene(model, [acting]):
        model.base_model(**batch)
    states = [found[site][real].float().double().numpy() for found in (before, after)]
    return states[0], states[1], real.nonzero()[:, 0].numpy()
