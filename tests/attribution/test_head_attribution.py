import numpy as np
import pytest
import torch
from attribution_models import CONTEXT, VOCABULARY, ragged_rows, tiny
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel

from imprint.attribution import (
    BASELINES,
    CONSENSUS,
    RANKINGS,
    AttributeModel,
    Scores,
    attribute_head,
    bm25_scores,
    consensus,
    embedding_scores,
    head_subspace,
    influence,
    load_baselines,
    ngram_scores,
    ranking,
    score_table,
)
from imprint.attribution.engine.ekfac import EkfacOptions
from imprint.attribution.engine.queries import induction_queries
from imprint.capabilities import repeat_probe
from imprint.corpus import Corpus, Document, FileCorpus, Packed, PackedCorpus, byte_tokenizer
from imprint.errors import ContextTooLong, ModelError
from imprint.runs import Store, derive


def packed(context=CONTEXT, vocabulary=VOCABULARY):
    tokens, lengths = ragged_rows(12, context=context, vocabulary=vocabulary)
    return Packed(
        tokens=tokens.numpy(),
        lengths=lengths.numpy(),
        document=np.arange(12),
        offsets=np.zeros((*tokens.shape, 2), dtype=np.int64),
        document_ids=tuple(f"d{row}" for row in range(12)),
        domains=("one", "two") * 6,
    )


def probe():
    return repeat_probe(range(1, VOCABULARY), period=4, rows=6, seed=0, bos=0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    attribute_head(tiny(), packed(), "L1.H1", probe(), mutant=True, seed=5).save(folder)
    return folder


def test_scores_are_those_of_influence_and_baselines_those_of_their_functions(saved):
    model, rows = tiny(), packed()
    asked = list(induction_queries(probe(), "L1.H1"))
    tokens, lengths = torch.from_numpy(rows.tokens), torch.from_numpy(rows.lengths)
    subspace = head_subspace(model, "L1.H1")
    direct, seen = influence(model, subspace, asked, tokens, lengths, EkfacOptions(), seed=derive(5, "labels"))
    scores, baselines = Scores.load(saved), load_baselines(saved)
    for name in direct.queries:
        np.testing.assert_allclose(scores.of(name), direct.of(name), rtol=1e-9)
    np.testing.assert_allclose(baselines["loss"], seen.row_losses().numpy())
    np.testing.assert_allclose(baselines["gradient norm"], seen.gradient_norms().numpy())
    np.testing.assert_allclose(baselines["repeated bigrams"], ngram_scores(rows))
    np.testing.assert_allclose(baselines["BM25"], bm25_scores(rows, probe().tokens))
    np.testing.assert_allclose(baselines["embedding"], embedding_scores(model, rows, probe().tokens))
    assert np.array_equal(np.load(saved / "losses.npy"), baselines["loss"])


def test_every_ranking_has_a_score_for_every_row(saved):
    assert {name for name in RANKINGS if ranking(saved, name).shape != (12,)} == set()
    assert len(set(RANKINGS)) == 1 + 3 + 3 + len(BASELINES)


def test_table_has_one_line_a_row_in_order(saved):
    table = score_table(saved, packed())
    assert table["document"].to_list() == [f"d{row}" for row in range(12)]
    assert table["domain"].to_list() == ["one", "two"] * 6
    scores = Scores.load(saved)
    assert table.columns[2:] == [CONSENSUS, *scores.queries, *(f"baseline: {name}" for name in BASELINES)]
    np.testing.assert_allclose(table[CONSENSUS].to_numpy(), consensus(scores))
    np.testing.assert_allclose(table["attention/dot"].to_numpy(), scores.of("attention/dot"))


def test_table_of_a_previous_token_head_has_no_consensus(tmp_path):
    attribute_head(tiny(), packed(), "L0.H1", probe(), mechanism="previous_token", parts="qk").save(tmp_path)
    table = score_table(tmp_path, packed())
    assert table.columns[2:4] == ["previous_token", "previous_token/dot"]
    assert CONSENSUS not in table.columns


def test_rows_of_another_tokenizer_are_refused():
    with pytest.raises(ModelError, match="token id 19 but the model has a vocabulary of 13; pack them with"):
        attribute_head(tiny(), packed(vocabulary=20), "L1.H1", probe())


def test_rows_longer_than_the_context_are_refused():
    with pytest.raises(ContextTooLong, match="context of 10"):
        attribute_head(tiny(), packed(context=12), "L1.H1", probe())


def test_models_that_do_not_predict_the_next_token_are_refused():
    sizes = {"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    model = BertForMaskedLM(BertConfig(vocab_size=VOCABULARY, **sizes))
    with pytest.raises(ModelError, match="a bert model does not predict the next token"):
        attribute_head(model, packed(), "L0.H0", probe())


def test_saved_model_is_attributed_with_probes_of_its_own_tokens(tmp_path):
    """A model folder with a tokenizer is all that is needed; the same model by hand gives the same numbers."""
    config = GPT2Config(
        vocab_size=256, n_positions=16, n_layer=2, n_embd=16, n_head=2, bos_token_id=0, eos_token_id=0, pad_token_id=0
    )
    torch.manual_seed(0)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")
    letters = np.random.default_rng(0).choice(list("abcdefgh"), (12, 16))
    documents = tuple(Document(id=f"d{n}", text="".join(row), domain="text") for n, row in enumerate(letters))
    Corpus(documents=documents).save(tmp_path / "texts.jsonl")
    rows = PackedCorpus(corpus=FileCorpus(paths=(tmp_path / "texts.jsonl",)), context=16, tokenizer=tmp_path / "model")
    step = AttributeModel(model=tmp_path / "model", packed=rows, head="L1.H0", probe_rows=8)
    folder = Store(tmp_path / "store").get(step)
    scores = Scores.load(folder)
    assert scores.queries[:3] == ("log_prob", "contrastive", "attention")
    assert scores.rows.shape == (6, 12)
    again = Store(tmp_path / "other").get(step)
    assert (again / "scores.npy").read_bytes() == (folder / "scores.npy").read_bytes()
    assert max(value for name, value in scores.checks.items() if "autograd" in name) < 1e-5
