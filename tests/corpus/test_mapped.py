"""A packed corpus read a chunk at a time: the same rows, never all at once."""

import numpy as np
import pytest

from imprint.corpus import MappedRows, Packed
from imprint.errors import CorpusError


def packed(rows=25, context=6):
    rng = np.random.default_rng(0)
    return Packed(
        tokens=rng.integers(0, 50, (rows, context + 1)),
        lengths=rng.integers(1, context + 1, rows),
        document=np.arange(rows) // 2,
        offsets=np.zeros((rows, context + 1, 2), dtype=np.int64),
        document_ids=tuple(f"text/{number}" for number in range(13)),
        domains=tuple("prose" if number % 2 else "code" for number in range(13)),
    )


@pytest.mark.parametrize("size", [1, 7, 25, 1000])
def test_chunks_are_the_rows_in_their_order(tmp_path, size):
    packed().save(tmp_path)
    chunks = list(MappedRows(tmp_path).chunks(size))
    assert all(len(tokens) == len(lengths) <= size for tokens, lengths in chunks)
    assert np.array_equal(np.concatenate([tokens for tokens, _ in chunks]), packed().tokens)
    assert np.array_equal(np.concatenate([lengths for _, lengths in chunks]), packed().lengths)


def test_chosen_rows_and_their_names(tmp_path):
    whole = packed()
    whole.save(tmp_path)
    mapped, chosen = MappedRows(tmp_path), np.array([3, 20, 4])
    assert (len(mapped), mapped.context, mapped.largest_token()) == (25, 6, whole.tokens.max())
    tokens, lengths = mapped.take(chosen)
    assert np.array_equal(tokens, whole.tokens[chosen])
    assert np.array_equal(lengths, whole.lengths[chosen])
    ids, domains = mapped.names(chosen)
    assert ids.tolist() == whole.row_ids[chosen].tolist()
    assert domains.tolist() == whole.row_domains[chosen].tolist()


def test_rows_stay_on_disk(tmp_path):
    packed().save(tmp_path)
    mapped = MappedRows(tmp_path)
    assert isinstance(mapped._tokens, np.memmap)
    assert not isinstance(next(iter(mapped.chunks(2)))[0], np.memmap)


def test_no_corpus(tmp_path):
    with pytest.raises(CorpusError, match="does not hold a complete packed corpus"):
        MappedRows(tmp_path)
