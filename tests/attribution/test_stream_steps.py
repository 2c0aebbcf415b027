"""The extreme rows of a corpus read in chunks: those of the full scoring, also after a kill."""

import numpy as np
import pytest

from imprint.attribution import AttributeModel, EkfacOptions, ExtremeRows, ExtremesOfModel, Scores, stream_steps
from imprint.attribution.engine import streaming
from imprint.corpus import FileCorpus, Packed, PackedCorpus, byte_tokenizer
from imprint.errors import ConfigError
from imprint.models import Architecture
from imprint.runs import Store

SIZES = {"n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 16, "vocab_size": 256}
CONFIG = SIZES | {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.25}
OPTIONS = EkfacOptions(max_rows=30)


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extremes")
    Architecture(config=CONFIG).initialise(0).save_pretrained(folder / "model")
    byte_tokenizer().save_pretrained(folder / "model")
    rng = np.random.default_rng(0)
    words = [
        "winter",
        "morning",
        "river",
        "x = f(y)",
        "return",
        "[i]",
        *map(hex, rng.integers(0, 1 << 24, 80).tolist()),
    ]
    (folder / "text.txt").write_text(" ".join(rng.choice(words) for _ in range(140)))
    packing = PackedCorpus(corpus=FileCorpus(paths=(folder / "text.txt",)), context=12)
    return {"model": folder / "model", "packed": packing, "head": "L1.H0", "options": OPTIONS, "seed": 2}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def scores(store, fields):
    return Scores.load(store.get(AttributeModel(**fields)))


def small_chunks(monkeypatch):
    monkeypatch.setattr(stream_steps, "CHUNK_ROWS", 7)


def test_the_rows_are_those_of_the_full_scoring(monkeypatch, store, fields, scores):
    small_chunks(monkeypatch)
    found = ExtremeRows.load(store.get(ExtremesOfModel(**fields, keep=6)))
    assert found.queries == scores.queries
    assert found.rows == scores.rows.shape[1] > 40
    for number, query in enumerate(found.queries):
        values = scores.of(query)
        high, low = (np.argsort(sign * values, kind="stable")[:6] for sign in (-1, 1))
        assert found.top[number].tolist() == high.tolist(), query
        assert found.bottom[number].tolist() == low.tolist(), query
        np.testing.assert_allclose(found.top_scores[number], values[high], rtol=1e-3)
        np.testing.assert_allclose(found.bottom_scores[number], values[low], rtol=1e-3)
    assert {"split_half", "alignment/contrastive", "training_step"} <= set(found.checks)


def test_previous_token_heads(store, fields):
    asked = fields | {"head": "L0.H1", "parts": "qk", "mechanism": "previous_token"}
    found = ExtremeRows.load(store.get(ExtremesOfModel(**asked, keep=3)))
    full = Scores.load(store.get(AttributeModel(**asked)))
    assert found.queries == ("previous_token", "previous_token/dot")
    assert found.top[0].tolist() == np.argsort(-full.of("previous_token"))[:3].tolist()


class Killed(Exception):
    pass


def test_killed_it_goes_on_after_the_last_chunk(monkeypatch, tmp_path, store, fields):
    small_chunks(monkeypatch)
    step = ExtremesOfModel(**fields, keep=6)
    whole = store.get(step)
    real, scored = streaming.score_pass, []

    def dies(model, subspace, directions, tokens, *rest, **more):
        if len(scored) == 3:
            raise Killed
        scored.append(len(tokens))
        return real(model, subspace, directions, tokens, *rest, **more)

    monkeypatch.setattr(streaming, "score_pass", dies)
    with pytest.raises(Killed):
        Store(tmp_path).get(step)
    left = []
    monkeypatch.setattr(
        streaming, "score_pass", lambda *given, **more: left.append(len(given[3])) or real(*given, **more)
    )
    monkeypatch.setattr("imprint.attribution.stream_steps.fit_factors", None)  # the factors are there already
    again = Store(tmp_path).get(step)
    rows = ExtremeRows.load(whole).rows
    assert scored == [7, 7, 7]
    assert sum(left) == rows - 21
    for path in whole.iterdir():
        if path.name != "manifest.json":
            assert path.read_bytes() == (again / path.name).read_bytes(), path.name
    assert not (again / "scratch").exists()


def test_the_whole_corpus_is_never_loaded(monkeypatch, tmp_path, store, fields):
    store.get(fields["packed"])
    monkeypatch.setattr(Packed, "load", None)
    found = ExtremeRows.load(store.get(ExtremesOfModel(**fields, keep=2)))
    assert found.top.shape == (6, 2)
    assert stream_steps.CHUNK_ROWS <= 4096


def test_more_rows_than_there_are(store, fields):
    with pytest.raises(ConfigError, match=r"the top 9999 rows were asked for, but there are \d+"):
        store.get(ExtremesOfModel(**fields, keep=9999))
