"""A tokenizer whose ids are byte values: lossless on any text, 256 ids, nothing trained, nothing downloaded."""

import json
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

BOUNDARY = "\x00"
"""Beginning, end and padding: byte 0, which no document may hold.

The special token is the NUL character itself. Its stand-in in the byte-level alphabet, U+0100, is a letter: as a
special token it would swallow every such letter of a text.
"""
_PARTS = ("model", "normalizer", "pre_tokenizer", "decoder", "added_tokens")


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Hugging Face tokenizer with 256 ids, id = byte of the UTF-8 text; byte 0 is BOS, EOS and PAD.

    It adds no special token by itself, and `AutoTokenizer.from_pretrained` restores it from `save_pretrained`. Offsets
    are character positions: the bytes of one character share one span.

    Trust: text cut inside a character decodes with replacement marks; the ids are still exact.
    """
    engine = Tokenizer(models.BPE(vocab=_vocabulary(), merges=[]))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    engine.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers annotates no constructor
        tokenizer_object=engine,
        bos_token=BOUNDARY,
        eos_token=BOUNDARY,
        pad_token=BOUNDARY,
        clean_up_tokenization_spaces=False,
    )


def is_byte_tokenizer(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether `tokenizer` is `byte_tokenizer()`, fresh or restored: every text becomes exactly its UTF-8 bytes."""
    return isinstance(tokenizer, PreTrainedTokenizerFast) and _anatomy(tokenizer) == _anatomy(byte_tokenizer())


def _anatomy(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    return {name: parts[name] for name in _PARTS}


def _vocabulary() -> dict[str, int]:
    """GPT-2's byte-level alphabet (printable bytes are themselves, the others U+0100 onwards), but NUL is itself."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(hidden)}
    letters[BOUNDARY] = letters.pop(chr(0x100))
    return letters
