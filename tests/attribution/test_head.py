from functools import cache

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from imprint.attribution import BASELINES, EkfacOptions, HeadAttribution, Scores, attribute_head, load_baselines
from imprint.capabilities import repeat_probe
from imprint.corpus import PlantedWorld
from imprint.corpus.steps import packed_world
from imprint.errors import ComponentNotFound, ConfigError, ContextTooLong, ModelError
from imprint.models import Architecture

SIZES = {"n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": 16, "n_inner": 8, "vocab_size": 17}
WORLD = PlantedWorld(vocabulary=16, context=16, bos=True, shares={"prose": 0.6, "novel repeats": 0.4})
PROBE = repeat_probe(range(1, 17), period=7, rows=8, seed=0, bos=0)
FAST = EkfacOptions(max_rows=20)


@cache
def model():
    config = SIZES | {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.3}
    return Architecture(config=config).initialise(0).eval()


@cache
def packed(rows=30):
    return packed_world(*WORLD.sample(rows, 1))


@cache
def attributed(**changes):
    return attribute_head(model(), packed(), "L1.H0", PROBE, **{"options": FAST} | changes)


def test_losses_are_the_rows_own():
    expected = [loss.item() for loss in _row_losses()]
    np.testing.assert_allclose(attributed().losses, expected, rtol=1e-5)


def _row_losses():
    tokens = torch.from_numpy(packed().tokens)
    with torch.no_grad():
        logits = model()(tokens[:, :-1]).logits.transpose(1, 2)
    return torch.nn.functional.cross_entropy(logits, tokens[:, 1:], reduction="none").mean(1)


def test_the_gradient_norm_is_that_of_the_head():
    found = attributed().baselines[BASELINES.index("gradient norm")]
    assert found.shape == (30,)
    assert (found > 0).all()
    other = attribute_head(model(), packed(), "L1.H1", PROBE, options=FAST)
    assert not np.allclose(found, other.baselines[BASELINES.index("gradient norm")])


def test_baselines_in_the_order_of_their_names():
    found = attributed()
    assert found.baselines.shape == (len(BASELINES), 30)
    named = dict(zip(BASELINES, found.baselines, strict=True))
    assert np.array_equal(named["loss"], found.losses)
    assert ((named["random"] >= 0) & (named["random"] < 1)).all()
    repeats = packed().row_domains == "novel repeats"
    assert named["repeated bigrams"][repeats].min() > named["repeated bigrams"][~repeats].mean()
    assert ((named["embedding"] >= -1) & (named["embedding"] <= 1)).all()


def test_it_is_saved_whole(tmp_path):
    attributed().save(tmp_path)
    again = HeadAttribution(
        scores=Scores.load(tmp_path),
        losses=np.load(tmp_path / "losses.npy"),
        baselines=np.stack(list(load_baselines(tmp_path).values())),
    )
    assert tuple(load_baselines(tmp_path)) == BASELINES
    assert np.array_equal(again.scores.rows, attributed().scores.rows)
    assert np.array_equal(again.losses, attributed().losses)
    assert np.array_equal(again.baselines, attributed().baselines)


def test_the_seed_decides_what_is_drawn_and_nothing_else():
    same = attribute_head(model(), packed(), "L1.H0", PROBE, options=FAST)
    other = attributed(seed=1)
    assert np.array_equal(same.scores.rows, attributed().scores.rows)
    assert not np.array_equal(other.scores.of("log_prob"), same.scores.of("log_prob"))
    assert np.array_equal(other.scores.of("log_prob/dot"), same.scores.of("log_prob/dot"))


def test_rows_do_not_know_of_each_other():
    """The scores of a row without curvature are its own, whatever rows stand beside it."""
    half = packed_world(packed().tokens[:10], packed().row_domains[:10])
    found = attribute_head(model(), half, "L1.H0", PROBE, options=FAST)
    for name in ("log_prob/dot", "contrastive/dot", "attention/dot"):
        np.testing.assert_allclose(found.scores.of(name), attributed().scores.of(name)[:10], rtol=1e-4, atol=1e-7)


def test_probes_of_each_mechanism():
    probes = ("log_prob", "contrastive", "attention")
    assert attributed().scores.queries == (*probes, *(f"{name}/dot" for name in probes))
    assert attributed(mutant=True).scores.queries[3] == "off_by_one"
    assert attributed(mechanism="previous_token").scores.queries == ("previous_token", "previous_token/dot")
    assert attributed(parts="qk").scores.subspace == "L1.H0/qk"


def test_values_and_outputs_do_not_decide_where_a_head_looks():
    found = attributed(parts="vo").scores
    assert found.subspace == "L1.H0/vo"
    assert found.queries == ("log_prob", "contrastive", "log_prob/dot", "contrastive/dot")
    with pytest.raises(ConfigError, match="does not depend on a head's 'vo'; choose 'qk' or 'qkvo'"):
        attributed(parts="vo", mechanism="previous_token")


def test_progress_counts_rows_fitted_and_scored():
    done = []
    attribute_head(model(), packed(), "L1.H0", PROBE, options=FAST, advance=done.append)
    assert sum(done) == 20 + 30


def test_a_head_that_is_not_there():
    with pytest.raises(ComponentNotFound, match="layers 0 to 1"):
        attribute_head(model(), packed(), "L7.H0", PROBE, options=FAST)
    with pytest.raises(ComponentNotFound, match="heads 0 to 1"):
        attribute_head(model(), packed(), "L1.H2", PROBE, options=FAST)


def test_rows_beyond_the_context():
    wide = packed_world(np.ones((8, 18), dtype=np.int64), np.array(["x"] * 8))
    with pytest.raises(ContextTooLong, match="17 tokens is longer than the model's context of 16"):
        attribute_head(model(), wide, "L1.H0", PROBE, options=FAST)


def test_rows_of_another_tokenizer():
    foreign = packed_world(np.full((8, 17), 40, dtype=np.int64), np.array(["x"] * 8))
    with pytest.raises(ModelError, match="token id 40 but the model has a vocabulary of 17; pack them with"):
        attribute_head(model(), foreign, "L1.H0", PROBE, options=FAST)


def test_models_that_predict_no_next_token():
    sizes = {
        "vocab_size": 17,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
    }
    bert = BertForMaskedLM(BertConfig(**sizes, max_position_embeddings=16)).eval()
    with pytest.raises(ModelError, match="a bert model does not predict the next token"):
        attribute_head(bert, packed(), "L0.H0", PROBE, options=FAST)
