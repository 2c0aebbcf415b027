import importlib

import pytest
import torch
from attribution_models import FAMILIES, likelihood_query, ragged_rows, tiny

from imprint.attribution import (
    EkfacOptions,
    Query,
    Subspace,
    head_subspace,
    induction_queries,
    query_gradient,
    weight_matrix,
)
from imprint.attribution.engine import checks as checks_module
from imprint.attribution.engine.checks import run_checks
from imprint.capabilities import repeat_probe
from imprint.errors import SelfCheckFailed
from imprint.models import token_losses
from imprint.models.handmade import induction_transformer
from imprint.models.unembedding import HeadGradient, head_gradient

OPTIONS = EkfacOptions(labels="data")
subspace_module = importlib.import_module("imprint.attribution.engine.subspace")


def probes(head="L1.H1"):
    return list(induction_queries(repeat_probe(range(1, 13), period=4, rows=6, seed=0, bos=0), head))


def likelihood():
    return likelihood_query(ragged_rows(3, seed=8)[0])


def check(model=None, queries=None, gradients=None, head="L1.H1", rows=None, options=OPTIONS):
    model = tiny() if model is None else model
    queries = [likelihood()] if queries is None else queries
    subspace = head_subspace(model, head)
    gradients = gradients or [query_gradient(model, subspace, query) for query in queries]
    stacked = [torch.stack(pieces) for pieces in zip(*gradients, strict=True)]
    return run_checks(model, subspace, queries, stacked, *(rows or ragged_rows(9)), options, seed=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("family", FAMILIES)
def test_right_gradients_pass_in_every_family(family, dtype):
    results = check(tiny(family).to(dtype), [likelihood(), *probes()])
    names = ["likelihood", "log_prob", "contrastive", "attention"]
    assert list(results) == [
        "gradient_vs_autograd",
        *(f"query_vs_autograd/{name}" for name in names),
        "training_step",
        *(f"finite_difference/{name}" for name in names),
        *(f"precision/{name}" for name in names),
        "split_half",
    ]
    same = [value for name, value in results.items() if "autograd" in name]
    moved = [value for name, value in results.items() if name.startswith(("finite", "training"))]
    # Llama's norms and eager attention compute in float32 whatever the dtype of the weights.
    assert max(same) < 1e-5
    assert max(moved) < (1e-6 if family == "gpt2" else 5e-3)
    assert -1 <= results["split_half"] <= 1


def test_handmade_model_passes():
    results = check(induction_transformer(13, 12, sharpness=2.0), probes("L1.H0"), head="L1.H0")
    assert max(value for name, value in results.items() if name != "split_half") < 1e-5


def test_model_too_perfect_to_verify_is_refused():
    """A saturated head has gradients of 1e-11: nothing there can be told from rounding."""
    with pytest.raises(SelfCheckFailed, match="self-check"):
        check(induction_transformer(13, 12, sharpness=200.0), probes("L1.H0")[:1], head="L1.H0")


def test_user_model_is_untouched():
    model = tiny().requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    check(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.parameters())


def flipped(gradients):
    return lambda self, batch: [-piece for piece in gradients(self, batch)]


def halved(gradients):
    return lambda self, batch: [0.5 * piece for piece in gradients(self, batch)]


def last_block_lost(gradients):
    return lambda self, batch: [*gradients(self, batch)[:-1], torch.zeros_like(gradients(self, batch)[-1])]


def next_head(gradients):
    def wrong(self, batch):
        return gradients(Subspace(name="", blocks=head_subspace(TINY, "L1.H2").blocks, modules=self.modules), batch)

    return wrong


def keys_before_queries(gradients):
    def wrong(self, batch):
        qk, *rest = gradients(self, batch)
        return [qk.roll(qk.shape[1] // 2, dims=1), *rest]

    return wrong


TINY = tiny()


@pytest.mark.parametrize("mutation", [flipped, halved, last_block_lost, next_head, keys_before_queries])
def test_mutated_row_gradients_are_noticed(monkeypatch, mutation):
    monkeypatch.setattr(Subspace, "gradients", mutation(Subspace.gradients))
    with pytest.raises(SelfCheckFailed, match=r"'gradient_vs_autograd' has relative error .* none were written"):
        check()


@pytest.mark.parametrize("mutation", ["flipped", "halved", "block lost", "wrong head"])
def test_mutated_query_gradient_is_noticed(monkeypatch, mutation):
    """Each would pass a finite difference along the mutated gradient itself if it were an orthogonal part of the right one."""
    real = checks_module.query_gradient

    def wrong(model, subspace, query):
        right = real(model, subspace, query)
        return {
            "flipped": [-piece for piece in right],
            "halved": [0.5 * piece for piece in right],
            "block lost": [right[0], torch.zeros_like(right[1]), right[2]],
            "wrong head": real(model, head_subspace(model, "L1.H3"), query),
        }[mutation]

    model = tiny()
    subspace, query = head_subspace(model, "L1.H1"), likelihood()
    error = checks_module._difference_error(model, subspace, query, wrong(model, subspace, query), seed=0)
    assert error > 1e-2
    monkeypatch.setattr(checks_module, "query_gradient", wrong)
    with pytest.raises(SelfCheckFailed, match="'query_vs_autograd/likelihood'"):
        check()


@pytest.mark.parametrize("mutation", ["flipped", "other query", "block lost"])
def test_gradients_that_scores_would_use_are_compared_with_the_checked_ones(mutation):
    model = tiny()
    subspace = head_subspace(model, "L1.H1")
    right = query_gradient(model, subspace, likelihood())
    wrong = {
        "flipped": [-piece for piece in right],
        "other query": query_gradient(model, subspace, probes()[0]),
        "block lost": [right[0], right[1], torch.zeros_like(right[2])],
    }[mutation]
    with pytest.raises(SelfCheckFailed, match="'precision/likelihood'"):
        check(model, gradients=[wrong])


def test_detached_path_is_noticed_by_finite_differences():
    """Autograd cannot see what the query itself cut off; only finite differences can."""
    tokens = ragged_rows(6, seed=8)[0]

    def measure(model):
        losses = token_losses(model(tokens[:, :-1], use_cache=False).logits, tokens[:, 1:])
        return -losses[:3].detach().sum() - losses[3:].sum()

    with pytest.raises(SelfCheckFailed, match=r"'(finite_difference/cut|training_step)'"):
        check(queries=[Query(name="cut", measure=measure)])
    model = tiny()
    subspace, query = head_subspace(model, "L1.H1"), Query(name="cut", measure=measure)
    gradient = query_gradient(model, subspace, query)
    assert checks_module._difference_error(model, subspace, query, gradient, seed=0) > 0.05


@pytest.mark.parametrize("factor", [-1.0, 2.0])
def test_wrong_sign_or_size_of_scores_is_noticed(monkeypatch, factor):
    real = checks_module.score_pass

    def wrong(*given, **more):
        result = real(*given, **more)
        result.scores = [factor * piece for piece in result.scores]
        return result

    monkeypatch.setattr(checks_module, "score_pass", wrong)
    with pytest.raises(SelfCheckFailed, match="'training_step'"):
        check()


def flipped_loss(*given, **more):
    right = head_gradient(*given, **more)
    return HeadGradient(losses=-right.losses, gradient=-right.gradient)


def test_flipped_loss_is_noticed(monkeypatch):
    """Attributing -L would turn every sign round."""
    monkeypatch.setattr("imprint.models.gradients.head_gradient", flipped_loss)
    with pytest.raises(SelfCheckFailed, match="'gradient_vs_autograd'"):
        check(queries=probes()[:1])


def test_transposed_slice_is_noticed(monkeypatch):
    """The out-projection's weight is square, so forgetting that Conv1D stores it transposed gives no error of shape."""

    def wrong(module, like=None):
        weight = module.weight if like is None else like
        return weight if weight.shape[0] == weight.shape[1] else weight_matrix(module, like)

    monkeypatch.setattr(checks_module, "weight_matrix", wrong)
    monkeypatch.setattr(subspace_module, "weight_matrix", wrong)
    with pytest.raises(SelfCheckFailed, match="'gradient_vs_autograd'"):
        check()
    model = tiny()
    subspace = head_subspace(model, "L1.H1")
    gradient = query_gradient(model, subspace, likelihood())
    assert checks_module._difference_error(model, subspace, likelihood(), gradient, seed=0) > 1e-2


def test_padding_in_the_loss_is_noticed(monkeypatch):
    """Row gradients that forget the lengths differ from the loss that training uses."""
    monkeypatch.setattr("imprint.models.gradients.label_mask", lambda lengths, seq: torch.ones(len(lengths), seq))
    tokens, lengths = ragged_rows(9)
    assert int(lengths[:2].min()) < tokens.shape[1] - 1
    with pytest.raises(SelfCheckFailed, match="'gradient_vs_autograd'"):
        check(rows=(tokens, lengths), queries=probes()[:1])


def test_error_that_is_not_a_number_is_refused():
    with pytest.raises(SelfCheckFailed, match="relative error nan"):
        checks_module._require({"some": float("nan")}, limit=1.0)


def test_identical_rows_have_nothing_to_rank():
    tokens, lengths = ragged_rows(1)
    with pytest.raises(SelfCheckFailed, match="all 6 rows looked at have the same influence"):
        check(rows=(tokens.repeat(6, 1), lengths.repeat(6)))


def test_split_half_is_high_with_many_rows_of_one_kind_and_lower_with_few():
    model = tiny()
    many, few = (check(model, rows=ragged_rows(count))["split_half"] for count in (400, 8))
    assert many > 0.9
    assert few < many
