import numpy as np
import pytest

from imprint.corpus import Corpus, Document, byte_tokenizer, pack
from imprint.corpus.clusters import Clustering, characterise_tokens, token_excerpts
from imprint.errors import ConfigError


def described(**change):
    """Tokens 0-3 of two documents; cluster "odd" holds every 1 and 3, of which document 1 has more."""
    token_id = np.array([0, 1, 2, 0, 2, 1, 3, 1, 3, 0] * 20, dtype=np.int32)
    document = np.tile(np.repeat([0, 1], 5), 20)
    labels = np.where(token_id % 2 == 1, 0, np.where(token_id == 2, 1, -1))
    given = {
        "clustering": Clustering(unit="token", method="m", labels=labels, names=("odd", "two")),
        "token_id": token_id,
        "document": document,
        "domains": ("prose", "code"),
        "spell": lambda token: "abcd"[token],
    }
    return characterise_tokens(**{**given, **change})


def test_what_a_cluster_holds():
    odd, two = described()
    assert (odd.name, odd.tokens, odd.documents) == ("odd", 100, 2)
    assert odd.share == 0.5
    assert odd.domains == {"code": 0.8, "prose": 0.2}
    assert list(odd.domains) == ["code", "prose"]
    assert (two.domains, two.documents) == ({"prose": 1.0}, 1)


def test_distinctive_tokens_are_against_all_others_noise_included():
    odd, two = described()
    assert [word.word for word in odd.distinctive] == ["b", "d"]
    assert [word.word for word in two.distinctive] == ["c"]
    assert odd.distinctive[0].count == 60


def test_share_of_documents():
    odd, _ = described()
    assert odd.of_documents.estimate == pytest.approx(0.5)
    assert (odd.of_documents.n, odd.of_documents.unit) == (2, "document")


def test_lengths_must_fit():
    with pytest.raises(ConfigError, match="5 token ids and 5 documents do not fit 200 labels"):
        described(token_id=np.zeros(5, dtype=np.int32), document=np.zeros(5, dtype=np.int64))


def test_a_token_in_its_context():
    text = "The müde cat sat on the mat. " * 3
    corpus = Corpus(
        documents=(Document(id="a", text="another one here", domain="d"), Document(id="b", text=text, domain="d"))
    )
    packed = pack(corpus, byte_tokenizer(), context=20)
    place = next(
        (row, column)
        for row in range(len(packed))
        for column in range(1, 21)
        if packed.row_ids[row] == "b" and tuple(packed.offsets[row, column]) == (9, 10)
    )
    excerpt = token_excerpts(corpus, packed, row=np.array([place[0]]), position=np.array([place[1]]), characters=6)
    assert excerpt(0) == " müde ⟦c⟧at sat"
