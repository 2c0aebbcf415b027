"""Documents and token rows from a motif schema, equal for equal seeds; the n-th does not depend on how many are made."""

from random import Random

import numpy as np
from jaxtyping import Int, Shaped

from imprint.corpus.augmentation.alphabets import Alphabet, Characters, Tokens, pick
from imprint.corpus.augmentation.interpret import Writer, write
from imprint.corpus.augmentation.parts import MAX_LENGTH
from imprint.corpus.augmentation.schema import Motif, MotifSchema
from imprint.corpus.decoding import text_flaw
from imprint.corpus.documents import Document
from imprint.errors import ConfigError
from imprint.runs import derive

SYNTHETIC = "synthetic"
_TRIES = 20


def synthetic_documents(
    schema: MotifSchema, count: int, seed: int, *, most_characters: int = 4_000, first: int = 0
) -> list[Document]:
    """`count` texts of 1 to `most_characters` characters, motifs drawn by weight; domains are synthetic/<motif>.

    Ids are numbered from `first`; text n depends on schema, seed, cap and n alone.

    Raises:
        ConfigError: a schema without motifs, a motif that writes nothing, or sizes out of range.
    """
    _check(schema, count, most_characters)
    return [_document(schema, seed, most_characters, index) for index in range(first, first + count)]


def synthetic_rows(
    schema: MotifSchema, count: int, seed: int, *, length: int, vocabulary: int, first_id: int = 0
) -> tuple[Int[np.ndarray, "row length"], Shaped[np.ndarray, "row"]]:
    """`count` rows of `length` ids and the motif of each; a motif shorter than a row is written again until it is full.

    Ids lie in [first_id, first_id + vocabulary). See `Tokens` for what becomes one id.

    Trust: distances are in symbols, so a `copies` motif that was extracted from text has its distances in characters.

    Raises:
        ConfigError: a schema without motifs, a motif that writes nothing, or sizes out of range.
    """
    _check(schema, count, length)
    if vocabulary < 2 or first_id < 0:
        raise ConfigError(f"token rows need a vocabulary of 2 or more and ids from 0, not {vocabulary}, {first_id}.")
    alphabet = Tokens(vocabulary=vocabulary, first=first_id, seed=derive(seed, "constants"))
    rows, names = np.zeros((count, length), dtype=np.int64), []
    for index in range(count):
        rng = Random(derive(seed, "synthetic row", index))
        motif = _draw(schema, rng)
        rows[index] = _row(motif, alphabet, rng, length)
        names.append(motif.name)
    return rows, np.array(names, dtype=str)


def _document(schema: MotifSchema, seed: int, cap: int, index: int) -> Document:
    rng = Random(derive(seed, "synthetic document", index))
    motif = _draw(schema, rng)
    for _ in range(_TRIES):
        out = Writer(alphabet=Characters(), rng=rng, cap=cap)
        write(motif.write, out, {})
        text = "".join(map(chr, out.symbols))
        if text_flaw(text) is None:
            name = f"{SYNTHETIC}/{motif.name}"
            return Document(id=f"{name}/{index:06d}", text=text, domain=name, source=SYNTHETIC)
    raise ConfigError(f"motif '{motif.name}' wrote no usable text in {_TRIES} attempts; let it write something.")


def _row(motif: Motif, alphabet: Alphabet, rng: Random, length: int) -> list[int]:
    row: list[int] = []
    for _ in range(_TRIES + length):
        out = Writer(alphabet=alphabet, rng=rng, cap=length - len(row))
        write(motif.write, out, {})
        row += out.symbols
        if len(row) >= length:
            return row
    raise ConfigError(f"motif '{motif.name}' wrote too little for a row of {length} tokens; let it write more.")


def _draw(schema: MotifSchema, rng: Random) -> Motif:
    return schema.motifs[pick(len(schema.motifs), tuple(motif.weight for motif in schema.motifs), rng)]


def _check(schema: MotifSchema, count: int, longest: int) -> None:
    if not schema.motifs:
        raise ConfigError("the motif schema has no motifs: nothing was found to imitate; give at least one.")
    if count < 0 or not 1 <= longest <= MAX_LENGTH:
        raise ConfigError(f"cannot write {count} texts of up to {longest} symbols; lengths go from 1 to {MAX_LENGTH}.")
