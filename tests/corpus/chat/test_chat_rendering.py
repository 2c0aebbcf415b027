import numpy as np
import pytest
from chat_tokenizers import CHATML, HIDING, MARKED, NO_SYSTEM, THINKING, chat_tokenizer, talk

from imprint.corpus import byte_tokenizer
from imprint.corpus.chat import render_chat
from imprint.errors import ConfigError, CorpusError

LONG = talk("What?", "Yes.", "Why é?", "Yes.", system="Be brief.")


def learnt(rendered, tokenizer):
    """Stretches of tokens with loss, decoded."""
    edges = np.flatnonzero(np.diff(rendered.loss.astype(int), prepend=0, append=0)).reshape(-1, 2)
    return [tokenizer.decode(rendered.tokens[start:end]) for start, end in edges]


def test_plain_template_byte_by_byte():
    rendered = render_chat(LONG, byte_tokenizer())
    prompts = ("\0System:\nBe brief.\n\nUser:\nWhat?\n\nAssistant:\n", "\n\nUser:\nWhy é?\n\nAssistant:\n")
    pieces = [(prompts[0], False), ("Yes.\0", True), (prompts[1], False), ("Yes.\0", True)]
    assert bytes(rendered.tokens.tolist()) == "".join(text for text, _ in pieces).encode()
    assert rendered.loss.tolist() == [answer for text, answer in pieces for _ in text.encode()]


@pytest.mark.parametrize("template", [CHATML, THINKING, MARKED])
def test_answers_and_their_ends_are_learnt_and_nothing_else(template):
    tokenizer = chat_tokenizer(template)
    rendered = render_chat(LONG, tokenizer)
    assert learnt(rendered, tokenizer) == ["Yes.<|im_end|>", "Yes.<|im_end|>"]
    turns = [{"role": message.role, "content": message.content} for message in LONG.messages]
    assert tokenizer.decode(rendered.tokens) == tokenizer.apply_chat_template(turns, tokenize=False)


def test_finding_answers_agrees_with_the_templates_own_marks():
    found, marked = (render_chat(LONG, chat_tokenizer(template)) for template in (CHATML, MARKED))
    assert found.tokens.tolist() == marked.tokens.tolist()
    assert found.loss.tolist() == marked.loss.tolist()


def test_an_answer_that_repeats_its_question_or_the_stand_in_is_found_in_its_place():
    tokenizer = chat_tokenizer(CHATML)
    for word in ("same", "ANSWER", "assistant"):
        rendered = render_chat(talk(word, word, word, word), tokenizer)
        assert learnt(rendered, tokenizer) == [f"{word}<|im_end|>"] * 2
        assert not rendered.loss[:10].any()


def test_trimmed_content():
    tokenizer = chat_tokenizer(THINKING)
    assert learnt(render_chat(talk("Q", " A \n"), tokenizer), tokenizer) == ["A<|im_end|>"]


def test_templates_that_refuse_or_hide():
    with pytest.raises(CorpusError, match=r"refuses conversation 'c' \(no system role\)"):
        render_chat(LONG, chat_tokenizer(NO_SYSTEM))
    assert render_chat(talk("Q", "A"), chat_tokenizer(NO_SYSTEM)).loss.any()
    with pytest.raises(ConfigError, match="does not show turn 2 of conversation 'c'"):
        render_chat(talk("Q", "A"), chat_tokenizer(HIDING))


def test_plain_template_needs_an_end():
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ConfigError, match="no EOS token"):
        render_chat(LONG, tokenizer)
