import numpy as np
import pytest
from chat_tokenizers import CHATML, chat_tokenizer, talk

from imprint.corpus import byte_tokenizer
from imprint.corpus.chat import ChatRows, chat_rows, render_chat
from imprint.errors import ConfigError, CorpusError

TALKS = [talk("Q", "short", name="a"), talk("Q", "x" * 60, name="b"), talk("q" * 90, "late", name="c")]


def test_labels_line_up_with_the_next_token():
    tokenizer = chat_tokenizer(CHATML)
    rows = chat_rows(TALKS[:2], tokenizer, context=200)
    assert rows.ids == ("a", "b")
    for row, talked in enumerate(TALKS[:2]):
        rendered = render_chat(talked, tokenizer)
        assert rows.lengths[row] == len(rendered.tokens) - 1
        assert rows.tokens[row, 1:][rows.label_mask[row]].tolist() == rendered.tokens[rendered.loss].tolist()
        assert not rows.label_mask[row, rows.lengths[row] :].any()
    assert rows.tokens.shape[1] == rows.label_mask.shape[1] + 1 == max(rows.lengths) + 1


def test_what_does_not_fit_is_named():
    rows = chat_rows(TALKS, byte_tokenizer(), context=50)
    assert (rows.ids, rows.truncated, rows.without_answer) == (("a", "b"), ("b",), ("c",))
    assert rows.tokens.shape == (2, 51)
    assert rows.label_mask[1].sum() == 51 - len("\0User:\nQ\n\nAssistant:\n")
    assert len(rows) == 2


def test_saved_and_loaded(tmp_path):
    rows = chat_rows(TALKS, byte_tokenizer(), context=50)
    rows.save(tmp_path / "rows")
    again = ChatRows.load(tmp_path / "rows")
    for name in ("tokens", "lengths", "label_mask"):
        assert np.array_equal(getattr(again, name), getattr(rows, name))
    assert (again.ids, again.truncated, again.without_answer) == (rows.ids, rows.truncated, rows.without_answer)
    (tmp_path / "rows" / "lengths.npy").unlink()
    with pytest.raises(CorpusError, match="render them again"):
        ChatRows.load(tmp_path / "rows")


def test_nothing_fits():
    with pytest.raises(CorpusError, match="none of 1 conversations has an answer within 10 tokens"):
        chat_rows(TALKS[2:], byte_tokenizer(), context=10)
    with pytest.raises(ConfigError, match="context=0"):
        chat_rows(TALKS, byte_tokenizer(), context=0)
