"""Documents to rows of token ids: one document a row, right padded, with the way back to document and character."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Integer, Shaped
from transformers import PreTrainedTokenizerBase

from imprint.corpus.documents import Corpus
from imprint.corpus.tokenizer import is_byte_tokenizer
from imprint.errors import ConfigError, CorpusError
from imprint.runs.files import read_json, write_json, writing

_BATCH = 256
_ARRAYS = ("tokens", "lengths", "document", "offsets")


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """Rows ready for a causal model: inputs are `tokens[:, :-1]`, labels `tokens[:, 1:]`.

    Column 0 holds BOS; `lengths` counts the real tokens after it, so label position p is real iff p < length.
    `document` indexes `document_ids` and `domains`, which name every document of the corpus, also those without a row.
    `offsets` are the [start, end) characters of each token in its document's text; (0, 0) for BOS and padding.
    """

    tokens: Int[np.ndarray, "row seq_plus_1"]
    lengths: Int[np.ndarray, "row"]
    document: Int[np.ndarray, "row"]
    offsets: Int[np.ndarray, "row seq_plus_1 2"]
    document_ids: tuple[str, ...]
    domains: tuple[str, ...]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.tokens)

    @property
    def context(self) -> int:
        """Most tokens that a row can hold after BOS."""
        return int(self.tokens.shape[1]) - 1

    @property
    def label_mask(self) -> Bool[np.ndarray, "row seq"]:
        """True where `tokens[:, 1:]` is text and not padding."""
        return np.arange(self.context)[None, :] < self.lengths[:, None]

    @property
    def row_ids(self) -> Shaped[np.ndarray, "row"]:
        """Document id of each row."""
        return np.asarray(np.array(self.document_ids)[self.document])

    @property
    def row_domains(self) -> Shaped[np.ndarray, "row"]:
        """Domain of each row."""
        return np.asarray(np.array(self.domains)[self.document])

    def rows_of(self, ids: Sequence[str]) -> Int[np.ndarray, "some"]:
        """Ascending indices of the rows that come from these documents.

        Raises:
            CorpusError: an id is not in the corpus.
        """
        places = {name: place for place, name in enumerate(self.document_ids)}
        unknown = [name for name in ids if name not in places]
        if unknown:
            raise CorpusError(f"no document {unknown[0]!r} among the {len(places)} packed ones.")
        return np.flatnonzero(np.isin(self.document, [places[name] for name in ids]))

    def save(self, folder: Path) -> None:
        """Write four `.npy` files and `packed.json` into `folder` (made if absent)."""
        names = {"document_ids": list(self.document_ids), "domains": list(self.domains)}
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for name in _ARRAYS:
                np.save(folder / f"{name}.npy", getattr(self, name).astype(np.int32), allow_pickle=False)
            write_json(folder / "packed.json", names)

    @classmethod
    def load(cls, folder: Path) -> "Packed":
        """Read back what `save` wrote.

        Raises:
            CorpusError: a file is missing or damaged.
        """
        try:
            arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in _ARRAYS}
            names = read_json(folder / "packed.json")
        except (OSError, ValueError, EOFError) as error:
            raise CorpusError(f"{folder} does not hold a complete packed corpus ({error}); pack it again.") from error
        arrays["tokens"] = arrays["tokens"].astype(np.int64)
        return cls(**arrays, document_ids=tuple(names["document_ids"]), domains=tuple(names["domains"]))


def join(parts: Sequence[Packed]) -> Packed:
    """Several packed corpora end to end, rows and documents in their order; a row keeps its index in the first part.

    Raises:
        ConfigError: rows of different lengths, or no part.
    """
    contexts = sorted({part.context for part in parts})
    if len(contexts) != 1:
        raise ConfigError(
            f"rows of {contexts} tokens cannot stand in one corpus; pack all parts with the same context."
        )
    shifts = np.cumsum([0, *(len(part.document_ids) for part in parts[:-1])])
    return Packed(
        tokens=np.concatenate([part.tokens for part in parts]),
        lengths=np.concatenate([part.lengths for part in parts]),
        document=np.concatenate([part.document + shift for part, shift in zip(parts, shifts, strict=True)]),
        offsets=np.concatenate([part.offsets for part in parts]),
        document_ids=tuple(chain.from_iterable(part.document_ids for part in parts)),
        domains=tuple(chain.from_iterable(part.domains for part in parts)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Encoded:
    """Token ids of all documents end to end, and how many each document has."""

    ids: Integer[np.ndarray, "token"]
    offsets: Int[np.ndarray, "token 2"]
    counts: Int[np.ndarray, "doc"]


def pack(corpus: Corpus, tokenizer: PreTrainedTokenizerBase, *, context: int, min_tokens: int = 8) -> Packed:
    """Rows of BOS + up to `context` tokens of one document; long documents give several rows, in order.

    Rows with fewer than `min_tokens` real tokens are dropped (ends of documents, very short documents). BOS falls back
    to CLS, then EOS; padding falls back to EOS, then BOS.

    Raises:
        ConfigError: sizes that allow no row, or a tokenizer without offsets or without any boundary token.
        CorpusError: no document is long enough to give a row.
    """
    if not 1 <= min_tokens <= context:
        raise ConfigError(f"min_tokens={min_tokens} must lie between 1 and context={context}; correct one of them.")
    bos, pad = _boundaries(tokenizer)
    encoded = _encode([document.text for document in corpus], tokenizer)
    starts, lengths, document = _rows(encoded.counts, context, min_tokens)
    if len(starts) == 0:
        longest = max(encoded.counts.tolist(), default=0)
        raise CorpusError(
            f"no document has {min_tokens} tokens (longest of {len(corpus)}: {longest}); add longer text."
        )
    tokens = np.full((len(starts), context + 1), pad, dtype=np.int64)
    offsets = np.zeros((len(starts), context + 1, 2), dtype=np.int32)
    real = np.arange(context)[None, :] < lengths[:, None]
    chosen = (starts[:, None] + np.arange(context)[None, :])[real]
    tokens[:, 0] = bos
    tokens[:, 1:][real] = encoded.ids[chosen]
    offsets[:, 1:][real] = encoded.offsets[chosen]
    return Packed(
        tokens=tokens,
        lengths=lengths,
        document=document,
        offsets=offsets,
        document_ids=corpus.ids,
        domains=tuple(document.domain for document in corpus),
    )


def _rows(
    counts: Int[np.ndarray, "doc"], context: int, min_tokens: int
) -> tuple[Int[np.ndarray, "row"], Int[np.ndarray, "row"], Int[np.ndarray, "row"]]:
    """First token (in the end-to-end array), length and document of every row that is kept."""
    rows_each = -(-counts // context)
    document = np.repeat(np.arange(len(counts)), rows_each)
    rank = np.arange(len(document)) - np.repeat(np.cumsum(rows_each) - rows_each, rows_each)
    first = (np.cumsum(counts) - counts)[document]
    lengths = np.minimum(counts[document] - rank * context, context)
    keep = lengths >= min_tokens
    return (first + rank * context)[keep], lengths[keep].astype(np.int32), document[keep].astype(np.int32)


def _boundaries(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    known = {name: getattr(tokenizer, f"{name}_token_id", None) for name in ("bos", "cls", "eos", "pad")}
    bos = next((known[name] for name in ("bos", "cls", "eos") if known[name] is not None), None)
    pad = next((known[name] for name in ("pad", "eos", "bos", "cls") if known[name] is not None), None)
    if bos is None or pad is None:
        raise ConfigError("the tokenizer has no BOS, CLS or EOS token to begin a row with; set bos_token on it.")
    return int(bos), int(pad)


def _encode(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> _Encoded:
    return _bytes_of(texts) if is_byte_tokenizer(tokenizer) else _tokens_of(texts, tokenizer)


def _bytes_of(texts: Sequence[str]) -> _Encoded:
    """What the byte tokenizer gives, in one sweep: the UTF-8 bytes, each with the character that it belongs to."""
    ids = np.frombuffer("".join(texts).encode("utf-8"), dtype=np.uint8)
    counts = np.array([len(text.encode("utf-8")) for text in texts], dtype=np.int64)
    characters = np.array([len(text) for text in texts], dtype=np.int64)
    starts_character = (ids & 0xC0) != 0x80
    position = np.cumsum(starts_character) - 1 - np.repeat(np.cumsum(characters) - characters, counts)
    return _Encoded(ids=ids, offsets=np.stack([position, position + 1], axis=1).astype(np.int32), counts=counts)


def _tokens_of(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> _Encoded:
    if not tokenizer.is_fast:
        raise ConfigError(f"{type(tokenizer).__name__} gives no offsets; use a fast tokenizer (tokenizer.json).")
    batches = list(_batches(texts, tokenizer))
    ids, offsets, counts = ([batch[part] for batch in batches] for part in range(3))
    return _Encoded(
        ids=np.concatenate([*ids, np.zeros(0, dtype=np.int32)]),
        offsets=np.concatenate([*offsets, np.zeros((0, 2), dtype=np.int32)]),
        counts=np.concatenate([*counts, np.zeros(0, dtype=np.int64)]),
    )


def _batches(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[Int[np.ndarray, "token"], Int[np.ndarray, "token 2"], Int[np.ndarray, "doc"]]]:
    for first in range(0, len(texts), _BATCH):
        found = tokenizer(
            list(texts[first : first + _BATCH]),
            add_special_tokens=False,
            truncation=False,
            padding=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        spans = list(chain.from_iterable(found["offset_mapping"]))
        yield (
            np.fromiter(chain.from_iterable(found["input_ids"]), dtype=np.int32),
            np.array(spans, dtype=np.int32).reshape(-1, 2),
            np.array([len(ids) for ids in found["input_ids"]], dtype=np.int64),
        )
