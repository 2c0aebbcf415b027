"""The natural-text world: a small byte model that has read some text is trained on a few documents, and asked about them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine import Block, Query, Subspace, likelihood_queries, whole_model
from imprint.attribution.methods import Problem
from imprint.attribution.unrolled import AdamW, Params, Sgd, Training, language_model_training, warm_up
from imprint.attribution.validation import RetrainableWorld, Retrainer
from imprint.corpus import Packed, PackedCorpus, ShuffledStream, shuffled_stream
from imprint.models import Architecture, Optimisation, Train, label_mask, open_checkpoint, token_losses
from imprint.runs import Context, Store, derive
from imprint.studies.attribution_rows import QUERIES, ROWS, BackgroundText, ClusteredText

_HEAD = "lm_head"
"""The unembedding of a GPT-2."""


class Descent(BaseModel):
    """How the world's model is trained; smooth on purpose, so that the effect of a row has a derivative to speak of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(default=2e-3, gt=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """First decay of AdamW; momentum of SGD."""
    beta2: float = Field(default=0.98, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    eps_root: float = Field(default=1e-7, ge=0)
    """Large enough for a smooth run: from scratch, 1e-8 at a rate of .01 gave an LDS of metagradients of .65, not .98."""
    warmup_steps: int = Field(default=5, ge=1)
    decay: bool = True
    """Whether the rate falls linearly to 0 at the last update."""
    clip_norm: float | None = None

    def build(self, steps: int) -> AdamW | Sgd:
        """The optimiser of a run of `steps` updates."""
        schedule = warm_up(self.warmup_steps, until=steps if self.decay else None)
        if self.kind == "sgd":
            return Sgd(
                learning_rate=self.learning_rate,
                momentum=self.beta1,
                weight_decay=self.weight_decay,
                clip_norm=self.clip_norm,
                schedule=schedule,
            )
        return AdamW(
            learning_rate=self.learning_rate,
            beta1=self.beta1,
            beta2=self.beta2,
            weight_decay=self.weight_decay,
            clip_norm=self.clip_norm,
            eps_root=self.eps_root,
            schedule=schedule,
        )


def byte_architecture(context: int) -> Architecture:
    """A plain GPT-2 of two layers, width 32, two heads, on bytes, without dropout."""
    sizes: dict[str, int | float | bool | str]
    sizes = {"vocab_size": 256, "n_positions": context, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_inner": 64}
    sizes["activation_function"] = "gelu"
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "initializer_range": 0.125}
    names = {"bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": False}
    return Architecture(model_type="gpt2", config=sizes | still | names)


class NaturalWorld(RetrainableWorld):
    """Text, model and training of the natural-text world; another seed is another order of the same rows.

    The model first reads the documents that are neither trained on nor asked about (once, the same for every retraining),
    then the rows, as a language model is fine-tuned.
    """

    text: ClusteredText = ClusteredText()
    descent: Descent = Descent()
    epochs: int = Field(default=2, ge=1)
    batch: int = Field(default=16, ge=1)
    background_steps: int = Field(default=800, ge=1)
    double: bool = False
    """Train in double precision."""

    @property
    def background(self) -> Train:
        """The run on all other text that every run starts from."""
        packed = PackedCorpus(corpus=BackgroundText(text=self.text), context=self.text.context)
        return Train(
            architecture=byte_architecture(self.text.context),
            optimisation=Optimisation(),
            packed=packed,
            stream=ShuffledStream(packed=packed, steps=self.background_steps, batch=32, seed=0),
            seed=0,
            checkpoint_every=self.background_steps,
            keep_moments=False,
            last_step=self.background_steps,
        )

    def open(self, context: Context | Store, seed: int) -> "OpenWorld":
        """Rows, queries and the run of one seed."""
        folder = context.get(self.text)
        rows, queries = Packed.load(folder / ROWS), Packed.load(folder / QUERIES)
        steps = self.epochs * len(rows) // self.batch
        stream = shuffled_stream(len(rows), steps=steps, batch=self.batch, seed=derive(seed, "order"))
        model = open_checkpoint(context.get(self.background), self.background_steps)
        return OpenWorld(
            rows=rows,
            queries=queries,
            training=language_model_training(
                model.double() if self.double else model,
                torch.from_numpy(rows.tokens),
                torch.from_numpy(rows.lengths.astype(np.int64)),
                torch.from_numpy(stream.rows.astype(np.int64)),
                self.descent.build(steps),
            ),
        )

    def retrainer(self, context: Context | Store, seed: int) -> Retrainer:
        """Train without some rows (their losses are masked, the order stays) and ask every query."""
        world = self.open(context, seed)

        def retrain(dropped: object) -> Float64[np.ndarray, "query"]:
            weights = torch.ones(len(world.rows))
            weights[torch.tensor(dropped, dtype=torch.long)] = 0.0
            return world.values(world.training.run([weights]))

        return retrain


@dataclass(frozen=True, kw_only=True)
class OpenWorld:
    """The run of one seed, ready to be repeated."""

    rows: Packed
    queries: Packed
    training: Training

    @cached_property
    def trained(self) -> PreTrainedModel:
        """The model that the whole run makes."""
        with torch.enable_grad():
            return self.training.holding(self.training.run())

    def values(self, params: Params) -> Float64[np.ndarray, "query"]:
        """The log-likelihood of every query in nats, all in one pass."""
        return self.likelihoods(params, self.queries)

    def likelihoods(self, params: Params, packed: Packed) -> Float64[np.ndarray, "row"]:
        """The log-likelihood of every row in nats."""
        tokens, lengths = _tensors(packed)
        with torch.no_grad():
            losses = token_losses(self.training.holding(params)(tokens[:, :-1], use_cache=False).logits, tokens[:, 1:])
            total: Tensor = (losses * label_mask(lengths, losses.shape[1])).sum(1)
        return -total.double().numpy()

    def asked(self) -> tuple[Query, ...]:
        """The same as queries."""
        return likelihood_queries(*_tensors(self.queries))

    def problem(self, seed: int) -> Problem:
        """What every method is asked."""
        (tokens, lengths), (texts, text_lengths) = _tensors(self.rows), _tensors(self.queries)
        return Problem(
            model=self.trained,
            tokens=tokens,
            lengths=lengths,
            queries=self.asked(),
            subspace=all_matrices(self.trained),
            training=self.training,
            seed=seed,
            row_groups=self.rows.row_domains,
            query_groups=self.queries.row_domains,
            query_tokens=texts,
            query_lengths=text_lengths,
        )


def all_matrices(model: PreTrainedModel) -> Subspace:
    """Every linear map of the world's model: embedding, blocks and unembedding."""
    inner = whole_model(model, embedding=True)
    block = Block(name=_HEAD, outputs=((_HEAD, None),), group=_HEAD)
    modules = {**inner.modules, _HEAD: model.get_submodule(_HEAD)}
    return Subspace(name="all matrices", blocks=(*inner.blocks, block), modules=modules)


def _tensors(packed: Packed) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(packed.tokens), torch.from_numpy(packed.lengths.astype(np.int64))
