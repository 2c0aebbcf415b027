"""How active each attention head is on each document: the array by which clusters are filtered for a task."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError
from imprint.models import Anatomy, Component, check_context, evaluating, record
from imprint.types import Advance, no_progress


@torch.no_grad()
def head_activations(
    model: PreTrainedModel,
    tokens: Int[np.ndarray, "doc seq"],
    lengths: Int[np.ndarray, "doc"],
    heads: Sequence[str | Component],
    *,
    batch: int = 16,
    advance: Advance = no_progress,
) -> Float[np.ndarray, "doc head"]:
    """The mean length of what each head writes into the residual stream, per document (alpha_j of source 000, 2.1.2).

    |W_O z| averaged over the document's first `lengths` tokens, in units of the residual stream. One forward pass per
    batch, without the unembedding. Works for models with one tower.

    Raises:
        ConfigError: a document without tokens, or no head.
        ContextTooLong: the documents do not fit into the model's context.

    Trust: length, not direction: a head may write much that nobody reads. OLMo-2 normalises the sum of all heads
    afterwards, so lengths compare documents there, not heads.
    """
    anatomy = Anatomy(model)
    found = [anatomy.find(head) for head in heads]
    if not found or not (lengths >= 1).all():
        raise ConfigError("Head activations need at least one head, and at least one token in every document.")
    check_context(model, tokens.shape[1])
    grams = {str(head): _gram(anatomy, head) for head in found}
    rows = []
    with evaluating(model):
        for start in range(0, len(tokens), batch):
            ids = torch.from_numpy(tokens[start : start + batch].astype(np.int64)).to(model.device)
            sizes = torch.from_numpy(lengths[start : start + batch].astype(np.int64)).to(model.device)
            rows.append(_written(model, ids, sizes, grams))
            advance(len(ids))
    return np.concatenate(rows)


def _gram(anatomy: Anatomy, head: Component) -> Float[Tensor, "d_head d_head"]:
    """W_O' W_O of one head, so that |W_O z|^2 = z' gram z."""
    out = anatomy.head_slices(head)["o"]
    weight = out.matrix(anatomy.model.get_parameter(out.name).detach()).double()
    return weight.T @ weight


def _written(
    model: PreTrainedModel, ids: Tensor, sizes: Tensor, grams: dict[str, Tensor]
) -> Float[np.ndarray, "doc head"]:
    real = torch.arange(ids.shape[1], device=ids.device)[None] < sizes[:, None]
    with record(model, list(grams)) as states:
        model.base_model(input_ids=ids, attention_mask=real.long())
    columns = []
    for head, gram in grams.items():
        z = states[head].double()
        squared = torch.einsum("bsd,de,bse->bs", z, gram.to(z), z)
        columns.append((squared.clamp(min=0).sqrt() * real).sum(1) / sizes)
    return torch.stack(columns, 1).cpu().numpy()
