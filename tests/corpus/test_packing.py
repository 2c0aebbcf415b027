import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from imprint.corpus import Corpus, Document, Packed, byte_tokenizer, join, pack, packing
from imprint.errors import ConfigError, CorpusError

TOKENIZER = byte_tokenizer()


def corpus(*texts: str) -> Corpus:
    return Corpus(
        documents=tuple(Document(id=f"d{i}", text=text, domain=f"domain {i % 2}") for i, text in enumerate(texts))
    )


def word_tokenizer(**special: str) -> PreTrainedTokenizerFast:
    names = ["[PAD]", "[BOS]", "[UNK]", *"abcdefgh"]
    engine = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="[UNK]"))
    engine.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=engine, unk_token="[UNK]", **special)


def test_rows_by_hand():
    packed = pack(corpus("abcdefg", "hé", "x"), TOKENIZER, context=4, min_tokens=2)
    assert packed.tokens.tolist() == [
        [0, *b"abcd"],
        [0, *b"efg", 0],
        [0, *b"h\xc3\xa9", 0],
    ]
    assert packed.lengths.tolist() == [4, 3, 3]
    assert packed.document.tolist() == [0, 0, 1]
    assert packed.offsets.tolist() == [
        [[0, 0], [0, 1], [1, 2], [2, 3], [3, 4]],
        [[0, 0], [4, 5], [5, 6], [6, 7], [0, 0]],
        [[0, 0], [0, 1], [1, 2], [1, 2], [0, 0]],
    ]
    assert packed.document_ids == ("d0", "d1", "d2")
    assert packed.row_domains.tolist() == ["domain 0", "domain 0", "domain 1"]
    assert packed.row_ids.tolist() == ["d0", "d0", "d1"]
    assert packed.label_mask.astype(int).tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0]]
    assert (len(packed), packed.context) == (3, 4)
    assert packed.tokens.dtype == np.int64


def test_rows_of_named_documents():
    packed = pack(corpus("abcdefg", "hijk", "x"), TOKENIZER, context=4, min_tokens=2)
    assert packed.rows_of(["d0"]).tolist() == [0, 1]
    assert packed.rows_of(["d2"]).tolist() == []
    with pytest.raises(CorpusError, match="no document 'd9' among the 3"):
        packed.rows_of(["d9"])


letters = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=30)


@given(st.lists(letters.filter(str.strip), min_size=1, max_size=6), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=150)
def test_every_token_comes_back_to_its_place(texts, context, min_tokens):
    made = corpus(*texts)
    if min_tokens > context or max(len(text.encode()) for text in texts) < min_tokens:
        with pytest.raises((ConfigError, CorpusError)):
            pack(made, TOKENIZER, context=context, min_tokens=min_tokens)
        return
    packed = pack(made, TOKENIZER, context=context, min_tokens=min_tokens)
    for index, text in enumerate(texts):
        raw, rows = text.encode(), np.flatnonzero(packed.document == index)
        pieces = [raw[start : start + context] for start in range(0, len(raw), context)]
        kept = [list(piece) for piece in pieces if len(piece) >= min_tokens]
        assert [packed.tokens[row, 1 : 1 + packed.lengths[row]].tolist() for row in rows] == kept
        for row in rows:
            for place in range(1, 1 + packed.lengths[row]):
                start, end = packed.offsets[row, place]
                assert packed.tokens[row, place] in text[start:end].encode()
    assert (packed.tokens[:, 0] == 0).all()
    assert (packed.tokens[:, 1:][~packed.label_mask] == 0).all()
    assert (packed.offsets[:, 1:][~packed.label_mask] == 0).all()


@given(st.lists(letters, min_size=1, max_size=6))
@settings(max_examples=100)
def test_fast_and_general_ways_agree(texts):
    fast, general = packing._bytes_of(texts), packing._tokens_of(texts, TOKENIZER)
    assert fast.ids.tolist() == general.ids.tolist()
    assert fast.offsets.tolist() == general.offsets.tolist()
    assert fast.counts.tolist() == general.counts.tolist()


def test_any_fast_tokenizer_packs_with_its_own_boundaries():
    tokenizer = word_tokenizer(bos_token="[BOS]", pad_token="[PAD]", eos_token="h")
    packed = pack(corpus("a bb c", "d e"), tokenizer, context=2, min_tokens=1)
    assert packed.tokens.tolist() == [[1, 3, 2], [1, 5, 0], [1, 6, 7]]
    assert packed.offsets[:, 1:].tolist() == [[[0, 1], [2, 4]], [[5, 6], [0, 0]], [[0, 1], [2, 3]]]


def test_saved_truncation_of_the_tokenizer_does_not_shorten_documents():
    tokenizer = word_tokenizer(bos_token="[BOS]")
    tokenizer.backend_tokenizer.enable_truncation(2)
    tokenizer.backend_tokenizer.enable_padding(length=8)
    assert pack(corpus("a b c d e"), tokenizer, context=8, min_tokens=1).lengths.tolist() == [5]


