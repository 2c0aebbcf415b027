import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from imprint.attribution import (
    BASELINES,
    CONSENSUS,
    Attribution,
    Scores,
    TopDocuments,
    TopRows,
    consensus,
    load_baselines,
    ranking,
)
from imprint.corpus import CORPUS_FILE, Corpus, Document, Packed, PlantedWorld, ShuffledStream, WorldRows
from imprint.errors import ComponentNotFound, ConfigError
from imprint.interventions.data import load_rows
from imprint.mechanisms.steps import ProbeOptions
from imprint.models import Architecture, Train
from imprint.runs import Step, Store
from imprint.stats import spearman

SHARES = {"prose": 0.5, "novel repeats": 0.3, "noise": 0.2}
ROWS = WorldRows(world=PlantedWorld(vocabulary=16, context=16, shares=SHARES), rows=60, seed=1)
SIZES = {"n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": 16, "vocab_size": 16}
RUN = Train(
    architecture=Architecture(config=SIZES | {"bos_token_id": 0, "eos_token_id": 0}),
    packed=ROWS,
    stream=ShuffledStream(packed=ROWS, steps=6, batch=16, seed=0),
    seed=0,
    checkpoint_every=6,
    last_step=6,
)
FILES = {"scores.npy", "token_scores.npy", "scores.json", "losses.npy", "baselines.npy", "manifest.json"}


