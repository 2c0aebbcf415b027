import pytest
import torch
from torch.nn.functional import cross_entropy

from imprint.capabilities import icl
from imprint.capabilities.icl import IclWindows
from imprint.errors import ConfigError
from imprint.models import Architecture, induction_transformer, label_mask

SHORT = IclWindows.for_context(24)


def full(rows, seq):
    return torch.ones(rows, seq)


def test_the_windows_follow_the_literature_where_the_context_allows():
    assert IclWindows.for_context(501) == IclWindows(early=(50, 51), late=(500, 501), beginning=(0, 50))
    assert IclWindows.for_context(2048) == IclWindows.for_context(501)
    assert IclWindows.for_context(500) == IclWindows(early=(4, 12), late=(492, 500), beginning=(0, 12))
    assert IclWindows.for_context(20) == IclWindows(early=(4, 12), late=(12, 20), beginning=(0, 12))
    with pytest.raises(ConfigError, match="context of 19 tokens is too short"):
        IclWindows.for_context(19)


def test_the_scores_of_a_long_context_are_the_published_ones():
    losses = torch.arange(600.0).expand(3, 600) / 10
    windows = IclWindows.for_context(600)
    assert icl.olsson(losses, full(3, 600), windows) == pytest.approx(50.0 - 5.0)
    assert icl.mda(losses, full(3, 600), windows) == pytest.approx(50.0 - sum(range(50)) / 500)


def test_the_scores_of_a_short_context():
    losses = torch.arange(24.0).expand(2, 24)
    assert icl.olsson(losses, full(2, 24), SHORT) == pytest.approx(19.5 - 7.5)
    assert icl.mda(losses, full(2, 24), SHORT) == pytest.approx(19.5 - 5.5)


def test_a_model_that_uses_its_context_scores_below_zero():
    falling = torch.linspace(4, 1, 24).expand(2, 24)
    for score in (icl.olsson, icl.mda):
        assert score(falling, full(2, 24), SHORT) < -1
        assert score(falling.flip(1), full(2, 24), SHORT) > 1
        assert score(torch.full((2, 24), 3.0), full(2, 24), SHORT) == pytest.approx(0.0)
        shifted = score(falling + 5, full(2, 24), SHORT)
        assert shifted == pytest.approx(
            score(falling, full(2, 24), SHORT), abs=1e-5
        )  # a worse model is not worse at ICL


def test_the_two_scores_have_different_baselines():
    losses = torch.full((1, 24), 2.0)
    losses[0, :4] = 10.0  # only the beginning is hard
    assert icl.olsson(losses, full(1, 24), SHORT) == pytest.approx(0.0)
    assert icl.mda(losses, full(1, 24), SHORT) == pytest.approx(2.0 - (4 * 10 + 8 * 2) / 12)


def test_rows_that_end_before_the_late_window_are_left_out_of_both_means():
    losses = torch.arange(24.0).expand(3, 24).clone()
    mask = label_mask(torch.tensor([24, 23, 10]), 24)
    losses[1:] = 1000.0
    assert icl.olsson(losses, mask, SHORT) == pytest.approx(19.5 - 7.5)
    assert icl.mda(losses, mask, SHORT) == pytest.approx(19.5 - 5.5)


def test_rows_count_equally():
    losses = torch.stack([torch.zeros(24), torch.zeros(24)])
    losses[0, 16:], losses[1, 16:] = -1.0, -3.0
    assert icl.olsson(losses, full(2, 24), SHORT) == pytest.approx(-2.0)


@pytest.mark.parametrize("score", [icl.olsson, icl.mda])
def test_no_row_that_is_long_enough_is_an_error(score):
    with pytest.raises(ConfigError, match="no held-out row is 24 tokens long"):
        score(torch.zeros(2, 24), label_mask(torch.tensor([23, 5]), 24), SHORT)


def tiny():
    config = {"vocab_size": 30, "n_positions": 24, "n_embd": 16, "n_layer": 1, "n_head": 2, "bos_token_id": 0}
    return Architecture(config=config | {"eos_token_id": 0}).initialise(0)


def test_row_losses_are_the_cross_entropies_whatever_the_batch():
    model = tiny().train()
    tokens = torch.randint(1, 30, (7, 25), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([24, 3, 24, 10, 24, 24, 1])
    losses, mask = icl.row_losses(model, tokens, lengths)
    small, _ = icl.row_losses(model, tokens, lengths, batch=2)
    assert model.training
    torch.testing.assert_close(losses, small)
    assert torch.equal(mask, label_mask(lengths, 24))
    assert not losses.requires_grad
    logits = model.eval()(tokens[:, :-1]).logits
    expected = cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none").view(7, 24)
    torch.testing.assert_close(losses, expected.detach())


def test_fewshot_is_an_accuracy_between_chance_and_one():
    alphabet = list(range(1, 50))
    assert icl.fewshot(induction_transformer(), alphabet, shots=8, rows=64, bos=0) == 1.0
    sizes = {"vocab_size": 50, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 2}
    model = Architecture(config={**sizes, "bos_token_id": 0, "eos_token_id": 0}).initialise(0)
    error = (48 / 49**2 / 512) ** 0.5
    assert icl.fewshot(model, alphabet, shots=8, rows=512, bos=0) < 1 / 49 + 4 * error
