"""A stage of training: examples, the order they come in, what is trained, and how."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from imprint.attribution.unrolled.adapters import Full, Trained
from imprint.attribution.unrolled.objectives import Objective
from imprint.attribution.unrolled.optimisers import Optimiser
from imprint.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One stage: update t lowers sum_i w_i m_ti L_i / sum_i size_i over the examples i of `batches[t]`."""

    name: str
    objective: Objective
    batches: Int[Tensor, "step batch"]
    """Examples of each update; one may appear any number of times."""
    optimiser: Optimiser
    trained: Trained = field(default_factory=Full)
    multipliers: Float[Tensor, "step batch"] | None = None
    """Fixed weights of the recorded run itself (`corpus.Stream.weights`); None is 1 everywhere."""

    def __post_init__(self) -> None:
        """Refuse batches that name examples which do not exist.

        Raises:
            ConfigError: there are no updates, or a batch names a row beyond the objective's examples.
        """
        if self.batches.numel() == 0:
            raise ConfigError(f"stage '{self.name}' has no batches; give it at least one update")
        least, most = int(self.batches.min()), int(self.batches.max())
        if least < 0 or most >= self.rows:
            raise ConfigError(
                f"stage '{self.name}' has {self.rows} examples, numbered from 0, but a batch names example"
                f" {least if least < 0 else most}; draw batches from its own examples"
            )

    @property
    def rows(self) -> int:
        """How many training examples it has."""
        return len(self.objective.sizes)

    @property
    def steps(self) -> int:
        """How many updates it makes."""
        return len(self.batches)

    def exposure(self, start: int, stop: int) -> Float[Tensor, "row"]:
        """How much of each example's gradient updates start..stop-1 subtract: the sum over its draws of rate / batch size."""
        sizes = self.objective.sizes.double()
        total = torch.zeros_like(sizes)
        for step in range(start, stop):
            rows = self.batches[step]
            factors = sizes.new_ones(len(rows)) if self.multipliers is None else self.multipliers[step].double()
            total.index_add_(0, rows, self.optimiser.rate(step) * factors / sizes[rows].sum().clamp(min=1))
        return total
