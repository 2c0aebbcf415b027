import json

import pytest
from fake_endpoint import Answer, says, serving
from motif_schemas import LOG, schema

from imprint.corpus import Corpus, FileCorpus, Packed
from imprint.corpus.augmentation import (
    EVIDENCE_FILE,
    MOTIFS_FILE,
    REPLY_FILE,
    AskMotifs,
    ControlCorpus,
    EndpointError,
    ExtractMotifs,
    GivenMotifs,
    Limits,
    SyntheticCorpus,
    SyntheticRows,
    load_motifs,
    schema_json,
    synthetic_documents,
    synthetic_rows,
)
from imprint.corpus.steps import CORPUS_FILE
from imprint.errors import ConfigError
from imprint.runs import Store

KEY = "sk-secret-0123456789"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    path = tmp_path_factory.mktemp("logs") / "logs.jsonl"
    Corpus(documents=tuple(synthetic_documents(schema(LOG), 12, 5))).save(path)
    return FileCorpus(paths=(path,), domain_key="domain")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "plain.txt"
    path.write_text(" ".join(f"w{number * 7919 % 5000}x" for number in range(3000)))
    return FileCorpus(paths=(path,))


def test_motifs_are_extracted_with_their_evidence(store, logs):
    folder = store.get(ExtractMotifs(documents=logs))
    assert [motif.name for motif in load_motifs(folder).motifs] == ["template-0"]
    evidence = json.loads((folder / EVIDENCE_FILE).read_text())
    assert (evidence["documents"], evidence["structured"]) == (12, 12)
    assert len(evidence["motifs"][0]["documents"]) == 12
    assert evidence["motifs"][0]["difference"] < 0.1


def test_some_documents_may_be_named(store, logs):
    ids = Corpus.load(store.get(logs) / CORPUS_FILE).ids[:5]
    evidence = json.loads((store.get(ExtractMotifs(documents=logs, ids=ids)) / EVIDENCE_FILE).read_text())
    assert evidence["documents"] == 5
    assert ExtractMotifs(documents=logs, ids=ids).key != ExtractMotifs(documents=logs).key


def test_no_structure_is_a_warning_and_stops_the_synthesis(store, plain):
    folder = store.get(ExtractMotifs(documents=plain))
    assert load_motifs(folder).motifs == ()
    assert "there are no motifs" in json.loads((folder / "manifest.json").read_text())["warnings"][0]
    with pytest.raises(ConfigError, match="has no motifs"):
        store.get(SyntheticCorpus(motifs=ExtractMotifs(documents=plain), documents=3))


def test_synthetic_documents_and_rows(store, logs, tmp_path):
    motifs = ExtractMotifs(documents=logs)
    step = SyntheticCorpus(motifs=motifs, documents=7, seed=2)
    corpus = Corpus.load(store.get(step) / CORPUS_FILE)
    assert list(corpus) == synthetic_documents(load_motifs(store.get(motifs)), 7, 2, most_characters=2000)
    other = Store(tmp_path / "other").get(step)
    assert (other / CORPUS_FILE).read_bytes() == (store.get(step) / CORPUS_FILE).read_bytes()
    rows = Packed.load(store.get(SyntheticRows(motifs=motifs, rows=9, context=32, vocabulary=64, seed=1)))
    tokens, names = synthetic_rows(load_motifs(store.get(motifs)), 9, 1, length=33, vocabulary=64)
    assert (rows.tokens == tokens).all()
    assert rows.row_domains.tolist() == names.tolist()
    begun = Packed.load(store.get(SyntheticRows(motifs=motifs, rows=9, context=32, vocabulary=64, seed=1, bos=True)))
    assert begun.tokens.shape == (9, 33)
    assert (begun.tokens[:, 0] == 0).all()
    assert begun.tokens[:, 1:].min() >= 1
    assert begun.tokens.max() <= 64


def test_given_motifs_count_by_content(store, tmp_path):
    path = tmp_path / "motifs.json"
    path.write_text(json.dumps(schema_json(schema(LOG))))
    step = GivenMotifs(path=path)
    assert load_motifs(store.get(step)) == schema(LOG)
    key = step.key
    path.write_text(path.read_text().replace("sshd", "cron"))
    assert GivenMotifs(path=path).key != key
    path.write_text('{"motifs": [{"name": "a", "write": {"kind": "slot", "of": "wrod"}}]}')
    with pytest.raises(ConfigError, match=r"motifs.json: motif 0 \('a'\), field write.of: .* did you mean 'word'"):
        store.get(GivenMotifs(path=path))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read as text"):
        store.get(GivenMotifs(path=path))


def environment(monkeypatch, url):
    for name, value in {"no_proxy": "127.0.0.1", "IMPRINT_LLM_URL": url, "IMPRINT_LLM_KEY": KEY}.items():
        monkeypatch.setenv(name, value)


def test_a_model_is_asked_once_a_store_and_the_key_is_nowhere_in_it(store, logs, monkeypatch):
    step = AskMotifs(documents=logs, model="small")
    with serving(says(json.dumps(schema_json(schema(LOG))))) as fake:
        environment(monkeypatch, fake.url)
        folder = store.get(step)
        assert store.get(step) == folder
    assert len(fake.requests) == 1
    assert fake.requests[0][2]["model"] == "small"
    assert load_motifs(folder) == schema(LOG)
    assert json.loads((folder / REPLY_FILE).read_text())["repaired"] is False
    assert not [path for path in store.root.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert MOTIFS_FILE in {path.name for path in folder.iterdir()}


def test_a_failing_endpoint_leaves_nothing_and_the_next_attempt_asks_again(store, logs, monkeypatch):
    step = AskMotifs(documents=logs, model="small", limits=Limits(requests=1))
    with serving(Answer(status=500), says(json.dumps(schema_json(schema(LOG))))) as fake:
        environment(monkeypatch, fake.url)
        with pytest.raises(EndpointError):
            store.get(step)
        assert not store.has(step)
        assert load_motifs(store.get(step)) == schema(LOG)


def test_controls(store, logs, plain):
    own = Corpus.load(store.get(logs) / CORPUS_FILE)
    for control in ("renamed", "transplanted", "shuffled"):
        source = None if control == "shuffled" else plain
        made = Corpus.load(store.get(ControlCorpus(documents=logs, control=control, source=source)) / CORPUS_FILE)
        assert made.ids == tuple(f"{control}/{name}" for name in own.ids)
        assert all(old.text != new.text for old, new in zip(own, made, strict=True))
    with pytest.raises(ConfigError, match="give a source"):
        store.get(ControlCorpus(documents=logs, control="renamed"))
