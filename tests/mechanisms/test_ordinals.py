import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from imprint.corpus import byte_tokenizer
from imprint.errors import ConfigError
from imprint.mechanisms import successor_pairs
from imprint.mechanisms.ordinals import DAYS


def words_tokenizer(*words):
    """Whole words, with or without the space before them, are tokens; everything else is unknown."""
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(("?", *words))}, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Split("|", "removed")
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?")


def test_bytes_have_digits_and_letters():
    """A digit and a letter are a byte each; ten, and everything with a space before it, is two."""
    pairs = successor_pairs(byte_tokenizer())
    wanted = [(code, code + 1) for first, last in ("09", "AZ", "az") for code in range(ord(first), ord(last))]
    assert sorted(pairs) == sorted(wanted)


def test_days_go_round_and_broken_rows_do_not():
    tokenizer = words_tokenizer(*DAYS, "March", "April", " five", " six", " eight", "one")
    names = {tokenizer.convert_tokens_to_ids(word): word for word in tokenizer.get_vocab()}
    pairs = {(names[one], names[two]) for one, two in successor_pairs(tokenizer)}
    week = {(day, DAYS[(number + 1) % 7]) for number, day in enumerate(DAYS)}
    assert pairs == week | {("March", "April"), (" five", " six")}


def test_too_few_pairs_are_refused():
    with pytest.raises(ConfigError, match=r"7 successor pairs .* at least 8"):
        successor_pairs(words_tokenizer(*DAYS))
    with pytest.raises(ConfigError, match="0 successor pairs"):
        successor_pairs(words_tokenizer("rose", "lily"))
