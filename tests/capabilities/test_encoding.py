import pytest
from bench_files import TOKENIZER
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from imprint.capabilities import Encoder, Request
from imprint.errors import ModelError

WORDS = ["[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "down"]


def words(**special):
    engine = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="the"))
    engine.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=engine, **special)


def encoder(objective="causal", limit=None, tokenizer=TOKENIZER):
    return Encoder(tokenizer=tokenizer, objective=objective, max_length=limit)


def one(context, continuation, **how):
    (request,), cut = encoder(**how).pairs([(context, continuation)])
    return request, cut


def text(ids):
    return bytes(ids).decode()


def test_spaces_at_the_end_of_a_context_go_to_the_continuation():
    request, _ = one("Q: 1? A: ", "two")
    assert (text(request.context), text(request.continuation)) == ("Q: 1? A:", " two")


def test_an_empty_context_becomes_the_first_token():
    request, _ = one("", "hi")
    assert (request.context, text(request.continuation)) == ((0,), "hi")
    already, _ = one("", "\x00hi")
    assert (already.context, text(already.continuation)) == ((0,), "hi")


def test_too_long_requests_lose_their_beginning_and_are_counted():
    request, cut = one("abcdef", "gh", limit=5)
    assert (text(request.context), text(request.continuation), cut) == ("cdef", "gh", 1)
    fits, none = one("abcd", "gh", limit=5)
    assert (text(fits.context), none) == ("abcd", 0)
    swallowed, _ = one("ab", "cdefgh", limit=3)
    assert (text(swallowed.context), text(swallowed.continuation)) == ("e", "fgh")


def test_a_masked_model_reads_between_its_own_tokens():
    tokenizer = words(cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    request, _ = one("the cat", " sat down", objective="masked", tokenizer=tokenizer)
    assert request == Request(context=(0, 3, 4), continuation=(5, 6), suffix=(1,))
    cut, count = one("the cat", " sat down", objective="masked", tokenizer=tokenizer, limit=5)
    assert (cut, count) == (Request(context=(0, 4), continuation=(5, 6), suffix=(1,)), 1)


def test_an_encoder_decoder_reads_context_and_answer_apart():
    request, _ = one("ab", " c", objective="seq2seq")
    assert (text(request.context), text(request.continuation)) == ("ab", " c")


@pytest.mark.parametrize(("length", "limit"), [(3, 8), (8, 8), (9, 8), (40, 8), (7, 1)])
def test_rolling_windows_are_those_of_lm_eval(length, limit):
    tokens = [1 + n % 99 for n in range(length)]
    found = encoder(limit=limit).rolling(text(tokens))
    theirs = map(make_disjoint_window, get_rolling_token_windows(tokens, 0, min(limit, length), 1))
    assert [(list(request.context), list(request.continuation)) for request in found] == [
        (list(context), list(answer)) for context, answer in theirs
    ]
    assert [token for request in found for token in request.continuation] == tokens


def test_what_cannot_be_encoded():
    with pytest.raises(ModelError, match="no token of its own"):
        one("the", "", tokenizer=words())
    with pytest.raises(ModelError, match="no BOS, EOS, CLS or pad"):
        one("", "cat", tokenizer=words())
    assert encoder().rolling("") == []
