import json
import re

import numpy as np
import pytest

from imprint.corpus.clusters import Clustering, from_names
from imprint.errors import CorpusError, OutputError

LABELS = np.array([1, -1, 0, 1, 1, -1])
IDS = ("a", "b", "c", "d", "e", "f")


@pytest.fixture
def documents():
    return Clustering(unit="document", method="by hand", labels=LABELS, names=("code", "prose"), ids=IDS)


def test_sizes_shares_members_and_ids(documents):
    assert (len(documents), documents.num_clusters, documents.num_noise) == (6, 2, 2)
    assert documents.sizes.tolist() == [1, 3]
    assert documents.share("prose") == documents.share(1) == 0.5
    assert documents.members("prose").tolist() == documents.members(np.int64(1)).tolist() == [0, 3, 4]
    assert documents.slice_ids("prose") == ("a", "d", "e")


def test_noise_is_no_cluster(documents):
    """-1 must not count from the end, as it would in an array."""
    for attempt in (lambda: documents.members(-1), lambda: documents.share(-1), lambda: documents.slice_ids(-1)):
        with pytest.raises(CorpusError, match=r"there is no cluster -1; the 2 clusters are: code, prose"):
            attempt()
    assert documents.sizes.sum() == len(documents) - documents.num_noise


def test_a_small_cluster_is_named(documents):
    with pytest.raises(CorpusError, match=r"cluster 'code' has 1 document; at least 5 are needed"):
        documents.members("code", minimum=5)
    tokens = Clustering(unit="token", method="by hand", labels=np.array([0, 0, 0, 1]), names=("code", "x"))
    with pytest.raises(CorpusError, match=r"cluster 'code' has 3 tokens; at least 20 are needed"):
        tokens.members(0, minimum=20)


def test_tokens_name_no_documents():
    tokens = Clustering(unit="token", method="dbscan", labels=np.array([0]), names=("x",))
    with pytest.raises(CorpusError, match="names no documents"):
        tokens.slice_ids(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array([1, -2, 0, 1, 1, -1])}, "labels run from -2 to 1"),
        ({"labels": np.array([2, -1, 0, 1, 1, -1])}, "labels run from -1 to 2, but with 2 names"),
        ({"names": ("code", "code")}, "the cluster name 'code' occurs twice"),
        ({"ids": ("a", "a", "c", "d", "e", "f")}, "the document id 'a' occurs twice"),
        ({"ids": ()}, "a clustering of documents needs 6 ids, one a label, but has 0"),
        ({"unit": "token"}, "a clustering of tokens needs no ids, but has 6"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    fields = {"unit": "document", "method": "", "labels": LABELS, "names": ("code", "prose"), "ids": IDS}
    with pytest.raises(CorpusError, match=re.escape(message)):
        Clustering(**{**fields, **change})


def test_save_and_load(documents, tmp_path):
    documents.save(tmp_path / "deep" / "folder")
    back = Clustering.load(tmp_path / "deep" / "folder")
    assert (back.unit, back.method, back.names, back.ids) == ("document", "by hand", ("code", "prose"), IDS)
    assert back.labels.tolist() == LABELS.tolist()
    assert back.labels.dtype == np.int64


def test_damage_is_one_sentence(documents, tmp_path):
    with pytest.raises(CorpusError, match="does not hold a complete clustering"):
        Clustering.load(tmp_path)
    documents.save(tmp_path)
    facts = json.loads((tmp_path / "clustering.json").read_text())
    (tmp_path / "clustering.json").write_text(json.dumps({**facts, "extra": 1}))
    with pytest.raises(CorpusError, match="does not hold a complete clustering"):
        Clustering.load(tmp_path)
    (tmp_path / "labels.npy").write_bytes(b"not an array")
    with pytest.raises(CorpusError, match="does not hold a complete clustering"):
        Clustering.load(tmp_path)


def test_a_file_in_the_way_is_an_output_error(documents, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises((OutputError, FileExistsError)):
        documents.save(tmp_path / "taken" / "below")


def test_from_names_drops_empty_clusters():
    found = from_names(np.array([2, -1, 0]), ("a", "b", "c"), unit="token", method="m")
    assert found.names == ("a", "c")
    assert found.labels.tolist() == [1, -1, 0]
