"""Attribution of texts as a content-addressed step: influence of training rows on the log-likelihood of other rows."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from transformers import PreTrainedModel

from imprint.attribution.engine import (
    EkfacOptions,
    Subspace,
    head_subspace,
    head_subspaces,
    influence,
    likelihood_queries,
    whole_model,
)
from imprint.attribution.head import check_fit
from imprint.corpus import Packed
from imprint.errors import ConfigError
from imprint.models import load_model
from imprint.runs import Context, Step, derive

SHARDS_FOLDER = "shards"


class AttributeTexts(Step):
    """EK-FAC influence of every row of a corpus on the log-likelihood of every row of another one.

    The subspace is the whole model, chosen layers, one head, or all heads; row scores are split by module or by head.
    """

    model: Path
    packed: Step
    asked: Step
    """The packed query texts, with the same tokenizer and context."""
    layers: tuple[int, ...] | None = None
    head: str | None = None
    split: Literal["module", "head"] = "module"
    embedding: bool = False
    by_token: bool = False
    options: EkfacOptions = EkfacOptions(stability="eigenvalues")
    memory: int = Field(default=4 << 30, ge=1)
    """Bytes beyond the model; changes the time, not the scores."""
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Score in shards, check and save (see `Scores.save`); a killed run keeps its finished shards."""
        torch.set_num_threads(1)
        packed, asked = Packed.load(context.get(self.packed)), Packed.load(context.get(self.asked))
        model = load_model(self.model)
        check_fit(model, packed)
        check_fit(model, asked)
        queries = likelihood_queries(torch.from_numpy(asked.tokens), torch.from_numpy(asked.lengths.astype(np.int64)))
        scores, _ = influence(
            model,
            self.subspace(model),
            queries,
            torch.from_numpy(packed.tokens),
            torch.from_numpy(packed.lengths.astype(np.int64)),
            self.options,
            seed=derive(self.seed, "labels"),
            memory=self.memory,
            by_token=self.by_token,
            norms=False,
            shards=folder / SHARDS_FOLDER,
            advance=context.advance,
        )
        scores.save(folder)

    def subspace(self, model: PreTrainedModel) -> Subspace:
        """The parameters that are asked about."""
        if self.head is not None:
            if self.layers is not None or self.split == "head" or self.embedding:
                raise ConfigError("one head was asked for, so leave out layers, the split by head and the embedding")
            return head_subspace(model, self.head)
        if self.split == "head":
            if self.embedding:
                raise ConfigError("the embedding belongs to no head; leave it out, or split by module")
            if self.layers is None:
                return head_subspaces(model)
            heads = [f"L{n}.H{h}" for n in sorted(set(self.layers)) for h in range(model.config.num_attention_heads)]
            return head_subspaces(model, heads=heads)
        return whole_model(model, layers=self.layers, embedding=self.embedding)
