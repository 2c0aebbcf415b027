import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from imprint.capabilities import ordinary_tokens
from imprint.corpus import byte_tokenizer
from imprint.errors import ConfigError
from imprint.mechanisms.steps import PRINTABLE


def words(count, special=("<s>", "</s>"), added=()):
    """A tokenizer of `count` words whose ids are ordered as they would be by how common they are."""
    vocabulary = {**{name: number for number, name in enumerate(special)}}
    vocabulary |= {f"w{number}": number + len(special) for number in range(count)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token=special[0]))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=special[0], eos_token=special[1])
    tokenizer.add_tokens(list(added))
    return tokenizer


def test_bytes_give_the_printable_ascii_ones():
    tokenizer = byte_tokenizer()
    found = ordinary_tokens(tokenizer)
    assert found == list(PRINTABLE)
    assert tokenizer.bos_token_id not in found


def test_the_most_and_the_least_common_tokens_are_left_out():
    found = ordinary_tokens(words(1000))
    assert found == list(range(2 + 50, 2 + 950))
    assert ordinary_tokens(words(1000), trim=0.2) == list(range(2 + 200, 2 + 800))
    assert ordinary_tokens(words(1000), trim=0.0) == list(range(2, 1002))


def test_special_and_added_tokens_are_left_out_before_anything_is_counted():
    found = ordinary_tokens(words(1000, added=["<tool>", "<|im_start|>"]), trim=0.0)
    assert found == list(range(2, 1002))


@pytest.mark.parametrize("count", [310, 1000])
def test_tokens_are_ascending_and_different(count):
    found = ordinary_tokens(words(count))
    assert found == sorted(set(found))


@pytest.mark.parametrize("tokenizer", [words(250), words(10)])
def test_too_few(tokenizer):
    """A small vocabulary counts only its single printable characters, of which these have none."""
    with pytest.raises(ConfigError, match="the tokenizer has only 0 ordinary tokens; random probes need at least 16"):
        ordinary_tokens(tokenizer)


def test_everything_trimmed_away():
    with pytest.raises(ConfigError, match="only 0 ordinary tokens"):
        ordinary_tokens(words(1000), trim=0.5)
