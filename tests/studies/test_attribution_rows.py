import numpy as np
import pytest
from attribution_text import clustered

from imprint.corpus import CORPUS_FILE, Corpus, Packed
from imprint.errors import CorpusError
from imprint.runs import Store
from imprint.studies.attribution_rows import QUERIES, ROWS, BackgroundText


@pytest.fixture
def packed(tmp_path):
    step = clustered(tmp_path)
    folder = Store(tmp_path / "store").get(step)
    return step, Packed.load(folder / ROWS), Packed.load(folder / QUERIES)


def texts(packed):
    return [
        bytes(row[1 : 1 + length].tolist()).decode() for row, length in zip(packed.tokens, packed.lengths, strict=True)
    ]


def test_sizes_are_as_announced(packed):
    step, rows, queries = packed
    assert (len(rows), len(queries)) == (step.row_count, step.query_count) == (16, 5)
    assert rows.lengths.max() <= step.context
    assert rows.lengths.min() >= step.context // 2


def test_every_natural_query_has_rows_of_its_document_and_is_none_of_them(packed):
    step, rows, queries = packed
    for name, text in list(zip(queries.row_domains, texts(queries), strict=True))[: step.queries]:
        assert (rows.row_domains == name).sum() == step.passages
        assert text not in texts(rows)


def test_planted_rows_share_the_beginning_of_their_query_and_no_others(packed):
    step, rows, queries = packed
    written = texts(rows)
    for number in range(step.planted):
        query = texts(queries)[step.queries + number]
        first = step.documents * step.passages + number * step.copies
        own = range(first, first + step.copies)
        start = query[: round(0.6 * len(query))]
        assert [place for place, text in enumerate(written) if text.startswith(start)] == list(own)
        assert all(written[place] != query for place in own)
        assert set(rows.row_domains[list(own)]) == {queries.row_domains[step.queries + number]}


def test_the_same_seed_gives_the_same_rows_and_another_other_ones(tmp_path):
    found = [
        Packed.load(Store(tmp_path / place).get(clustered(tmp_path, seed=seed)) / ROWS)
        for place, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert np.array_equal(found[0].tokens, found[1].tokens)
    assert not np.array_equal(found[0].lengths, found[2].lengths) or texts(found[0]) != texts(found[2])


def test_background_is_every_document_that_no_row_was_cut_from(tmp_path):
    store, step = Store(tmp_path / "store"), clustered(tmp_path)
    background = Corpus.load(store.get(BackgroundText(text=step)) / CORPUS_FILE)
    assert len(background) == 12 - step.documents - step.planted
    everything = "".join(document.text for document in background)
    folder = store.get(step)
    natural = texts(Packed.load(folder / ROWS))[: step.documents * step.passages]
    assert not any(text in everything for text in [*natural, *texts(Packed.load(folder / QUERIES))])


def test_too_few_documents_are_refused(tmp_path):
    with pytest.raises(CorpusError, match="of 42 documents have 4 passages of 24 bytes"):
        Store(tmp_path / "store").get(clustered(tmp_path, documents=40))
