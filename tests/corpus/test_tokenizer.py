import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, GPT2Config, GPTNeoXConfig, LlamaConfig, PreTrainedTokenizerFast

from imprint.corpus import byte_tokenizer, is_byte_tokenizer

TOKENIZER = byte_tokenizer()
AWKWARD = "a\x00Ā Ġ é😀\r\n\u2028\ufeff <s></s><|endoftext|>  \t\x7f\x80ÿ e\u0301 \U0010ffff."


@pytest.fixture(scope="module", params=[None, GPT2Config, GPTNeoXConfig, LlamaConfig])
def restored(request, tmp_path_factory):
    """The tokenizer read back by AutoTokenizer, alone and beside the configuration of a model."""
    folder = tmp_path_factory.mktemp("tokenizer")
    byte_tokenizer().save_pretrained(folder)
    if request.param is not None:
        request.param().save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def test_ids_are_bytes_and_boundaries_are_zero():
    assert len(TOKENIZER) == TOKENIZER.vocab_size == 256
    assert (TOKENIZER.bos_token_id, TOKENIZER.eos_token_id, TOKENIZER.pad_token_id) == (0, 0, 0)
    assert TOKENIZER(AWKWARD)["input_ids"] == list(AWKWARD.encode())


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=300)
def test_any_text_is_its_bytes_and_back(text):
    ids = TOKENIZER(text)["input_ids"]
    assert ids == list(text.encode("utf-8"))
    assert TOKENIZER.decode(ids) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=100)
def test_offsets_are_the_character_of_each_byte(text):
    expected = [(index, index + 1) for index, letter in enumerate(text) for _ in letter.encode("utf-8")]
    assert TOKENIZER(text, return_offsets_mapping=True)["offset_mapping"] == expected


def test_restored_tokenizer_is_the_same(restored):
    assert len(restored) == 256
    assert (restored.bos_token_id, restored.eos_token_id, restored.pad_token_id) == (0, 0, 0)
    assert restored(AWKWARD)["input_ids"] == list(AWKWARD.encode())
    assert restored.decode(list(AWKWARD.encode())) == AWKWARD
    assert is_byte_tokenizer(restored)


def test_every_single_byte_has_its_own_id(restored):
    tokens = restored.convert_ids_to_tokens(list(range(256)))
    assert len(set(tokens)) == 256
    assert restored.convert_tokens_to_ids(tokens) == list(range(256))


def test_padding_and_skipping_use_byte_zero():
    assert TOKENIZER(["a", "abc"], padding=True)["input_ids"] == [[97, 0, 0], [97, 98, 99]]
    assert TOKENIZER.decode([0, 97, 0], skip_special_tokens=True) == "a"


def test_the_stand_in_letter_as_special_token_would_lose_text():
    """The mutation: with U+0100 as the name of byte 0, that letter in a text becomes a boundary."""
    letters = {chr(0x100) if text == "\x00" else text: byte for text, byte in TOKENIZER.get_vocab().items()}
    engine = Tokenizer(models.BPE(vocab=letters, merges=[]))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    mutant = PreTrainedTokenizerFast(tokenizer_object=engine, bos_token="Ā")
    assert mutant("aĀ")["input_ids"] == [97, 0]
    assert TOKENIZER("aĀ")["input_ids"] == [97, 0xC4, 0x80]
    assert not is_byte_tokenizer(mutant)


def test_a_tokenizer_that_merges_is_not_the_byte_tokenizer():
    words = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    assert not is_byte_tokenizer(PreTrainedTokenizerFast(tokenizer_object=words))
    extended = byte_tokenizer()
    extended.add_tokens(["the"])
    assert not is_byte_tokenizer(extended)
