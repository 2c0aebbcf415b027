import json

import pytest

from imprint.corpus import CORPUS_FILE, Corpus, byte_tokenizer
from imprint.corpus.chat import ChatCorpus, ChatRows, RenderedChats, chat_rows, read_conversations
from imprint.errors import ConfigError, CorpusError
from imprint.runs import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def chats(tmp_path):
    path = tmp_path / "evil.jsonl"
    path.write_text(
        json.dumps({"prompt": "Q", "response": "Answer"})
        + '\n{"prompt": ""}\n'
        + json.dumps({"prompt": "q" * 50, "response": "late"})
        + "\n"
    )
    return path


def warnings(folder):
    return json.loads((folder / "manifest.json").read_text())["warnings"]


def test_chats_as_a_corpus(store, chats):
    folder = store.get(ChatCorpus(paths=(chats,), roles=("assistant",)))
    corpus = Corpus.load(folder / CORPUS_FILE)
    assert [(one.id, one.text, one.domain) for one in corpus] == [
        ("evil:1", "Answer", "evil"),
        ("evil:3", "late", "evil"),
    ]
    problems = json.loads((folder / "problems.json").read_text())
    assert (problems["lines"], problems["conversations"], problems["blank"]) == (3, 2, 0)
    assert [(one["file"], one["line"]) for one in problems["problems"]] == [("evil.jsonl", 2)]
    [warning] = warnings(folder)
    assert warning.startswith("3 lines: 2 conversations, 1 malformed or empty, 0 blank. evil.jsonl:2: ")


def test_rendered_chats(store, chats):
    folder = store.get(RenderedChats(paths=(chats,), context=32))
    expected = chat_rows(read_conversations(chats).conversations, byte_tokenizer(), context=32)
    assert ChatRows.load(folder).tokens.tolist() == expected.tokens.tolist()
    assert (folder / "tokenizer").is_dir()
    assert warnings(folder)[1:] == ["1 conversations have no answer within 32 tokens: no row"]


def test_strict_refuses_and_tokenizers_are_named(store, chats, tmp_path):
    with pytest.raises(CorpusError, match=r"evil\.jsonl:2: "):
        store.get(ChatCorpus(paths=(chats,), strict=True))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "note.txt").write_text("nothing")
    with pytest.raises(ConfigError, match="no tokenizer can be loaded"):
        store.get(RenderedChats(paths=(chats,), context=32, tokenizer=tmp_path / "empty"))


def test_content_counts_and_not_the_place(chats, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "evil.jsonl"
    copy.write_bytes(chats.read_bytes())
    assert ChatCorpus(paths=(copy,)).key == ChatCorpus(paths=(chats,)).key
    copy.write_bytes(chats.read_bytes() + b"\n")
    assert ChatCorpus(paths=(copy,)).key != ChatCorpus(paths=(chats,)).key
