"""Whether rows can be trained on by a model: its vocabulary, its context, its tokenizer."""

from pathlib import Path

import numpy as np
from jaxtyping import Int
from transformers import PreTrainedModel

from imprint.errors import ConfigError, ContextTooLong
from imprint.models.families import family_of
from imprint.models.loading import load_tokenizer


def check_rows(model: PreTrainedModel, tokens: Int[np.ndarray, "row seq_plus_1"]) -> None:
    """Refuse rows that do not fit the model.

    Raises:
        ConfigError: the model does not predict the next token, or the rows hold token ids that it does not have.
        ContextTooLong: the rows are longer than its context.
    """
    family = family_of(str(model.config.model_type))
    if family.objective != "causal":
        raise ConfigError(f"a '{family.model_type}' model does not predict the next token; start from a causal one")
    vocabulary, largest = int(model.config.vocab_size), int(tokens.max())
    if largest >= vocabulary:
        raise ConfigError(
            f"the rows hold token id {largest} but the model has a vocabulary of {vocabulary}; render them with the"
            " model's own tokenizer"
        )
    length, limit = tokens.shape[1] - 1, family.context(model.config)
    if limit is not None and length > limit:
        raise ContextTooLong(
            f"the rows have {length} tokens but the model's context is {limit}; render them with context={limit} or less"
        )


def check_tokenizers(model: Path, rows: Path) -> None:
    """Refuse rows of another tokenizer than the model's, where both came with one; added tokens are no difference.

    Raises:
        ConfigError: a token has one id with the model and another in the rows.
    """
    if not any(model.glob("tokenizer*")) or not any(rows.glob("tokenizer*")):
        return
    mine, theirs = load_tokenizer(model).get_vocab(), load_tokenizer(rows).get_vocab()
    for first, second in ((mine, theirs), (_turned(mine), _turned(theirs))):
        different = sorted(key for key in {*first} & {*second} if first[key] != second[key])
        if different:
            raise ConfigError(
                f"the rows were rendered with another tokenizer than the model's: {different[0]!r} is"
                f" {first[different[0]]!r} with the model and {second[different[0]]!r} in the rows; render them with the"
                " model's own"
            )


def _turned(vocabulary: dict[str, int]) -> dict[int, str]:
    return {number: token for token, number in vocabulary.items()}
