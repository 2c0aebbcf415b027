import json

import numpy as np
import pytest

from imprint.corpus import Corpus, Packed
from imprint.errors import ConfigError, CorpusError
from imprint.interventions.data import load_rows
from imprint.runs import LocalExecutor, Store
from imprint.studies import corpora, parse_study
from imprint.studies.mechanism import attributed as mechanism
from imprint.studies.mechanism.retraining import DocumentRows, read_ids, retrain_documents
from tiny_studies import bytes_of, tiny_content, write_text

HERE = LocalExecutor(workers=1)


class Heard:
    def __init__(self):
        self.messages = []

    def stage(self, name, total):
        from contextlib import nullcontext

        return nullcontext(lambda units: None)

    def message(self, text):
        self.messages.append(text)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("corpus") / "text")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("retraining")


@pytest.fixture(scope="module")
def study(text):
    return parse_study(tiny_content(text, interventions={"controls": ["loss", "length"]}), where="study.yaml")


@pytest.fixture(scope="module")
def corpus(study, out):
    return Corpus.load(Store(out / "store").get(corpora(study).train.corpus) / "corpus.jsonl")


@pytest.fixture
def listed(tmp_path):
    def write(*ids):
        (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n", encoding="utf-8")
        return tmp_path / "ids.txt"

    return write


def ids_of(corpus, domain, count):
    return [document.id for document in corpus if document.domain == domain][:count]


@pytest.fixture(autouse=True)
def any_head_will_do(monkeypatch):
    monkeypatch.setattr(mechanism, "LEAST_STRENGTH", 0.0)


def test_ids_one_a_line(tmp_path):
    (tmp_path / "ids.txt").write_text("  a b/1#0 \n\n\ré#2\r\n", encoding="utf-8")
    assert read_ids(tmp_path / "ids.txt") == ["a b/1#0", "é#2"]


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"\n \n", "is empty"), (b"\xff", "cannot be read")]
)
def test_lists_that_name_nothing(tmp_path, content, message):
    (tmp_path / "ids.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=f"the list of documents '.*ids.txt' {message}"):
        read_ids(tmp_path / "ids.txt")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_ids(tmp_path / "absent.txt")


def test_the_rows_are_those_of_the_documents(study, out, corpus, listed):
    packed = corpora(study).train
    wanted = [*ids_of(corpus, "prose", 3), *ids_of(corpus, "novel repeats", 2)]
    store = Store(out / "store")
    rows = load_rows(store.get(DocumentRows(packed=packed, ids=listed(*reversed(wanted)))))
    found = Packed.load(store.get(packed))
    assert sorted(set(found.row_ids[rows])) == sorted(wanted)
    assert np.array_equal(rows, np.unique(rows))


def test_an_unknown_document_stops_it_before_any_training(study, corpus, listed, tmp_path):
    ids = listed(*ids_of(corpus, "prose", 1), "prose-7#999999")
    with pytest.raises(CorpusError, match=r"no document 'prose-7#999999' among the \d+ packed ones"):
        retrain_documents(study, ids, tmp_path / "out", executor=HERE)
    assert not any(entry.step.endswith(".Train") for entry in Store(tmp_path / "out" / "store").list())
    assert not (tmp_path / "out" / "registration.json").exists()


@pytest.fixture(scope="module")
def deleted(study, out, corpus, tmp_path_factory):
    ids = tmp_path_factory.mktemp("ids") / "ids.txt"
    ids.write_text("\n".join(ids_of(corpus, "novel repeats", 12)))
    heard = Heard()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mechanism, "LEAST_STRENGTH", 0.0)
        return retrain_documents(study, ids, out, executor=HERE, reporter=heard), heard, ids


def test_named_documents_are_compared_with_every_control_there_can_be(deleted):
    found, _, _ = deleted
    assert (found.rows, found.window[1]) == (12, 40)
    pairs = {(item.arm, item.control, item.is_control) for item in found.effects}
    assert pairs == {
        ("delete_given", "delete_random", False),
        ("delete_given", "keep", False),
        ("delete_random", "keep", True),
        ("delete_length", "keep", True),
    }
    assert {item.effect.n for item in found.effects} == {2}


def test_a_control_that_is_left_out_is_said(deleted):
    _, heard, _ = deleted
    assert heard.messages == ["the loss-matched control needs an attribution, so it is left out"]


def test_deleting_the_repeats_costs_loss_on_repeats(deleted):
    found, _, _ = deleted
    (item,) = [
        one for one in found.effects if (one.arm, one.control, one.metric) == ("delete_given", "keep", "loss.repeats")
    ]
    assert item.effect.estimate != 0


def test_the_same_list_is_answered_from_the_store(deleted, study, out):
    found, _, ids = deleted
    before = bytes_of(out / "store", manifests=True)
    assert retrain_documents(study, ids, out, executor=HERE) == found
    assert bytes_of(out / "store", manifests=True) == before


def test_the_untouched_runs_are_shared_with_the_study(deleted, out):
    recipes = [
        entry.manifest.recipe["fields"] for entry in Store(out / "store").list() if entry.step.endswith(".Train")
    ]
    assert sum(fields["trunk"] is None for fields in recipes) == 2
    assert json.loads((out / "registration.json").read_text())["digest"]


def test_another_edit(text, out, corpus, listed):
    study = parse_study(tiny_content(text), where="x")
    found = retrain_documents(study, listed(*ids_of(corpus, "prose", 8)), out, kind="replace", executor=HERE)
    assert {item.arm for item in found.effects} == {"replace_given", "replace_random"}
