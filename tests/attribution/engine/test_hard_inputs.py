"""Inputs that broke an earlier engine: each was a wrong number or a raw error."""

import pytest
import torch
from attribution_models import likelihood_query, ragged_rows, tiny
from transformers import FalconConfig, FalconForCausalLM, LlamaConfig, LlamaForCausalLM

from imprint.attribution.engine import (
    EkfacOptions,
    Query,
    direction_subspace,
    fit_factors,
    head_subspaces,
    influence,
    likelihood_queries,
    margin_query,
    query_gradients,
    row_gradients,
    stream_top,
    whole_model,
)
from imprint.attribution.engine.scoring import score_pass
from imprint.errors import ConfigError, SelfCheckFailed
from imprint.models import token_losses
from imprint.models.unembedding import head_gradient

DATA = EkfacOptions(labels="data")


def ask(queries, *, model=None, rows=None, **more):
    model = tiny() if model is None else model
    return influence(
        model, whole_model(model), queries, *(rows or ragged_rows(9)), DATA, seed=0, by_token=False, **more
    )


def named(name):
    return Query(name=name, measure=likelihood_query(ragged_rows(3, seed=8)[0]).measure)


def test_queries_of_one_name_are_refused():
    """The checks of the last would stand for all."""
    with pytest.raises(ConfigError, match="'x' cannot name a query here: names must differ"):
        ask([named("x"), named("y"), named("x")])
    with pytest.raises(ConfigError, match="'/dot' at the end is taken"):
        ask([named("a/dot")])


def test_rows_that_do_not_fit():
    tokens, lengths = ragged_rows(9)
    with pytest.raises(ConfigError, match="hold token id 99 but the model has a vocabulary of 13"):
        ask([named("x")], rows=(tokens.masked_fill(tokens == 3, 99), lengths))
    with pytest.raises(ConfigError, match="the lengths given do not fit"):
        ask([named("x")], rows=(tokens, lengths + 20))
    with pytest.raises(ConfigError, match="no row has a token to predict"):
        ask([named("x")], rows=(tokens, torch.zeros_like(lengths)))
    with pytest.raises(ConfigError, match="no layer was asked for"):
        whole_model(tiny(), layers=[])


def test_rows_of_no_length_score_nothing_in_any_batch():
    model = tiny()
    tokens, lengths = ragged_rows(6)
    lengths[2] = 0
    directions = query_gradients(model, whole_model(model), likelihood_queries(*ragged_rows(2, seed=8)))
    for batch in (1, 6):
        passed = score_pass(
            model, whole_model(model), directions, tokens, lengths, by_token=False, norms=True, batch=batch
        )
        assert torch.cat(passed.rows, dim=2)[:, :, 2].abs().max() == 0
        assert float(passed.row_losses()[2]) == 0


def test_a_head_named_twice_counts_once():
    model = tiny()
    assert len(head_subspaces(model, heads=["L0.H0", "L0.H0"]).blocks) == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_losses_of_hopeless_labels_are_not_cut_off(dtype):
    head = torch.nn.Linear(4, 3, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[0.0] * 4, [1.0] * 4, [2.0] * 4]))
    head = head.to(dtype)
    states = torch.full((2, 4), 20.0, dtype=dtype)
    found = head_gradient(head, states, torch.tensor([0, 2]))
    assert float(found.losses[0]) == pytest.approx(160.0, rel=1e-2)
    assert float(found.losses[1]) == pytest.approx(0.0, abs=1e-2)


