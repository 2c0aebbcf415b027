"""Which tokens random probes are drawn from."""

from transformers import PreTrainedTokenizerBase

from imprint.errors import ConfigError


def ordinary_tokens(tokenizer: PreTrainedTokenizerBase, *, trim: float = 0.05) -> list[int]:
    """The tokenizer's ids without special and added tokens, and without the most and the least common ones.

    Token ids of BPE and Unigram vocabularies are ordered by how common the tokens are, so the first and last `trim` of
    the remaining ids are left out (Olsson et al. exclude them by frequency). A byte-level vocabulary of up to 300 ids
    gives the printable ASCII bytes.

    Raises:
        ConfigError: fewer than 16 tokens are left.
    """
    special = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    ids = sorted(set(tokenizer.get_vocab().values()) - special)
    if len(ids) <= 300:
        kept = [token for token in ids if _is_printable_ascii(str(tokenizer.decode([token])))]
    else:
        drop = int(len(ids) * trim)
        kept = ids[drop : len(ids) - drop]
    if len(kept) < 16:
        raise ConfigError(f"the tokenizer has only {len(kept)} ordinary tokens; random probes need at least 16")
    return kept


def _is_printable_ascii(text: str) -> bool:
    return len(text) == 1 and text.isascii() and text.isprintable()
