"""What a stage trains: every parameter, or low-rank adapters on a frozen base."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from imprint.attribution.unrolled.parameters import Params
from imprint.errors import ConfigError
from imprint.runs import derive


@runtime_checkable
class Trained(Protocol):
    """Variables of a stage, and the model that they and the parameters at the stage's start make together."""

    @property
    def reads_base(self) -> bool:
        """Whether `assemble` depends on the base."""
        ...

    def start(self, base: Params) -> Params:
        """The variables before the first update, differentiable in the base."""
        ...

    def assemble(self, base: Params, variables: Params) -> Params:
        """The model's parameters, differentiable in both."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Full:
    """All parameters are trained, from where the stage finds them."""

    @property
    def reads_base(self) -> bool:
        """The base is only the start."""
        return False

    def start(self, base: Params) -> Params:
        """The base itself."""
        return base

    def assemble(self, base: Params, variables: Params) -> Params:
        """The variables themselves."""
        return variables


@dataclass(frozen=True, kw_only=True, slots=True)
class LowRank:
    """LoRA: weight + alpha / rank x B A with B = 0 at the start; the base is frozen, and the result is merged at the end.

    Source: Hu et al. 2021. Make one with `low_rank`.
    """

    weights: tuple[tuple[str, bool], ...]
    """(parameter, whether the module stores it as [in, out]) of each adapted weight."""
    rank: int
    alpha: float
    seed: int

    @property
    def reads_base(self) -> bool:
        """Every update depends on the frozen weights."""
        return True

    def start(self, base: Params) -> Params:
        """A uniform in +-1/sqrt(in) by `seed`, B zero."""
        variables = {}
        for name, transposed in self.weights:
            weight = base[name].T if transposed else base[name]
            draws = torch.rand(self.rank, weight.shape[1], generator=self._generator(name), dtype=torch.float64)
            variables[f"{name}.lora_A"] = ((2 * draws - 1) / math.sqrt(weight.shape[1])).to(weight)
            variables[f"{name}.lora_B"] = weight.new_zeros(weight.shape[0], self.rank)
        return variables

    def _generator(self, name: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive(self.seed, "adapter", name))

    def assemble(self, base: Params, variables: Params) -> Params:
        """The base with the adapters merged in."""
        return base | {
            name: base[name] + self._change(name, transposed, variables) for name, transposed in self.weights
        }

    def _change(self, name: str, transposed: bool, variables: Params) -> Tensor:
        change = (self.alpha / self.rank) * variables[f"{name}.lora_B"] @ variables[f"{name}.lora_A"]
        return change.T if transposed else change


def low_rank(
    model: PreTrainedModel, modules: Sequence[str], *, rank: int = 8, alpha: float = 16.0, seed: int = 0
) -> LowRank:
    """Adapters on every Linear or Conv1D whose name ends in one of `modules` (as peft's `target_modules`).

    Raises:
        ConfigError: no such module, or its weight is not one that the model trains.
    """
    weights = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | Conv1D) and any(f".{name}".endswith(f".{wanted}") for wanted in modules):
            weights.append((f"{name}.weight", isinstance(module, Conv1D)))
    missing = [wanted for wanted in modules if not any(f".{name[:-7]}".endswith(f".{wanted}") for name, _ in weights)]
    if missing or not weights:
        raise ConfigError(
            f"no Linear or Conv1D is called {missing or 'anything'}; name some, such as 'c_attn' or 'q_proj'"
        )
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    untrained = [name for name, _ in weights if name not in trained]
    if untrained:
        raise ConfigError(f"'{untrained[0]}' is tied or frozen, so no adapter can be put on it; choose other modules")
    return LowRank(weights=tuple(weights), rank=rank, alpha=alpha, seed=seed)