def test_losses_are_those_of_cross_entropy():
    head = torch.nn.Linear(6, 50).double()
    states = torch.randn(40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    labels = torch.randint(50, (40,), generator=torch.Generator().manual_seed(1))
    found = head_gradient(head, states.detach(), labels)
    losses = torch.nn.functional.cross_entropy(head(states), labels, reduction="none")
    torch.testing.assert_close(found.losses, losses.detach())
    torch.testing.assert_close(found.gradient, torch.autograd.grad(losses.sum(), states)[0])


def test_the_row_of_a_padding_token_is_never_trained():
    config = LlamaConfig(
        vocab_size=13, hidden_size=16, intermediate_size=10, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=10, pad_token_id=0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).double().eval()
    assert model.model.embed_tokens.padding_idx == 0
    tokens, lengths = torch.randint(0, 13, (3, 8), generator=torch.Generator().manual_seed(0)), torch.full((3,), 7)
    tokens[:, 0] = 0
    ours = row_gradients(model, whole_model(model, embedding=True), tokens, lengths)[0]
    for row in range(3):
        loss = token_losses(model(tokens[row : row + 1, :-1]).logits, tokens[row : row + 1, 1:]).sum()
        (exact,) = torch.autograd.grad(loss, [model.model.embed_tokens.weight])
        torch.testing.assert_close(ours[row], exact.T, rtol=1e-8, atol=1e-10)


def test_a_block_that_adds_in_place_to_what_is_captured():
    """Falcon adds attention and MLP into one tensor."""
    config = FalconConfig(
        vocab_size=13, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, alibi=False, parallel_attn=True,
        new_decoder_architecture=False, bias=False, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = FalconForCausalLM(config).double().eval()
    subspace = direction_subspace(model, 1, torch.eye(16, dtype=torch.float64)[:, :2])
    (ours,) = row_gradients(model, subspace, *ragged_rows(3))
    assert ours.abs().max() > 0
    with pytest.raises(ConfigError, match="20 directions cannot be independent in 16 dimensions"):
        direction_subspace(model, 1, torch.randn(16, 20))


@pytest.mark.parametrize("batch", [1, 4, 40])
def test_rows_of_the_bases_do_not_depend_on_the_batch(batch):
    model = tiny()
    tokens, lengths = ragged_rows(40)
    base, other = (
        fit_factors(
            model, whole_model(model), tokens, lengths,
            EkfacOptions(basis_share=0.3, batch=size, keep_bytes=keep), seed=0,
        )
        for size, keep in ((40, 1 << 30), (batch, 0))
    )  # fmt: skip
    for one, two in zip(base, other, strict=True):
        torch.testing.assert_close(
            one.precondition(one.eigenvalues), two.precondition(two.eigenvalues), rtol=1e-4, atol=1e-7
        )


def test_progress_ends_at_the_rows_also_with_a_second_pass():
    model = tiny()
    tokens, lengths = ragged_rows(41)
    for keep in (0, 1 << 30):
        done = []
        options = EkfacOptions(labels="data", batch=4, keep_bytes=keep)
        fit_factors(model, whole_model(model), tokens, lengths, options, seed=0, advance=done.append)
        assert sum(done) == 41


def test_dropout_is_off_whatever_the_mode():
    model = tiny().train()
    tokens, lengths = ragged_rows(4)
    one, two = (row_gradients(model, whole_model(model), tokens, lengths) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert model.training


def test_scores_that_are_not_finite_do_not_lead_a_stream():
    model = tiny()
    with torch.no_grad():
        model.transformer.h[0].mlp.c_fc.weight[0, 0] = float("nan")
    directions = [
        torch.ones(1, *whole_model(model).block_shape(b), dtype=torch.float64) for b in whole_model(model).blocks
    ]
    with pytest.raises(SelfCheckFailed, match="is not finite"):
        stream_top(model, whole_model(model), directions, [ragged_rows(9)], 2)


def test_queries_that_are_no_scalar():
    model = tiny()
    tokens = ragged_rows(3, seed=8)[0]
    for name, measure in {
        "vector": lambda m: m(tokens[:, :-1]).logits.sum((1, 2)),
        "number": lambda m: float(m(tokens[:, :-1]).logits.detach().sum()),
    }.items():
        with pytest.raises(ConfigError, match=f"query '{name}' must give one differentiable number"):
            query_gradients(model, whole_model(model), [Query(name=name, measure=measure)])
    with pytest.raises(ConfigError, match="give token ids from 0 up"):
        margin_query(tokens[0], 1, [-1])
