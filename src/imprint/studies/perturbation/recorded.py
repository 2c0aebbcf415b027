"""Activations of passages at one site, token by token, with what each token belongs to."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from transformers import PreTrainedModel

from imprint.corpus import Packed
from imprint.models import evaluating, family_of, record
from imprint.studies.perturbation.passages import sources_of

ROWS_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """The states of all real tokens of some rows; BOS is left out, because every row shares it."""

    states: Float[np.ndarray, "token width"]
    cluster: Int[np.ndarray, "token"]
    """Number of the token's cluster."""
    document: Int[np.ndarray, "token"]
    """Number of the source document."""
    row: Int[np.ndarray, "token"]
    token_id: Int[np.ndarray, "token"]


@torch.no_grad()
def record_rows(
    model: PreTrainedModel, site: str, packed: Packed, rows: Int[np.ndarray, "row"], clusters: tuple[str, ...]
) -> Recorded:
    """Run the model (without its unembedding) over the rows and keep the site's states of the real tokens."""
    real = packed.label_mask[rows]
    kept = []
    with evaluating(model):
        for start in range(0, len(rows), ROWS_AT_ONCE):
            span = slice(start, start + ROWS_AT_ONCE)
            with record(model, [site]) as states:
                model.base_model(**_inputs(model, packed, rows[span]))
            kept.append(states[site][:, 1:][torch.from_numpy(real[span])].float().numpy())
    place = np.nonzero(real)[0]
    numbers = np.array([clusters.index(name) for name in packed.row_domains[rows].tolist()])
    return Recorded(
        states=np.concatenate(kept),
        cluster=numbers[place],
        document=sources_of(packed, rows)[place],
        row=place,
        token_id=packed.tokens[rows][:, 1:][real],
    )


def _inputs(model: PreTrainedModel, packed: Packed, rows: Int[np.ndarray, "row"]) -> dict[str, torch.Tensor]:
    """The arguments of a forward pass; a decoder beside an encoder reads the same text."""
    tokens = torch.from_numpy(packed.tokens[rows])
    real = np.arange(packed.context + 1)[None, :] <= packed.lengths[rows][:, None]
    inputs = {"input_ids": tokens, "attention_mask": torch.from_numpy(real.astype(np.int64))}
    both = family_of(model.config.model_type).objective == "seq2seq"
    return inputs | ({"decoder_input_ids": tokens} if both else {})