def attribution(**changes):
    probe = ProbeOptions(alphabet=tuple(range(16)), rows=8, bos=None)
    return Attribution(
        **{"run": RUN, "step": 6, "packed": ROWS, "head": "L1.H0", "probe": probe, "mutant": True} | changes
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def folder(store):
    return store.get(attribution())


@pytest.fixture(scope="module")
def packed(store):
    return Packed.load(store.get(ROWS))


def test_files_and_shapes(folder, packed):
    assert {path.name for path in folder.iterdir()} == FILES
    scores = Scores.load(folder)
    names = ("log_prob", "contrastive", "attention", "off_by_one")
    assert scores.queries == (*names, *(f"{name}/dot" for name in names))
    assert scores.rows.shape == (8, 60)
    assert scores.tokens.shape == (4, 60, 16)
    assert scores.subspace == "L1.H0/qkvo"
    assert np.load(folder / "losses.npy").shape == (60,)
    assert np.load(folder / "baselines.npy").shape == (len(BASELINES), 60)
    checks = json.loads((folder / "scores.json").read_text())["checks"]
    assert max(value for name, value in checks.items() if "autograd" in name) < 1e-6
    np.testing.assert_allclose(scores.tokens.sum(-1), scores.rows[:4], rtol=1e-3, atol=1e-4 * np.abs(scores.rows).max())


def test_baselines_are_named_by_their_row(folder, packed):
    baselines = load_baselines(folder)
    assert tuple(baselines) == BASELINES
    assert np.array_equal(baselines["loss"], np.load(folder / "losses.npy"))
    assert 2 < baselines["loss"].mean() < 3.5  # near ln 16 after six steps
    assert (baselines["gradient norm"] > 0).all()
    repeats = packed.row_domains == "novel repeats"
    assert baselines["repeated bigrams"][repeats].mean() > baselines["repeated bigrams"][~repeats].mean() + 0.3


def test_same_recipe_gives_the_same_bytes(folder, tmp_path):
    again = Store(tmp_path).get(attribution())
    for name in FILES - {"manifest.json"}:
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name


def test_progress_counts_fitted_and_scored_rows(store):
    done = []
    store.get(attribution(seed=7), advance=done.append)
    assert sum(done) == 2 * 60


def test_the_seed_draws_labels_and_the_random_baseline(store, folder):
    other = store.get(attribution(seed=7))
    one, two = Scores.load(folder), Scores.load(other)
    assert not np.array_equal(one.of("log_prob"), two.of("log_prob"))
    assert np.array_equal(one.of("log_prob/dot"), two.of("log_prob/dot"))
    assert not np.array_equal(load_baselines(folder)["random"], load_baselines(other)["random"])


def test_previous_token_heads_have_one_probe(store):
    scored = store.get(attribution(head="L0.H1", parts="qk", mechanism="previous_token"))
    scores = Scores.load(scored)
    assert scores.queries == ("previous_token", "previous_token/dot")
    assert scores.subspace == "L0.H1/qk"
    with pytest.raises(ConfigError, match="no consensus"):
        ranking(scored, CONSENSUS)


def test_the_mutant_runs_only_where_it_is_asked_for(store):
    scores = Scores.load(store.get(attribution(mutant=False)))
    assert "off_by_one" not in scores.queries


def test_unknown_head_or_checkpoint(store):
    with pytest.raises(ComponentNotFound, match="heads 0 to 1"):
        store.get(attribution(head="L1.H5"))
    with pytest.raises(ConfigError, match="no checkpoint at step 5; the run has 0, 6"):
        store.get(attribution(step=5))


def test_rankings_by_name(folder):
    scores, baselines = Scores.load(folder), load_baselines(folder)
    assert np.array_equal(ranking(folder, "attention"), scores.of("attention"))
    assert np.array_equal(ranking(folder, "contrastive/dot"), scores.of("contrastive/dot"))
    assert np.array_equal(ranking(folder, "BM25"), baselines["BM25"])
    assert np.array_equal(ranking(folder, CONSENSUS), consensus(scores))
    assert spearman(ranking(folder, CONSENSUS), scores.of("log_prob")) > 0.3
    with pytest.raises(ConfigError, match=r"no ranking is called 'bm25'; choose one of consensus, log_prob.*BM25"):
        ranking(folder, "bm25")


@pytest.mark.parametrize("name", [CONSENSUS, "log_prob", "loss"])
def test_top_rows_are_the_highest(store, folder, name):
    rows = load_rows(store.get(TopRows(attribution=attribution(), ranking=name, fraction=0.25)))
    values = ranking(folder, name)
    assert len(rows) == 15
    assert np.array_equal(rows, np.unique(rows))
    rest = np.setdiff1d(np.arange(60), rows)
    assert values[rows].min() >= values[rest].max()


def test_top_rows_outside_domains_keep_their_number(store, folder, packed):
    step = TopRows(attribution=attribution(), fraction=0.25, without_domains=("novel repeats", "noise"))
    rows = load_rows(store.get(step))
    prose = np.flatnonzero(packed.row_domains == "prose")
    values = ranking(folder, CONSENSUS)
    assert len(rows) == 15
    assert set(rows) <= set(prose)
    assert values[rows].min() >= values[np.setdiff1d(prose, rows)].max()


def test_more_rows_than_are_left(store):
    with pytest.raises(ConfigError, match=r"only \d+ rows are left outside .*, 54 are asked for"):
        store.get(TopRows(attribution=attribution(), fraction=0.9, without_domains=("prose",)))


@pytest.mark.parametrize("fraction", [0, 1, -0.1])
def test_fraction_out_of_range(fraction):
    with pytest.raises(ValidationError, match="fraction"):
        TopRows(attribution=attribution(), fraction=fraction)


class RowTexts(Step):
    """The world's rows as documents, with a text as long as the offsets that a real tokenizer would have given."""

    packed: Step

    def execute(self, folder, context):
        packed = Packed.load(context.get(self.packed))
        documents = [
            Document(id=name, text=" ".join(map(str, row)), domain=domain)
            for name, domain, row in zip(packed.document_ids, packed.domains, packed.tokens.tolist(), strict=True)
        ]
        Corpus(documents=tuple(documents)).save(folder / CORPUS_FILE)


class WithOffsets(Step):
    """The world's rows with offsets into those texts."""

    packed: Step

    def execute(self, folder, context):
        packed = Packed.load(context.get(self.packed))
        offsets = np.zeros_like(packed.offsets)
        for row, tokens in enumerate(packed.tokens.tolist()):
            ends = np.cumsum([len(str(token)) + 1 for token in tokens]) - 1
            offsets[row, :, 1] = ends
            offsets[row, 1:, 0] = ends[:-1] + 1
        replace(packed, offsets=offsets).save(folder)


def test_top_documents_are_the_text_of_the_highest_rows_in_order(store):
    scored = attribution(packed=WithOffsets(packed=ROWS))
    top = TopDocuments(attribution=scored, corpus=RowTexts(packed=ROWS), ranking="log_prob", count=5)
    found = Corpus.load(store.get(top) / CORPUS_FILE).documents
    values, packed = ranking(store.get(scored), "log_prob"), Packed.load(store.get(ROWS))
    wanted = np.argsort(-values, kind="stable")[:5]
    assert [one.text for one in found] == [" ".join(map(str, packed.tokens[row, 1:])) for row in wanted]
    assert [one.domain for one in found] == packed.row_domains[wanted].tolist()
    natural = top.model_copy(update={"without_domains": ("novel repeats", "noise")})
    assert {one.domain for one in Corpus.load(store.get(natural) / CORPUS_FILE)} == {"prose"}
    with pytest.raises(ConfigError, match="are left outside"):
        store.get(top.model_copy(update={"count": 59, "without_domains": ("noise",)}))