@pytest.mark.parametrize(
    ("special", "boundaries"), [("cls_token", (1, 1)), ("eos_token", (1, 1)), ("bos_token", (1, 1))]
)
def test_boundaries_fall_back(special, boundaries):
    packed = pack(corpus("a b", "c"), word_tokenizer(**{special: "[BOS]"}), context=2, min_tokens=1)
    assert (packed.tokens[1, 0], packed.tokens[1, 2]) == boundaries


def test_a_tokenizer_without_boundaries_is_refused():
    with pytest.raises(ConfigError, match="no BOS, CLS or EOS"):
        pack(corpus("a b"), word_tokenizer(), context=2, min_tokens=1)


@pytest.mark.parametrize(("context", "min_tokens"), [(4, 5), (4, 0), (0, 0)])
def test_sizes_that_allow_no_row(context, min_tokens):
    with pytest.raises(ConfigError, match=f"min_tokens={min_tokens} must lie between 1 and context={context}"):
        pack(corpus("abcdef"), TOKENIZER, context=context, min_tokens=min_tokens)


def test_no_row_at_all():
    with pytest.raises(CorpusError, match=r"no document has 8 tokens \(longest of 2: 7\)"):
        pack(corpus("abcdefg", "a"), TOKENIZER, context=16)
    with pytest.raises(CorpusError, match="longest of 0: 0"):
        pack(Corpus(documents=()), TOKENIZER, context=16)


def test_order_of_documents_only_permutes_rows():
    made = corpus(*(chr(97 + i) * (9 + 7 * i) for i in range(9)))
    there = pack(made, TOKENIZER, context=16)
    back = pack(Corpus(documents=made.documents[::-1]), TOKENIZER, context=16)
    assert sorted(map(tuple, there.tokens.tolist())) == sorted(map(tuple, back.tokens.tolist()))


def test_save_and_load_are_inverse_and_byte_identical(tmp_path):
    packed = pack(corpus("abcdefghijk" * 3, "é" * 9), TOKENIZER, context=16)
    packed.save(tmp_path / "new" / "one")
    packed.save(tmp_path / "two")
    read = Packed.load(tmp_path / "new" / "one")
    for name in ("tokens", "lengths", "document", "offsets"):
        assert (getattr(read, name) == getattr(packed, name)).all()
        assert getattr(read, name).dtype == getattr(packed, name).dtype
    assert (read.document_ids, read.domains) == (packed.document_ids, packed.domains)
    for path in (tmp_path / "two").iterdir():
        assert path.read_bytes() == (tmp_path / "new" / "one" / path.name).read_bytes()


def test_load_of_an_incomplete_folder(tmp_path):
    pack(corpus("abcdefghijk"), TOKENIZER, context=16).save(tmp_path)
    (tmp_path / "offsets.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(CorpusError, match="does not hold a complete packed corpus"):
        Packed.load(tmp_path)
    with pytest.raises(CorpusError, match="does not hold a complete packed corpus"):
        Packed.load(tmp_path / "missing")


def test_twenty_megabytes_take_seconds():
    text = "The quick brown fox é 😀 jumps over the lazy dog.\n" * 200
    made = corpus(*(f"{i} {text}" for i in range(1900)))
    begin = time.process_time()
    packed = pack(made, TOKENIZER, context=128)
    assert time.process_time() - begin < 10
    assert packed.lengths.sum() > 19_000_000


@pytest.mark.real
@pytest.mark.skipif("IMPRINT_DATA" not in os.environ, reason="IMPRINT_DATA is not set")
def test_gpt2_tokens_point_back_at_the_text():
    path = Path(os.environ["IMPRINT_DATA"]) / "tokenizers" / "gpt2" / "tokenizer.json"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path), bos_token="<|endoftext|>")
    text = "Naïve café 😀: the quick brown fox jumps over the lazy dog."
    packed = pack(corpus(text), tokenizer, context=64)
    assert packed.tokens[0, 0] == 50256
    assert tokenizer.decode(packed.tokens[0, 1 : 1 + packed.lengths[0]]) == text
    spans = packed.offsets[0, 1 : 1 + packed.lengths[0]]
    assert [text[start:end] for start, end in spans[-3:]] == [" lazy", " dog", "."]


def test_joined_corpora_keep_their_rows_and_names():
    one, two = (
        pack(Corpus(documents=(Document(id=name, text=name * 12, domain=name.upper()),)), byte_tokenizer(), context=10)
        for name in ("a", "b")
    )
    whole = join([one, two])
    assert np.array_equal(whole.tokens, np.concatenate([one.tokens, two.tokens]))
    assert whole.row_ids.tolist() == [*one.row_ids, *two.row_ids]
    assert whole.row_domains.tolist() == [*one.row_domains, *two.row_domains]
    assert whole.rows_of(["b"]).tolist() == list(range(len(one), len(one) + len(two)))
    assert join([one]).tokens.tolist() == one.tokens.tolist()


def test_corpora_of_different_contexts_do_not_join():
    corpus = Corpus(documents=(Document(id="a", text="a" * 30, domain="d"),))
    parts = [pack(corpus, byte_tokenizer(), context=context) for context in (10, 12)]
    with pytest.raises(ConfigError, match=r"rows of \[10, 12\] tokens"):
        join(parts)
