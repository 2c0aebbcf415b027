"""Every head in one pass: the scores are those of each head alone, and duplicated heads have the same rows."""

import numpy as np
import pytest
import torch
from attribution_models import CONTEXT, FAMILIES, VOCABULARY, ragged_rows, tiny

from imprint.attribution import (
    EkfacOptions,
    HeadScores,
    HeadsTransfer,
    attribute_head,
    attribute_heads,
    transfer_matrix,
)
from imprint.capabilities import repeat_probe
from imprint.corpus import Packed, PlantedWorld, ShuffledStream, WorldRows
from imprint.errors import ComponentNotFound, ConfigError, ModelError
from imprint.mechanisms.steps import ProbeOptions
from imprint.models import Anatomy, Architecture, Train, induction_transformer
from imprint.runs import Store
from imprint.stats import auc

PROBE = repeat_probe(range(1, VOCABULARY), period=4, rows=4, seed=0, bos=0, context=CONTEXT)
OPTIONS = EkfacOptions(max_rows=16)


def packed(count=24, seed=1):
    tokens, lengths = ragged_rows(count, seed=seed)
    return packed_rows(tokens.numpy(), lengths.numpy())


def packed_rows(tokens, lengths):
    count = len(tokens)
    return Packed(
        tokens=tokens,
        lengths=lengths,
        document=np.arange(count),
        offsets=np.zeros((*tokens.shape, 2), dtype=np.int64),
        document_ids=tuple(str(row) for row in range(count)),
        domains=("text",) * count,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_scores_are_those_of_each_head_alone(family):
    model = tiny(family)
    found = attribute_heads(model, packed(), PROBE, previous_token=["L0.H2", "L1.H1"], options=OPTIONS, seed=3)
    assert found.queries == ("log_prob", "contrastive", "previous_token")
    assert list(found.of("contrastive")) == [f"L{layer}.H{head}" for layer in (0, 1) for head in range(4)]
    assert list(found.of("previous_token")) == ["L0.H2", "L1.H1"]
    for head in ("L0.H2", "L1.H1"):
        alone = attribute_head(model, packed(), head, PROBE, options=OPTIONS, seed=3).scores
        for query in ("log_prob", "contrastive"):
            np.testing.assert_allclose(found.of(query)[head], alone.of(query), rtol=1e-5, atol=1e-9)
        alone = attribute_head(
            model, packed(), head, PROBE, parts="qk", mechanism="previous_token", options=OPTIONS, seed=3
        ).scores
        np.testing.assert_allclose(
            found.of("previous_token")[head],
            alone.of("previous_token"),
            rtol=1e-5,
            atol=1e-9 * np.abs(alone.rows).max(),
        )


def test_chosen_heads_have_the_scores_that_they_have_among_all():
    model = tiny()
    all_of_them = attribute_heads(model, packed(), PROBE, options=OPTIONS).of("contrastive")
    few = attribute_heads(model, packed(), PROBE, heads=["L1.H3", "L0.H0"], options=OPTIONS).of("contrastive")
    assert list(few) == ["L1.H3", "L0.H0"]
    for head, values in few.items():
        np.testing.assert_allclose(values, all_of_them[head], rtol=1e-5)


def test_a_duplicated_head_has_the_same_rows_and_others_have_not():
    model = tiny()
    one, other = (Anatomy(model).head_slices(f"L1.H{head}") for head in (1, 3))
    with torch.no_grad():
        for role in one:
            other[role].assign(model, one[role].view(model))
    scores = attribute_heads(model, packed(200), PROBE, options=OPTIONS).of("contrastive")
    np.testing.assert_allclose(scores["L1.H1"], scores["L1.H3"], rtol=1e-5, atol=1e-9)
    found = transfer_matrix(scores, {}, fraction=0.1, draws=20)
    place = found.heads.index
    assert found.overlap[place("L1.H1"), place("L1.H3")] == pytest.approx(1)
    assert found.overlap[place("L1.H1"), place("L0.H0")] < 0.9


def test_of_the_hand_built_model_only_the_two_working_heads_have_scores():
    """L0.H1 and L1.H1 write nothing; rows that repeat stand above rows that do not on the others."""
    rng = np.random.default_rng(0)
    first = np.stack([rng.permutation(np.arange(1, 30))[:8] for _ in range(60)])
    second = np.where(np.arange(60)[:, None] < 30, first, rng.integers(1, 30, first.shape))
    tokens = np.concatenate([np.zeros((60, 1), dtype=np.int64), first, second], axis=1)
    repeats = packed_rows(tokens, np.full(60, 16))
    probe = repeat_probe(range(1, 30), period=8, rows=8, seed=1, bos=0)
    scores = attribute_heads(induction_transformer(30, 17, sharpness=4.0), repeats, probe, options=OPTIONS)
    found = scores.of("contrastive")
    assert transfer_matrix(found, {}, fraction=0.1, draws=10).flat == ("L0.H1", "L1.H1")
    for head in ("L0.H0", "L1.H0"):
        assert auc(found[head], np.arange(60) < 30) > 0.5 + 3 * 0.075  # standard errors of chance


def test_checks_of_both_passes_are_kept():
    checks = attribute_heads(tiny(), packed(), PROBE, previous_token=["L0.H0"], options=OPTIONS).checks
    for name in ("alignment/contrastive", "alignment/previous_token", "split_half", "previous_token/split_half"):
        assert name in checks
    assert max(value for name, value in checks.items() if "autograd" in name) < 1e-6


def test_saved_and_loaded(tmp_path):
    found = attribute_heads(tiny(), packed(), PROBE, heads=["L0.H0", "L1.H0"], options=OPTIONS)
    found.save(tmp_path)
    again = HeadScores.load(tmp_path)
    assert again.lines == found.lines
    assert again.checks == found.checks
    assert np.array_equal(again.rows, found.rows)
    assert isinstance(again.rows, np.memmap)


def test_refusals():
    with pytest.raises(ComponentNotFound, match="heads 0 to 3"):
        attribute_heads(tiny(), packed(), PROBE, heads=["L0.H9"])
    wrong = packed()
    wrong.tokens[0, 0] = 13
    with pytest.raises(ModelError, match="vocabulary of 13"):
        attribute_heads(tiny(), wrong, PROBE)
    found = HeadScores(lines=(("L0.H0", "log_prob"),), rows=np.zeros((1, 3)), checks={})
    with pytest.raises(ConfigError, match="no query is called 'attention'; choose one of log_prob"):
        found.of("attention")


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


def test_the_step_gives_the_same_bytes_and_counts_its_rows(tmp_path):
    probe = ProbeOptions(alphabet=tuple(range(16)), rows=8, bos=None)
    step = HeadsTransfer(run=RUN, step=6, packed=ROWS, previous_token=("L0.H1",), probe=probe)
    done = []
    one = Store(tmp_path / "one").get(step, advance=done.append)
    assert sum(done) == 4 * 60  # two passes over the fitted and the scored rows
    other = Store(tmp_path / "other").get(step)
    for name in ("head_scores.npy", "head_scores.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert HeadScores.load(one).rows.shape == (2 * 4 + 1, 60)
