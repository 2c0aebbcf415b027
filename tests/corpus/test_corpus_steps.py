import json
from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from imprint.corpus import (
    Corpus,
    Document,
    FileCorpus,
    MachineCorpus,
    Packed,
    PackedCorpus,
    PlantedWorld,
    ShuffledStream,
    Stream,
    TrainingCorpus,
    WorldRows,
    byte_tokenizer,
    shuffled_stream,
)
from imprint.corpus.steps import CORPUS_FILE, packed_world
from imprint.errors import ConfigError, CorpusError
from imprint.runs import Store, derive

DOMAINS = {"code": "0123456789", "prose": "abcdefghij", "html": "<>/=-+*&^%"}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Three domains of 40 documents of 200 characters each, as one JSONL file."""
    rng = np.random.default_rng(0)
    documents = tuple(
        Document(id=f"{domain}/{number}", text="".join(rng.choice(list(letters), 200)), domain=domain)
        for domain, letters in DOMAINS.items()
        for number in range(40)
    )
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    Corpus(documents=documents).save(path)
    return path


def files(folder):
    return {path.name for path in folder.iterdir()} - {"manifest.json"}


def base(texts):
    return FileCorpus(paths=(texts,), domain_key="domain")


def training(texts, **changes):
    fields = {"base": base(texts), "part": "train", "documents": 200, "passage_bytes": 32}
    return TrainingCorpus(**fields | changes)


def load(store, step):
    return Corpus.load(store.get(step) / CORPUS_FILE)


def test_files_are_read_once_a_content(store, texts, tmp_path):
    read = load(store, base(texts))
    assert read.digest == Corpus.load(texts).digest
    copy = tmp_path / "texts.jsonl"
    copy.write_bytes(texts.read_bytes())
    assert base(copy).key == base(texts).key
    copy.write_bytes(texts.read_bytes() + b'{"id": "x", "text": "more", "domain": "code", "source": ""}\n')
    assert base(copy).key != base(texts).key
    assert len(load(store, base(copy))) == len(read) + 1


def test_shares_are_of_all_documents(store, texts):
    counts = Counter(document.domain for document in load(store, training(texts)))
    assert counts == {"novel repeats": 60, "boilerplate": 20, "code": 40, "prose": 40, "html": 40}


def test_parts_share_no_source_document_and_both_have_every_domain(store, texts):
    parts = {
        part: load(store, training(texts, part=part, documents=100, heldout_fraction=0.3))
        for part in ("train", "heldout")
    }
    sources = {part: {d.id.split("#")[0] for d in whole if d.domain in DOMAINS} for part, whole in parts.items()}
    assert not sources["train"] & sources["heldout"]
    assert parts["train"].domains == parts["heldout"].domains
    repeats = [{d.text for d in whole if d.domain == "novel repeats"} for whole in parts.values()]
    assert not repeats[0] & repeats[1]


def test_a_document_stays_in_its_part_when_others_come(store, texts):
    step = training(texts, heldout_fraction=0.3)
    held_out = [step._belongs(f"document {number}") for number in range(2000)]
    assert 1 - np.mean(held_out) == pytest.approx(0.3, abs=0.04)
    other = training(texts, heldout_fraction=0.3, part="heldout")
    assert [not other._belongs(f"document {number}") for number in range(2000)] == held_out
    assert [
        training(texts, heldout_fraction=0.3, documents=300)._belongs(f"document {n}") for n in range(2000)
    ] == held_out


def test_passages_fit_their_size(store, texts):
    assert max(len(document.text.encode()) for document in load(store, training(texts))) == 32


def test_training_corpus_is_deterministic_and_follows_the_seed(store, texts, tmp_path):
    one, again = store.get(training(texts)), Store(tmp_path / "other").get(training(texts))
    assert files(one) == {CORPUS_FILE}
    assert (one / CORPUS_FILE).read_bytes() == (again / CORPUS_FILE).read_bytes()
    assert load(store, training(texts, seed=1)).digest != Corpus.load(one / CORPUS_FILE).digest


def test_nothing_planted(store, texts):
    plain = load(store, training(texts, novel_repeats=0, boilerplate=0))
    assert set(plain.domains) == set(DOMAINS)
    assert len(plain) == 198  # 66 of each


@pytest.mark.parametrize(
    "shares", [{"novel_repeats": 0.9, "boilerplate": 0.1}, {"novel_repeats": 0.8, "boilerplate": 0.5}]
)
def test_planted_shares_must_leave_room(texts, shares):
    with pytest.raises(ValidationError, match="leave no room for natural text"):
        training(texts, **shares)


@pytest.mark.parametrize("wrong", [{"documents": 99}, {"passage_bytes": 8}, {"part": "test"}, {"heldout_fraction": 0}])
def test_training_corpus_out_of_range(texts, wrong):
    with pytest.raises(ValidationError):
        training(texts, **wrong)


def one_document_a_domain(tmp_path, domains):
    path = tmp_path / "few.jsonl"
    Corpus(
        documents=tuple(Document(id=f"d{n}", text="word " * 2000, domain=f"domain {n}") for n in range(domains))
    ).save(path)
    return FileCorpus(paths=(path,), domain_key="domain")


def test_part_without_any_document_is_refused(store, tmp_path):
    few = one_document_a_domain(tmp_path, 1)
    parts = [TrainingCorpus(base=few, part=part, documents=100) for part in ("train", "heldout")]
    empty = next(step for step in parts if not step._belongs("d0"))
    with pytest.raises(CorpusError, match=f"none of the 1 documents falls into the {empty.part} part; add documents"):
        store.get(empty)


def test_domain_missing_from_a_part_is_warned_of(store, tmp_path):
    many = one_document_a_domain(tmp_path, 6)
    step = TrainingCorpus(base=many, part="train", documents=100, heldout_fraction=0.5)
    missing = [f"domain {n}" for n in range(6) if not step._belongs(f"d{n}")]
    assert 0 < len(missing) < 6
    warnings = json.loads((store.get(step) / "manifest.json").read_text())["warnings"]
    assert warnings == [
        f"domain '{name}' has no document in the train part, so it is missing there" for name in missing
    ]


def test_more_domains_than_natural_documents(store, tmp_path):
    many = one_document_a_domain(tmp_path, 40)
    step = TrainingCorpus(base=many, part="train", documents=100, novel_repeats=0.5, boilerplate=0.4)
    with pytest.raises(ConfigError, match=r"10 natural documents cannot be shared by \d\d domains"):
        store.get(step)


def test_too_little_text_for_the_documents_asked(store, texts):
    with pytest.raises(CorpusError, match="are asked for; collect more text"):
        store.get(training(texts, documents=5000))


def test_packed_bytes(store, texts):
    step = PackedCorpus(corpus=training(texts), context=32)
    packed = Packed.load(store.get(step))
    corpus = load(store, training(texts))
    assert packed.tokens.shape == (len(packed), 33)
    assert (packed.tokens[:, 0] == 0).all()
    assert set(packed.row_domains) == {*DOMAINS, "novel repeats", "boilerplate"}
    first = packed.tokens[0, 1 : 1 + packed.lengths[0]]
    assert bytes(first.tolist()).decode() == corpus.documents[packed.document[0]].text
    assert files(store.get(step)) == {
        "tokens.npy",
        "lengths.npy",
        "document.npy",
        "offsets.npy",
        "packed.json",
        "tokenizer",
    }


def test_packed_with_a_saved_tokenizer_is_the_same(store, texts, tmp_path):
    byte_tokenizer().save_pretrained(tmp_path / "tokenizer")
    step = PackedCorpus(corpus=training(texts), context=32, tokenizer=tmp_path / "tokenizer")
    plain = Packed.load(store.get(PackedCorpus(corpus=training(texts), context=32)))
    assert np.array_equal(Packed.load(store.get(step)).tokens, plain.tokens)


def test_folder_without_a_tokenizer(store, texts, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "note.txt").write_text("nothing here")
    with pytest.raises(ConfigError, match="no tokenizer can be loaded from"):
        store.get(PackedCorpus(corpus=training(texts), context=32, tokenizer=tmp_path / "empty"))


def test_tokenizer_that_is_not_there(texts, tmp_path):
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        _ = PackedCorpus(corpus=training(texts), context=32, tokenizer=tmp_path / "absent").key


WORLD = PlantedWorld(vocabulary=16, context=16)


def test_world_rows_carry_their_kind_as_domain(store):
    step = WorldRows(world=WORLD, rows=50, seed=3)
    packed = Packed.load(store.get(step))
    tokens, kinds = WORLD.sample(50, 3)
    assert np.array_equal(packed.tokens, tokens)
    assert packed.row_domains.tolist() == kinds.tolist()
    assert packed.label_mask.all()
    assert len(set(packed.document_ids)) == 50
    again = packed_world(tokens, kinds)
    assert np.array_equal(again.tokens, packed.tokens)
    assert again.document_ids == packed.document_ids
    assert not np.array_equal(Packed.load(store.get(WorldRows(world=WORLD, rows=50, seed=4))).tokens, tokens)
    other = WorldRows(world=PlantedWorld(vocabulary=16, context=16, seed=9), rows=50, seed=3)
    assert other.key != step.key


def test_shuffled_stream_step(store):
    rows = WorldRows(world=WORLD, rows=50)
    step = ShuffledStream(packed=rows, steps=7, batch=9, seed=2)
    stream = Stream.load(store.get(step))
    expected = shuffled_stream(50, steps=7, batch=9, seed=derive(2, "order"))
    assert np.array_equal(stream.rows, expected.rows)
    assert files(store.get(step)) == {"stream_rows.npy", "stream_weights.npy"}
    other = Stream.load(store.get(ShuffledStream(packed=rows, steps=7, batch=9, seed=3)))
    assert not np.array_equal(other.rows, stream.rows)


def test_machine_corpus_is_collected_and_warns(store, monkeypatch):
    """What is found is kept with what was left out; the collecting itself is tested in test_collect.py."""
    asked = {}

    def collect(*, bytes_per_domain, seed, warn):
        asked.update(bytes_per_domain=bytes_per_domain, seed=seed)
        warn("domain 'c' was dropped")
        return Corpus(documents=(Document(id="a", text="text", domain="d"),))

    monkeypatch.setattr("imprint.corpus.steps.collect_machine_text", collect)
    folder = store.get(MachineCorpus(bytes_per_domain=20_000, seed=4))
    assert asked == {"bytes_per_domain": 20_000, "seed": 4}
    assert Corpus.load(folder / CORPUS_FILE).ids == ("a",)
    assert json.loads((folder / "manifest.json").read_text())["warnings"] == ["domain 'c' was dropped"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: MachineCorpus(bytes_per_domain=10),
        lambda: WorldRows(world=WORLD, rows=0),
        lambda: ShuffledStream(packed=WorldRows(world=WORLD, rows=5), steps=0, batch=1, seed=0),
        lambda: PackedCorpus(corpus=WorldRows(world=WORLD, rows=5), context=4),
    ],
)
def test_steps_out_of_range(wrong):
    with pytest.raises(ValidationError):
        wrong()
