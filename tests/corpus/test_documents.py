import dataclasses
import hashlib
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprint.corpus import Corpus, Document
from imprint.errors import CorpusError, OutputError


def corpus(*names: str, domain: str = "d") -> Corpus:
    return Corpus(documents=tuple(Document(id=name, text=f"text of {name}", domain=domain) for name in names))


@pytest.mark.parametrize("text", ["", " \n", "a\x00b", "a\udc80"])
def test_unusable_text_is_refused_with_the_id(text):
    with pytest.raises(CorpusError, match="the text of document 'x y'"):
        Document(id="x y", text=text, domain="d")


def test_unusable_names_are_refused():
    with pytest.raises(CorpusError, match="the id of document"):
        Document(id="", text="t", domain="d")
    with pytest.raises(CorpusError, match="the domain of document"):
        Document(id="a", text="t", domain=" ")
    with pytest.raises(CorpusError, match="the source of document"):
        Document(id="a", text="t", domain="d", source="\udc80")


def test_documents_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Document(id="a", text="t", domain="d").text = "u"  # type: ignore[misc]


def test_duplicate_ids_are_refused():
    with pytest.raises(CorpusError, match="1 document ids occur twice, first 'b'"):
        corpus("a", "b", "b")


def test_digest_commits_to_id_domain_text_and_order_but_not_to_source():
    one = Document(id="a", text="t", domain="d", source="here")
    base = Corpus(documents=(one, Document(id="b", text="u", domain="e")))
    same = Corpus(documents=(dataclasses.replace(one, source="there"), base.documents[1]))
    others = [
        Corpus(documents=(dataclasses.replace(one, **{field: "z"}), base.documents[1]))
        for field in ("id", "text", "domain")
    ]
    assert base.digest == same.digest
    assert len({base.digest, Corpus(documents=base.documents[::-1]).digest, *(other.digest for other in others)}) == 5


def test_digest_keeps_neighbouring_fields_apart():
    first = Corpus(documents=(Document(id="ab", text="t", domain="c"),))
    second = Corpus(documents=(Document(id="a", text="t", domain="bc"),))
    assert first.digest != second.digest


def test_digest_is_sha_256_over_length_prefixed_fields():
    raw = b"".join(len(field).to_bytes(8, "big") + field for field in (b"a", b"d", b"text of a"))
    assert corpus("a").digest == hashlib.sha256(raw).hexdigest()


def test_domains_are_sorted_and_may_hold_spaces():
    both = corpus("a", domain="novel repeats").extended(corpus("b", "c", domain="c headers"))
    assert both.domains == ("c headers", "novel repeats")
    assert {name: part.ids for name, part in both.by_domain().items()} == {
        "c headers": ("b", "c"),
        "novel repeats": ("a",),
    }
    assert len(both) == 3
    assert [document.id for document in both] == ["a", "b", "c"]


def test_select_keeps_the_order_asked_and_refuses_strangers():
    assert corpus("a", "b", "c").select(["c", "a"]).ids == ("c", "a")
    with pytest.raises(CorpusError, match=r"no document 'x' in this corpus of 2 \(2 of 3 ids are unknown\)"):
        corpus("a", "b").select(["a", "x", "y"])
    with pytest.raises(CorpusError, match="occur twice"):
        corpus("a", "b").select(["a", "a"])


def test_slice_is_the_same_whatever_the_order_and_changes_with_content():
    whole = corpus("a", "b", "c")
    assert whole.slice(["c", "a"]) == whole.slice(["a", "c"])
    assert whole.slice(["c", "a"]).ids == ("a", "c")
    assert len(whole.slice(["a", "c"])) == 2
    changed = Corpus(documents=(dataclasses.replace(whole.documents[0], text="other"), *whole.documents[1:]))
    assert changed.slice(["a", "c"]).digest != whole.slice(["a", "c"]).digest
    assert changed.slice(["b", "c"]) == whole.slice(["b", "c"])


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(str.strip)


@given(st.dictionaries(texts, st.tuples(texts, texts, texts), max_size=4))
def test_save_and_load_are_inverse(tmp_path_factory, fields):
    made = Corpus(documents=tuple(Document(id=k, text=t, domain=d, source=s) for k, (t, d, s) in fields.items()))
    path = tmp_path_factory.mktemp("corpus") / "new folder" / "corpus.jsonl"
    made.save(path)
    assert Corpus.load(path) == made
    assert Corpus.load(path).digest == made.digest
    assert os.listdir(path.parent) == ["corpus.jsonl"]


def test_save_replaces_and_says_where_it_cannot(tmp_path):
    path = tmp_path / "c.jsonl"
    corpus("a").save(path)
    corpus("b").save(path)
    assert Corpus.load(path).ids == ("b",)
    with pytest.raises(OutputError, match="cannot write"):
        corpus("a").save(path / "below" / "c.jsonl")


def test_load_names_the_line_and_the_missing_key(tmp_path):
    path = tmp_path / "c.jsonl"
    corpus("a").save(path)
    path.write_text(path.read_text() + '{"id": "b", "text": "t", "source": ""}\n')
    with pytest.raises(CorpusError, match=r"c\.jsonl:2 has no key 'domain'"):
        Corpus.load(path)


def test_equal_content_in_any_construction_has_equal_digest():
    names = [f"n{i}" for i in range(20)]
    shuffled = names[:]
    random.Random(1).shuffle(shuffled)
    assert corpus(*shuffled).select(names).digest == corpus(*names).digest
