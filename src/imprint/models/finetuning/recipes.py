"""Recipes of the fine-tuning stages: the optimiser, how long, and what each stage has of its own."""

import math

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imprint.corpus import Stream, shuffled_stream
from imprint.models.training import Optimisation
from imprint.runs import derive


class Tuning(Optimisation):
    """AdamW with warm-up and clipping, as in pre-training, over so many epochs or so many updates."""

    learning_rate: float = Field(default=1e-4, gt=0)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    warmup_steps: int = Field(default=10, ge=1)
    batch: int = Field(default=8, ge=1)
    """Examples (conversations, or preference pairs) of one update."""
    microbatch: int | None = Field(default=None, ge=1)
    """Examples that go through the model at once; None: the whole batch. It changes memory and rounding, nothing else."""
    epochs: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=1)
    """Updates; give either this or `epochs` (neither: one epoch)."""
    dropout: bool = False
    """Whether the model's own dropout is on while it is trained."""

    @model_validator(mode="after")
    def _one_length(self) -> "Tuning":
        if self.epochs is not None and self.steps is not None:
            raise ValueError(f"give either epochs ({self.epochs}) or steps ({self.steps}), not both")
        return self

    def updates(self, rows: int) -> int:
        """How many updates a stage with so many examples makes; an epoch that ends within a batch is filled up."""
        if self.steps is not None:
            return self.steps
        return max(1, math.ceil((1.0 if self.epochs is None else self.epochs) * rows / self.batch))

    def order(self, rows: int, seed: int) -> Stream:
        """The examples of each update: epochs end to end, each in a fresh order drawn from `seed`."""
        return shuffled_stream(rows, steps=self.updates(rows), batch=self.batch, seed=derive(seed, "order"))


class SupervisedRecipe(Tuning):
    """Cross-entropy on the answers only."""


class PreferenceRecipe(Tuning):
    """Direct preference optimisation against the model that the stage starts from."""

    learning_rate: float = Field(default=1e-5, gt=0)
    beta: float = Field(default=0.1, gt=0)
    """How strongly departures from the reference are held back: the loss looks at beta x the change of the margin."""


class LoraRecipe(BaseModel):
    """Low-rank adapters: weight + alpha / rank x B A on each target, with B = 0 at the start and the base frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    targets: tuple[str, ...] = ()
    """Names that the adapted Linear or Conv1D modules end in, such as c_attn or q_proj; empty: all but the unembedding."""
