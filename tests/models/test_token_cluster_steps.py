import json

import numpy as np
import pytest

from imprint.corpus import Corpus, Document, FileCorpus, Packed, PackedCorpus, byte_tokenizer
from imprint.corpus.clusters import Clustering, Sheet, SheetOptions
from imprint.errors import CorpusError
from imprint.models import Activations, ActivationStore, Architecture, ImportedModel
from imprint.models.token_clusters import ClusterTokens, EpsilonDiagnostics, SampledRows, TokenSheet
from imprint.runs import Store

SITE = "L0.resid_post"
SIZES = {"n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 16, "vocab_size": 256}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store, a corpus of two domains of which one is ten times larger, and captured states of a tiny model."""
    folder = tmp_path_factory.mktemp("tokens")
    Architecture(config=SIZES | {"bos_token_id": 0, "eos_token_id": 0}).initialise(0).save_pretrained(folder / "model")
    byte_tokenizer().save_pretrained(folder / "model")
    generator = np.random.default_rng(0)
    documents = [
        Document(id=f"{domain}-{number}", text="".join(generator.choice(list(letters), 60)), domain=domain)
        for domain, letters, count in (("few", "abc ", 4), ("many", "xyz.", 40))
        for number in range(count)
    ]
    Corpus(documents=tuple(documents)).save(folder / "text.jsonl")
    corpus = FileCorpus(paths=(folder / "text.jsonl",), domain_key="domain")
    packed = PackedCorpus(corpus=corpus, context=30)
    model = ImportedModel.of(str(folder / "model"), dtype="float32")
    activations = Activations(packed=SampledRows(packed=packed, tokens=400), model=model, sites=(SITE,))
    return Store(folder / "store"), corpus, packed, activations


def clusters(made, **options):
    _, _, packed, activations = made
    return ClusterTokens(
        **{"activations": activations, "site": SITE, "tokenizer": packed, "eps": 1.5, "min_samples": 4, **options}
    )


def test_rows_are_spread_over_domains(made):
    store, _, packed, activations = made
    rows = Packed.load(store.get(activations.packed))
    tokens = {name: int(rows.lengths[rows.row_domains == name].sum()) for name in ("few", "many")}
    assert tokens == {"few": 210, "many": 210}
    whole = Packed.load(store.get(packed))
    assert rows.document_ids == whole.document_ids
    for row in range(len(rows)):
        assert (whole.tokens == rows.tokens[row]).all(axis=1).any()


def test_labels_belong_to_the_stored_tokens(made):
    store, *_ = made
    folder = store.get(clusters(made))
    divided = Clustering.load(folder)
    states = ActivationStore.open(store.get(clusters(made).activations))
    assert len(divided) == states.num_tokens
    described = json.loads((folder / "characterisation.json").read_text())
    assert [one["tokens"] for one in described] == divided.sizes.tolist()
    for number, one in enumerate(described):
        assert one["distinctive"][0]["word"] in {chr(token) for token in states.token_id[divided.members(number)]}
    assert {"quality.json", "epsilon.json"} <= {path.name for path in folder.iterdir()}


def test_sheet_shows_the_token_that_was_clustered(made):
    store, corpus, *_ = made
    step = clusters(made)
    sheet = Sheet.load(store.get(TokenSheet(corpus=corpus, clusters=step, options=SheetOptions(minimum=3))))
    states = ActivationStore.open(store.get(step.activations))
    for item in sheet.items:
        marked = item.text.partition("⟦")[2].partition("⟧")[0]
        assert marked == chr(states.token_id[int(item.member)])


def test_diagnostics(made):
    store, *_ = made
    step = EpsilonDiagnostics(activations=made[3], site=SITE, min_samples=4)
    report = json.loads((store.get(step) / "epsilon.json").read_text())
    assert len(report["candidates"]) >= 5
    assert "suggested" in report


def test_what_cannot_be_clustered(made):
    store, *_ = made
    with pytest.raises(CorpusError, match=r"all \d+ tokens are noise at eps 1e-06"):
        store.get(clusters(made, eps=1e-6, min_samples=300))
    with pytest.raises(CorpusError, match=r"fewer than min_samples \(5000\)"):
        store.get(clusters(made, min_samples=5000))
