"""The models, tokens and tracked modules that every attribution tool gets in `benchmarks.attribution`.

Needs only torch, transformers and numpy, so that the peers' environments can read it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel
from transformers.pytorch_utils import Conv1D

VOCABULARY, CONTEXT, TRAIN_ROWS, QUERIES = 4096, 128, 512, 32
SHAPES = ("neox", "gpt2")
HEADS = {"neox": "L3.H1", "gpt2": "L2.H1"}
"""The head that the one-head runs attribute; above the middle, so that part of the backward is saved."""


def build(shape: str) -> PreTrainedModel:
    """A freshly initialised model, the same in every environment: GPT-NeoX 6 x 128 or GPT-2 4 x 256, four heads."""
    torch.manual_seed(0)
    no_dropout = {"attention_dropout": 0.0, "hidden_dropout": 0.0}
    if shape == "neox":
        model: PreTrainedModel = GPTNeoXForCausalLM(
            GPTNeoXConfig(
                vocab_size=VOCABULARY, hidden_size=128, num_hidden_layers=6, num_attention_heads=4,
                intermediate_size=512, max_position_embeddings=2048, use_cache=False, **no_dropout,
            )
        )  # fmt: skip
    else:
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=VOCABULARY, n_embd=256, n_layer=4, n_head=4, n_positions=2048, use_cache=False,
                attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0, bos_token_id=0, eos_token_id=0,
            )
        )  # fmt: skip
    return model.float().eval()


def tracked(model: PreTrainedModel) -> list[str]:
    """The linear maps of the blocks (weight and bias); embeddings and the unembedding are left out everywhere."""
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    return [name for name in names if name not in ("embed_out", "lm_head")]


def as_linear(model: nn.Module) -> None:
    """Replace GPT-2's transposed Conv1D by Linear in place, for tools that know only Linear."""
    for name, child in list(model.named_children()):
        if isinstance(child, Conv1D):
            linear = nn.Linear(*child.weight.shape)
            linear.weight.data.copy_(child.weight.data.T)
            linear.bias.data.copy_(child.bias.data)
            setattr(model, name, linear)
        else:
            as_linear(child)


def zipf_rows(rows: int, seed: int) -> torch.Tensor:
    """Zipf tokens [rows, CONTEXT] of which every second one follows from its predecessor by a fixed bigram."""
    generator = np.random.default_rng(seed)
    weights = 1 / np.arange(1, VOCABULARY + 1)
    tokens = generator.choice(VOCABULARY, size=(rows, CONTEXT), p=weights / weights.sum())
    successor = np.random.default_rng(12345).permutation(VOCABULARY)
    follows = generator.random((rows, CONTEXT)) < 0.5
    for position in range(1, CONTEXT):
        tokens[:, position] = np.where(follows[:, position], successor[tokens[:, position - 1]], tokens[:, position])
    return torch.from_numpy(tokens)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What one tool is given: a model, rows to score and rows whose loss is asked about."""

    shape: str
    model: PreTrainedModel
    train: torch.Tensor
    queries: torch.Tensor

    @property
    def modules(self) -> list[str]:
        """Names of the tracked modules."""
        return tracked(self.model)


def setting(shape: str) -> Setting:
    """Model and data of a shape, or of a file that `save` wrote, on one thread."""
    torch.set_num_threads(1)
    if torch.get_num_interop_threads() != 1:
        torch.set_num_interop_threads(1)
    if shape not in SHAPES:
        saved = torch.load(shape, weights_only=False)
        model = GPT2LMHeadModel(saved["config"])
        model.load_state_dict(saved["state"])
        return Setting(shape=shape, model=model.eval(), train=saved["train"], queries=saved["queries"])
    return Setting(
        shape=shape, model=build(shape), train=zipf_rows(TRAIN_ROWS, seed=1), queries=zipf_rows(QUERIES, seed=2)
    )


def save(model: GPT2LMHeadModel, train: torch.Tensor, queries: torch.Tensor, path: Path) -> None:
    """A model of one's own with its data, for every tool to read as a shape."""
    whole = {"config": model.config, "state": model.state_dict(), "train": train, "queries": queries}
    torch.save(whole, path)
