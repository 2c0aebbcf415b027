"""LoRA by peft on any causal model: put on, trained alone, saved as an adapter and merged into a plain model."""

import copy
import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from imprint.errors import ConfigError
from imprint.models.finetuning.recipes import LoraRecipe
from imprint.models.quiet import quiet
from imprint.runs import derive, read_json, write_json

ADAPTER_FOLDER = "adapter"
_CONFIG = "adapter_config.json"


def with_adapters(model: PreTrainedModel, recipe: LoraRecipe, *, seed: int) -> PeftModel:
    """The model with adapters that change nothing yet: A uniform in +-1/sqrt(in) by `seed`, B zero; all else is frozen.

    The model itself is changed: its adapted modules are wrapped. Source: Hu et al. 2021; peft's LoRA layers.

    Raises:
        ConfigError: no Linear or Conv1D has a name that ends in a target, or its weight is tied.
    """
    names = adapted_modules(model, recipe.targets)
    transposed = any(isinstance(model.get_submodule(name), Conv1D) for name in names)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_alpha=recipe.alpha,  # type: ignore[arg-type]  # peft only divides it by the rank
        target_modules=names,
        fan_in_fan_out=transposed,
    )
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set")  # models with both Linear and Conv1D
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        adapted = get_peft_model(model, config)
    assert isinstance(adapted, PeftModel)
    parameters = dict(adapted.named_parameters())
    for name in names:
        _draw(parameters[f"base_model.model.{name}.lora_A.default.weight"], f"{name}.weight", seed)
    return adapted


@torch.no_grad()
def _draw(weight: nn.Parameter, name: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(derive(seed, "adapter", name))
    draws = torch.rand(*weight.shape, generator=generator, dtype=torch.float64)
    weight.copy_((2 * draws - 1) / math.sqrt(weight.shape[1]))


def adapted_modules(model: PreTrainedModel, targets: Sequence[str]) -> list[str]:
    """Names of the Linear and Conv1D modules that end in one of `targets`; without targets all but the unembedding.

    Raises:
        ConfigError: a target that no such module has, or a weight that is tied to another.
    """
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if not targets:
        return [name for name in linear if model.get_submodule(name) is not head]
    missing = [target for target in targets if not any(_ends_in(name, target) for name in linear)]
    if missing:
        known = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
        raise ConfigError(f"lora.targets: no Linear or Conv1D of the model is called '{missing[0]}'; it has {known}")
    chosen = [name for name in linear if any(_ends_in(name, target) for target in targets)]
    parameters = {name for name, _ in model.named_parameters()}
    tied = [name for name in chosen if f"{name}.weight" not in parameters]
    if tied:
        raise ConfigError(f"lora.targets: '{tied[0]}' shares its weight with the embedding; choose other modules")
    return chosen


def _ends_in(name: str, target: str) -> bool:
    return f".{name}".endswith(f".{target}")


def merged(adapted: PeftModel) -> PreTrainedModel:
    """A plain model with the adapters added into its weights; the adapted model stays as it is."""
    plain = copy.deepcopy(adapted).merge_and_unload()
    assert isinstance(plain, PreTrainedModel)
    return plain


def save_adapted(adapted: PeftModel, folder: Path) -> None:
    """Write the merged model, which `load_model(folder)` opens, and the adapter alone into `folder / "adapter"`."""
    with quiet():
        merged(adapted).save_pretrained(folder)
        adapted.save_pretrained(str(folder / ADAPTER_FOLDER), save_embedding_layers=False)
    (folder / ADAPTER_FOLDER / "README.md").unlink(missing_ok=True)
    config = read_json(folder / ADAPTER_FOLDER / _CONFIG)
    # Neither the place of the base on this machine nor the order of a set may decide the bytes.
    config |= {"base_model_name_or_path": "", "target_modules": sorted(config["target_modules"])}
    write_json(folder / ADAPTER_FOLDER / _CONFIG, config)
