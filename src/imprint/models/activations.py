"""Activations streamed to disk: one float16 `.npy` a site, written in parts, resumable, read as a memory map.

Only the blocks below the highest site run and never the unembedding; padding is dropped; memory holds one part.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from imprint.corpus import Packed
from imprint.errors import ComponentNotFound, ConfigError, InterventionNeverFired, ModelError
from imprint.models.activation_store import INDEX_FILE, ActivationStore, allocate, write_part
from imprint.models.capture_plan import CapturePlan
from imprint.models.components import Anatomy, Component, check_context
from imprint.models.hooks import Hook, evaluating, hooked, place, record
from imprint.models.imported import WEIGHTS_FOLDER, ImportedModel
from imprint.models.loading import load_model
from imprint.models.steps import Train, open_checkpoint
from imprint.runs import Context, Step, digest, read_json, write_json, writing
from imprint.types import Advance, no_progress

BATCH_TOKENS = 4096
_PROGRESS = "progress.json"
_INFINITE = np.uint16(0x7C00)
"""The exponent of float16's infinity and NaN."""


def capture(
    model: PreTrainedModel,
    tokens: Int[np.ndarray, "row seq"],
    lengths: Int[np.ndarray, "length"],
    sites: Sequence[str],
    folder: Path,
    *,
    batch_tokens: int = BATCH_TOKENS,
    skip: int = 0,
    advance: Advance = no_progress,
) -> ActivationStore:
    """The activations at `sites` of the first `lengths[i]` tokens of every row, less the first `skip`, in float16.

    Rows are right padded. A capture that was killed goes on after its last finished part when called again with the
    same arguments, and gives the same bytes. `advance` counts finished rows. An encoder-decoder model reads the rows
    with its encoder, so its sites begin with "encoder.".

    Raises:
        ComponentNotFound: a site that the model does not have, or an attention pattern.
        ConfigError: no site, a site twice, or lengths that do not fit the rows.
        ContextTooLong: rows longer than the model's context.
        ModelError: an activation beyond float16's largest number, 65 504.

    Trust: float16 keeps 11 bits, so differences below 5e-4 of a state's size are rounding. A folder must not be reused
    for another model with the same tokens and sites while its capture is unfinished.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    _check(model, tokens, lengths, sites, batch_tokens, skip)
    plan = CapturePlan.of(tokens, lengths, skip)
    inputs = _digest_of(plan, sites, batch_tokens, str(model.dtype))
    with writing(folder), evaluating(model):
        if not _is_finished(folder, inputs):
            (folder / "scratch").mkdir(parents=True, exist_ok=True)
            widths = _widths(model, tokens, sites)
            _write_parts(_Tap(model, sites), plan, widths, folder, inputs, batch_tokens, advance)
            write_json(folder / INDEX_FILE, {"widths": widths, "tokens": plan.stored, "inputs": inputs})
            (folder / "scratch" / _PROGRESS).unlink(missing_ok=True)
            with suppress(OSError):  # a step keeps its warnings there
                (folder / "scratch").rmdir()
        else:
            advance(len(tokens))
    return ActivationStore.open(folder)


def _write_parts(
    tap: "_Tap",
    plan: CapturePlan,
    widths: dict[str, int],
    folder: Path,
    inputs: str,
    batch_tokens: int,
    advance: Advance,
) -> None:
    done = _finished_rows(folder, inputs)
    if done == 0:
        allocate(folder, plan.stored, widths, plan.columns())
    for first, last in plan.parts():
        if last <= done:
            advance(last - first)
            continue
        start, stop = int(plan.starts[first]), int(plan.starts[last])
        part = {site: np.empty((stop - start, width), dtype=np.float16) for site, width in widths.items()}
        for rows in plan.batches(first, last, batch_tokens):
            tap.read(plan, rows, part, start)
        for site, states in part.items():
            _refuse_infinite(site, states)
            write_part(folder, site, states, start)
        write_json(folder / "scratch" / _PROGRESS, {"inputs": inputs, "rows": last})
        advance(last - first)


class _Enough(Exception):
    """Ends a forward pass once every site has been read."""


@final
class _Tap:
    """Hooks that put what passes at the sites into arrays, and then stop the model."""

    def __init__(self, model: PreTrainedModel, sites: Sequence[str]) -> None:
        self.model, self.anatomy, self.sites = model, Anatomy(model), sites
        self._waiting: set[str] = set()
        self._keep = torch.zeros(0, dtype=torch.bool)
        self._places: slice | Int[np.ndarray, "kept"] = slice(0)
        self._part: dict[str, np.ndarray] = {}

    @torch.inference_mode()
    def read(self, plan: CapturePlan, rows: Int[np.ndarray, "batch"], part: dict[str, np.ndarray], start: int) -> None:
        """Run the model on some rows and store their states in `part`, whose first state is number `start`."""
        longest = int(plan.lengths[rows].max())
        kept = np.arange(longest)[None, :] < plan.lengths[rows][:, None]
        batch = _arguments(self.model, plan.tokens[rows, :longest], kept)
        kept[:, : plan.skip] = False
        self._keep, self._part = torch.from_numpy(kept), part
        self._places = _ranges(plan.starts[rows] - start, plan.starts[rows + 1] - start)
        self._waiting = set(self.sites)
        with hooked(self.model, [self._hook(site) for site in self.sites]):
            try:
                _tower(self.model)(**batch)
            except _Enough:
                return
        raise InterventionNeverFired(f"Nothing passed at {', '.join(sorted(self._waiting))}, so nothing was captured.")

    def _hook(self, site: str) -> Hook:
        component = self.anatomy.find(site)
        columns = self.anatomy.head_columns(component) if component.site == "head" else slice(None)
        module, edge = place(self.anatomy, component)

        def store(states: Tensor) -> None:
            states = states[..., columns]
            chosen = states.flatten(0, 1) if bool(self._keep.all()) else states[self._keep.to(states.device)]
            self._part[site][self._places] = chosen.to(torch.float16).cpu().numpy()
            self._waiting.discard(site)
            if not self._waiting:
                raise _Enough

        return module, edge, store


def _tower(model: PreTrainedModel) -> Any:
    """What runs on tokens without making logits."""
    return model.get_encoder() if Anatomy(model).family.objective == "seq2seq" else model.base_model


def _arguments(model: PreTrainedModel, tokens: np.ndarray, real: np.ndarray) -> dict[str, Any]:
    """Causal models look only back, so right padding needs no mask there, and attention is faster without one."""
    arguments: dict[str, Any] = {"input_ids": torch.from_numpy(np.ascontiguousarray(tokens)).to(model.device)}
    objective = Anatomy(model).family.objective
    if objective == "causal":
        return arguments | {"use_cache": False}
    return arguments | {"attention_mask": torch.from_numpy(real.astype(np.int64)).to(model.device)}


def _ranges(starts: np.ndarray, stops: np.ndarray) -> slice | Int[np.ndarray, "kept"]:
    """All places from each start to its stop; a slice where they follow each other."""
    if np.array_equal(starts[1:], stops[:-1]):
        return slice(int(starts[0]), int(stops[-1]))
    return np.concatenate([np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)])


def _widths(model: PreTrainedModel, tokens: np.ndarray, sites: Sequence[str]) -> dict[str, int]:
    few = np.asarray(tokens[:1, :2])
    with torch.inference_mode(), record(model, sites) as states:
        _tower(model)(**_arguments(model, few, np.ones_like(few)))
    return {site: int(states[site].shape[-1]) for site in sites}


def _refuse_infinite(site: str, states: Float[np.ndarray, "token width"]) -> None:
    if ((states.view(np.uint16) & _INFINITE) == _INFINITE).any():
        raise ModelError(
            f"{site} holds an activation that float16 cannot hold (above 65504, or not a number); capture another site"
        )


def _finished_rows(folder: Path, inputs: str) -> int:
    path = folder / "scratch" / _PROGRESS
    if not path.exists():
        return 0
    progress = read_json(path)
    return int(progress["rows"]) if progress["inputs"] == inputs else 0


def _is_finished(folder: Path, inputs: str) -> bool:
    path = folder / INDEX_FILE
    return path.exists() and read_json(path)["inputs"] == inputs


def _digest_of(plan: CapturePlan, sites: Sequence[str], batch_tokens: int, dtype: str) -> str:
    data = hashlib.sha256(np.ascontiguousarray(plan.tokens).tobytes()).hexdigest()
    return digest([data, plan.lengths.tolist(), plan.skip, list(sites), batch_tokens, dtype])


def _check(
    model: PreTrainedModel, tokens: np.ndarray, lengths: np.ndarray, sites: Sequence[str], batch_tokens: int, skip: int
) -> None:
    anatomy = Anatomy(model)
    if not sites or len(set(sites)) < len(sites):
        raise ConfigError(f"the sites {list(sites)} must be at least one and each once, for example L3.resid_post")
    for component in map(Component.parse, sites):
        place(anatomy, anatomy.find(component))
        if anatomy.family.objective == "seq2seq" and component.stack != "encoder":
            raise ComponentNotFound(
                f"'{component}': rows are read by the encoder, so capture sites such as encoder.L0.mlp"
            )
    if len(tokens) == 0 or len(lengths) != len(tokens) or not (lengths.min() >= 0 and lengths.max() <= tokens.shape[1]):
        raise ConfigError(f"{len(lengths)} lengths do not fit {len(tokens)} rows of {tokens.shape[1]} tokens")
    if batch_tokens < 1 or skip < 0:
        raise ConfigError(f"batch_tokens={batch_tokens} must be at least 1 and skip={skip} at least 0")
    check_context(model, int(lengths.max()))


class Activations(Step):
    """The activations of a packed corpus at some sites of a model: an `ActivationStore`."""

    packed: Step
    model: ImportedModel | Train
    step: int | None = None
    """The checkpoint, if the model is a training run; None: its last one."""
    sites: tuple[str, ...] = Field(min_length=1)
    batch_tokens: int = Field(default=BATCH_TOKENS, ge=1)
    skip: int = Field(default=1, ge=0)
    """Leading tokens of each row that are not stored; 1 leaves out BOS, whose state is huge in most models."""

    def execute(self, folder: Path, context: Context) -> None:
        """Capture, going on where a killed attempt stopped."""
        torch.set_num_threads(1)
        packed = Packed.load(context.get(self.packed))
        capture(
            captured_model(self.model, self.step, context),
            packed.tokens,
            packed.lengths.astype(np.int64) + 1,
            self.sites,
            folder,
            batch_tokens=self.batch_tokens,
            skip=self.skip,
            advance=context.advance,
        )


def captured_model(model: ImportedModel | Train, step: int | None, context: Context) -> PreTrainedModel:
    """The model whose activations a step captures: an imported one, or a run's checkpoint (None: its last one)."""
    if isinstance(model, Train):
        return open_checkpoint(context.get(model), model.last_step if step is None else step)
    return load_model(context.get(model) / WEIGHTS_FOLDER, dtype=model.dtype)
