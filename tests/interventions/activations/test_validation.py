import numpy as np
import pytest
import torch
from tiny_families import inputs, tiny

from imprint.errors import ConfigError
from imprint.interventions.activations import Intervention, Noise, Zero, attention_change, intervene, loss_change
from imprint.models import attention_patterns

NOISE = Intervention(site="L0.resid_post", edit=Noise(seed=1, rms=1.0), dose=0.5)
NOTHING = Intervention(site="L0.resid_post", edit=Zero(), dose=0.0)


def texts(name, rows=12, seed=1):
    return [inputs(name, batch=4, seed=seed + index) for index in range(rows // 4)]


def test_losses_are_those_of_the_full_pass_and_rows_count_through_batches():
    model, batches = tiny("llama"), texts("llama")
    change = loss_change(model, [NOISE], batches, name="code")
    ids = torch.cat([batch["input_ids"] for batch in batches])
    for found, context in ((change.before, None), (change.after, [NOISE])):
        with torch.no_grad():
            if context is None:
                output = model(ids).logits
            else:
                with intervene(model, context):
                    output = model(ids).logits
        wanted = torch.nn.functional.cross_entropy(output[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none").mean(1)
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5)
    effect = change.effect(seed=0)
    assert effect.estimate == pytest.approx(float((change.after - change.before).mean()))
    assert (effect.n, effect.unit, effect.metric) == (12, "document", "log perplexity, code text")


def test_doing_nothing_has_no_effect():
    change = loss_change(tiny("gpt2"), [NOTHING], texts("gpt2"), name="code")
    effect = change.effect(seed=0)
    assert (effect.estimate, effect.low, effect.high) == (0, 0, 0)


def test_cluster_text_against_general_text():
    model = tiny("gpt2")
    mask = torch.zeros(12, 7, dtype=torch.bool)
    mask[:, :4] = True
    cluster = loss_change(
        model,
        [Intervention(site="L0.resid_post", edit=Noise(seed=1, rms=3.0), tokens=mask)],
        texts("gpt2"),
        name="code",
    )
    general = loss_change(model, [NOTHING], texts("gpt2", seed=9), name="general")
    beyond = cluster.beyond(general, seed=0)
    assert beyond.estimate == pytest.approx(cluster.effect(seed=0).estimate)
    assert beyond.low < beyond.estimate < beyond.high
    assert beyond.control == "general text"


def test_masked_and_encoder_decoder_models_bring_labels():
    for name in ("bert", "t5"):
        model, batch = tiny(name), inputs(name)
        with pytest.raises(ConfigError, match="needs labels"):
            loss_change(model, [NOISE if name == "bert" else _decoder(NOISE)], [batch], name="code")
        labels = batch.get("decoder_input_ids", batch["input_ids"]).clone()
        labels[:, 2:] = -100
        labels[0] = -100
        item = NOISE if name == "bert" else _decoder(NOISE)
        change = loss_change(model, [item], [batch | {"labels": labels}], name="code")
        assert change.before.shape == (2,)
        assert bool((change.before != change.after).all())
    with pytest.raises(ConfigError, match="no code text"):
        loss_change(tiny("gpt2"), [NOISE], [], name="code")


def _decoder(item):
    return Intervention(site=f"decoder.{item.site}", edit=item.edit, dose=item.dose)


def test_attention_moves_above_the_intervention_only():
    model, batch = tiny("llama"), inputs("llama", batch=5)
    change = attention_change(model, [NOISE], batch)
    assert change.heads[:2] == ("L0.H0", "L0.H1")
    assert change.divergence.shape == (5, 8)
    assert np.all(change.divergence[:, :4] == 0)
    assert np.all(change.divergence[:, 4:] > 0)
    assert np.all(change.divergence < np.log(2))
    with intervene(model, [NOISE]):
        after = attention_patterns(model, batch["input_ids"])
    moved = (after - attention_patterns(model, batch["input_ids"])).abs().sum(-1).mean(-1) / 2
    np.testing.assert_allclose(
        change.moved.T, moved.flatten(0, 2).view(2, 5, 4).permute(0, 2, 1).flatten(0, 1), atol=1e-6
    )
    effect = change.effect(seed=0, head="L1.H2")
    assert effect.estimate == pytest.approx(change.divergence[:, 6].mean())
    assert effect.n == 5
    assert "control" in effect.note
    assert attention_change(model, [NOTHING], batch).effect(seed=0).estimate == 0


def test_disjoint_attention_is_log_two():
    from imprint.interventions.activations.validation import _pattern_change

    before, after = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 1.0]]]])
    divergence, moved = _pattern_change(before, after, torch.ones(1, 1, dtype=torch.bool))
    assert float(divergence) == pytest.approx(np.log(2))
    assert float(moved) == 1.0


def test_t5_needs_to_be_told_which_patterns():
    model, batch = tiny("t5"), inputs("t5")
    item = _decoder(NOISE)
    with pytest.raises(ConfigError, match="three kinds"):
        attention_change(model, [item], batch)
    change = attention_change(model, [item], batch, sites=["decoder.L1.cross.pattern", "encoder.L1.pattern"])
    assert change.heads[0] == "decoder.L1.cross.H0"
    assert np.all(change.divergence[:, :4] > 0)
    assert np.all(change.divergence[:, 4:] == 0)
