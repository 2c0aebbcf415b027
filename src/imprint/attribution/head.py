"""Attribution of one head: influence of every row under its probes, with every cheap baseline beside it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64
from transformers import PreTrainedModel

from imprint.attribution.alignment import (
    INDUCTION_HEAD,
    PREVIOUS_TOKEN_HEAD,
    check_alignment,
    reference_probe,
)
from imprint.attribution.baselines import bm25_scores, embedding_scores, ngram_scores, random_scores
from imprint.attribution.engine.ekfac import EkfacOptions
from imprint.attribution.engine.influence import influence
from imprint.attribution.engine.queries import Query, induction_queries, off_by_one_query, previous_token_query
from imprint.attribution.engine.scores import Scores
from imprint.attribution.engine.selections import HeadParts, head_subspace
from imprint.capabilities import RepeatProbe
from imprint.corpus import Packed
from imprint.errors import ConfigError, ModelError
from imprint.models import Component, check_context, family_of
from imprint.runs import derive
from imprint.types import Advance, no_progress

HeadMechanism = Literal["induction", "previous_token"]
BASELINES = ("random", "loss", "gradient norm", "repeated bigrams", "BM25", "embedding")
"""Rows of `baselines.npy`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadAttribution:
    """Influence of every row on a head, the rows' losses, and the baselines (in the order of `BASELINES`)."""

    scores: Scores
    losses: Float64[np.ndarray, "row"]
    """Mean loss a predicted token, in nats."""
    baselines: Float64[np.ndarray, "baseline row"]

    def save(self, folder: Path) -> None:
        """Write `scores.npy`, `token_scores.npy`, `scores.json`, `losses.npy` and `baselines.npy`."""
        self.scores.save(folder)
        np.save(folder / "losses.npy", self.losses)
        np.save(folder / "baselines.npy", self.baselines)


def attribute_head(
    model: PreTrainedModel,
    packed: Packed,
    head: Component | str,
    probe: RepeatProbe,
    *,
    parts: HeadParts = "qkvo",
    mechanism: HeadMechanism = "induction",
    options: EkfacOptions = EkfacOptions(),  # noqa: B008 - frozen
    mutant: bool = False,
    seed: int = 0,
    shards: Path | None = None,
    advance: Advance = no_progress,
) -> HeadAttribution:
    """EK-FAC influence of every packed row (and token) on one head; positive = training on the row raises the probe.

    `mutant` adds the published off-by-one probe, which must fail; it is for calibration only. The attention probe is left
    out for the parts "vo", which it does not depend on. With a folder `shards` a killed run goes on where it was. `advance`
    counts rows, those that the factors are fitted on first. Raises as `influence` does, `ContextTooLong` for rows beyond
    the context, and `ModelError` for a model that does not predict the next token or does not know the rows' tokens.
    Trust: see `influence` and `Scores`.
    """
    check_fit(model, packed)
    aligned = check_probes(probe, parts, mechanism)
    scores, collected = influence(
        model,
        head_subspace(model, head, parts),
        head_queries(probe, head, parts, mechanism, mutant),
        torch.from_numpy(packed.tokens),
        torch.from_numpy(packed.lengths.astype(np.int64)),
        options,
        seed=derive(seed, "labels"),
        shards=shards,
        advance=advance,
    )
    scores = replace(scores, checks={**aligned, **scores.checks})
    losses = collected.row_losses().double().numpy()
    baselines = (
        random_scores(len(packed), seed=derive(seed, "random")),
        losses,
        collected.gradient_norms().double().numpy(),
        ngram_scores(packed),
        bm25_scores(packed, probe.tokens),
        embedding_scores(model, packed, probe.tokens),
    )
    return HeadAttribution(scores=scores, losses=losses, baselines=np.stack(baselines))


def check_fit(model: PreTrainedModel, packed: Packed) -> None:
    """Refuse rows that a model cannot predict: ModelError, or ContextTooLong."""
    check_predicts(model, int(packed.tokens.max()), packed.context)


def check_predicts(model: PreTrainedModel, largest_token: int, context: int) -> None:
    """Refuse rows of up to `context` tokens that a model cannot predict: ModelError, or ContextTooLong."""
    kind, vocabulary = model.config.model_type, model.config.vocab_size
    if family_of(kind).objective != "causal":
        raise ModelError(f"a {kind} model does not predict the next token; attribution needs a causal model")
    if largest_token >= vocabulary:
        raise ModelError(
            f"the rows hold token id {largest_token} but the model has a vocabulary of {vocabulary}; pack them with"
            " the model's own tokenizer"
        )
    check_context(model, context)


def head_queries(
    probe: RepeatProbe, head: Component | str, parts: HeadParts, mechanism: HeadMechanism, mutant: bool
) -> list[Query]:
    """The probes that depend on the parts: where a head attends is decided before its values and outputs."""
    if mechanism == "previous_token":
        if parts == "vo":
            raise ConfigError("attention to the previous token does not depend on a head's 'vo'; choose 'qk' or 'qkvo'")
        return [previous_token_query(probe, head)]
    queries = [query for query in induction_queries(probe, head) if parts != "vo" or query.name != "attention"]
    return [*queries, *([off_by_one_query(probe)] if mutant else [])]


def check_probes(probe: RepeatProbe, parts: HeadParts, mechanism: HeadMechanism) -> dict[str, float]:
    """The value per position of the probes' queries on heads that do their job perfectly (see `check_alignment`)."""
    small = reference_probe(bos=probe.tokens.shape[1] > 2 * probe.period)
    head = INDUCTION_HEAD if mechanism == "induction" else PREVIOUS_TOKEN_HEAD
    return check_alignment(head_queries(small, head, parts, mechanism, mutant=False), small)


def load_baselines(folder: Path) -> dict[str, np.ndarray]:
    """The baseline scores of every row, by name."""
    return dict(zip(BASELINES, np.load(folder / "baselines.npy"), strict=True))
