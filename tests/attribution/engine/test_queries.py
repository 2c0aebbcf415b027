import numpy as np
import pytest
import torch
from attribution_models import FAMILIES, flat, likelihood_query, norm, tiny

from imprint.attribution import (
    Query,
    attention_query,
    contrastive_query,
    head_subspace,
    induction_queries,
    log_prob_query,
    off_by_one_query,
    previous_token_query,
    query_gradient,
)
from imprint.capabilities import repeat_probe
from imprint.errors import ComponentNotFound, SelfCheckFailed
from imprint.models import attention_patterns
from imprint.models.handmade import induction_transformer

VOCABULARY, PERIOD = 20, 8
ALPHABET = range(1, VOCABULARY)


def handmade(sharpness=200.0):
    return induction_transformer(VOCABULARY, 24, sharpness=sharpness)


def probe(rows=6, period=PERIOD, alphabet=ALPHABET):
    return repeat_probe(list(alphabet), period=period, rows=rows, seed=3, bos=0)


def small_probe(rows=6):
    """For the tiny models."""
    return probe(rows=rows, period=4, alphabet=range(1, 13))


def value(query, model):
    with torch.no_grad():
        return float(query.measure(model))


QUERIES = {
    "log_prob": lambda probe: log_prob_query(probe),
    "contrastive": lambda probe: contrastive_query(probe),
    "attention": lambda probe: attention_query(probe, "L1.H0"),
    "previous_token": lambda probe: previous_token_query(probe, "L0.H0"),
    "off_by_one": lambda probe: off_by_one_query(probe),
}
OWN_HEAD = {"previous_token": "L0.H0"}


def test_perfect_induction_is_rewarded_at_the_right_position_and_punished_one_too_early():
    """AT-MDA-1: the published off-by-one probe would give a perfect head less than -10 a position."""
    model, positions = handmade(), PERIOD - 1
    assert value(log_prob_query(probe()), model) / positions >= -0.05
    assert value(off_by_one_query(probe()), model) / positions < -10


@pytest.mark.parametrize("period", [3, 5, 11])
def test_right_indexing_holds_at_every_period(period):
    model = handmade()
    assert value(log_prob_query(probe(period=period)), model) / (period - 1) >= -0.05
    assert value(off_by_one_query(probe(period=period)), model) / (period - 1) < -10


def test_known_values_of_the_other_probes():
    model, positions = handmade(), PERIOD - 1
    assert value(attention_query(probe(), "L1.H0"), model) == pytest.approx(positions, abs=1e-6)
    assert value(attention_query(probe(), "L0.H0"), model) == pytest.approx(0, abs=1e-6)
    assert value(previous_token_query(probe(), "L0.H0"), model) == pytest.approx(2 * PERIOD, abs=1e-6)
    uniform = sum(1 / (t + 1) for t in range(1, 2 * PERIOD + 1))
    assert value(previous_token_query(probe(), "L0.H1"), model) == pytest.approx(uniform, rel=1e-6)


def test_contrast_is_the_difference_to_an_unrelated_first_half():
    model, seen = handmade(5.0), probe()
    logits = {name: model(getattr(seen, name)).logits.detach().log_softmax(-1) for name in ("tokens", "unrelated")}
    sums = []
    for name, log_probs in logits.items():
        tokens = getattr(seen, name)
        total = [
            sum(log_probs[i, t, tokens[i, t + 1]] for t in range(PERIOD + 1, 2 * PERIOD)) for i in range(len(tokens))
        ]
        sums.append(float(sum(total)) / len(tokens))
    assert value(contrastive_query(seen), model) == pytest.approx(sums[0] - sums[1], rel=1e-9)
    assert value(log_prob_query(seen), model) == pytest.approx(sums[0], rel=1e-9)
    assert sums[0] - sums[1] > 5


def test_attention_queries_sum_the_recorded_pattern():
    model, seen = tiny(), small_probe()
    pattern = attention_patterns(model, seen.tokens)[1][:, 2]
    match = sum(pattern[:, t, t - 4 + 1] for t in range(5, 8)).mean()
    previous = sum(pattern[:, t, t - 1] for t in range(1, 9)).mean()
    assert value(attention_query(seen, "L1.H2"), model) == pytest.approx(float(match), rel=1e-6)
    assert value(previous_token_query(seen, "L1.H2"), model) == pytest.approx(float(previous), rel=1e-6)


@pytest.mark.parametrize("name", list(QUERIES))
def test_gradient_of_the_handmade_model_equals_finite_differences(name):
    """AT-MDA-1, float64: every entry of the gradient, not only one direction."""
    model = handmade(3.0)
    subspace = head_subspace(model, OWN_HEAD.get(name, "L1.H0"), "qk")
    query = QUERIES[name](probe(rows=2))
    gradient = query_gradient(model, subspace, query)
    largest = flat(gradient).abs().topk(12).indices
    random = torch.randint(len(flat(gradient)), (12,), generator=torch.Generator().manual_seed(0))
    for index in [*largest.tolist(), *random.tolist()]:
        direction = torch.zeros_like(flat(gradient))
        direction[index] = 1
        matrices = [direction.view_as(gradient[0])]
        values = []
        for sign in (1, -1):
            with subspace.shifted(matrices, sign * 1e-4):
                values.append(value(query, model))
        slope = (values[0] - values[1]) / 2e-4
        assert slope == pytest.approx(float(flat(gradient)[index]), rel=1e-4, abs=1e-6 * norm(gradient))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", list(QUERIES))
def test_gradient_equals_finite_differences_in_every_packing(name, family):
    model = tiny(family)
    subspace = head_subspace(model, OWN_HEAD.get(name, "L1.H0"))
    query = QUERIES[name](small_probe(rows=3))
    gradient = query_gradient(model, subspace, query)
    # Llama computes its norms, and eager attention its softmax, in float32 whatever the dtype of the weights.
    step, tolerance = (1e-5, 1e-4) if family == "gpt2" else (1e-3, 1e-3)
    generator = torch.Generator().manual_seed(7)
    direction = [torch.randn(g.shape, generator=generator, dtype=g.dtype) for g in gradient]
    direction = [g / norm(gradient) + r / norm(direction) for g, r in zip(gradient, direction, strict=True)]
    values = []
    for sign in (1, -1):
        with subspace.shifted(direction, sign * step):
            values.append(value(query, model))
    expected = float(flat(gradient) @ flat(direction))
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(expected, rel=tolerance)


def test_gradient_is_autograds():
    model, query = tiny(), likelihood_query(torch.randint(1, 13, (4, 9)))
    subspace = head_subspace(model, "L0.H1", "vo")
    weight = model.transformer.h[0].attn.c_proj.weight
    (exact,) = torch.autograd.grad(query.measure(model), weight)
    torch.testing.assert_close(query_gradient(model, subspace, query)[1], exact.T[:, 4:8])


def test_the_three_induction_queries_have_names_of_their_own():
    names = [query.name for query in induction_queries(probe(), "L1.H0")]
    assert names == ["log_prob", "contrastive", "attention"]


def test_attention_gradient_lies_in_queries_and_keys_alone():
    model = tiny()
    qk, v, o = query_gradient(model, head_subspace(model, "L1.H1"), attention_query(small_probe(), "L1.H1"))
    assert qk.norm() > 1e-4
    assert float(v.norm()) == float(o.norm()) == 0.0


def test_eager_attention_is_given_back():
    model = tiny()
    before = model.config._attn_implementation
    query_gradient(model, head_subspace(model, "L1.H1"), attention_query(small_probe(), "L1.H1"))
    assert before != "eager"
    assert model.config._attn_implementation == before


def test_query_below_the_subspace_is_refused():
    model = tiny()
    query = attention_query(small_probe(), "L0.H0")
    with pytest.raises(SelfCheckFailed, match=r"query 'attention' does not depend on L1.H2/qkvo; choose a query that"):
        query_gradient(model, head_subspace(model, "L1.H2"), query)


def test_query_of_another_head_of_the_layer_has_no_gradient():
    model = tiny()
    query = attention_query(small_probe(), "L1.H0")
    with pytest.raises(SelfCheckFailed, match=r"gradient of query 'attention' is zero on all of L1.H2/qkvo"):
        query_gradient(model, head_subspace(model, "L1.H2"), query)


def test_constant_query_is_refused():
    model = tiny()
    query = Query(name="constant", measure=lambda model: torch.tensor(3.0))
    with pytest.raises(SelfCheckFailed, match="'constant' does not depend on"):
        query_gradient(model, head_subspace(model, "L1.H2"), query)


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_gradient_that_is_not_finite_is_refused(factor):
    model = tiny()
    base = likelihood_query(torch.randint(1, 13, (2, 9)))
    query = Query(name="broken", measure=lambda model: base.measure(model) * factor)
    with pytest.raises(SelfCheckFailed, match=r"query 'broken' on L1.H2/qkvo is not finite"):
        query_gradient(model, head_subspace(model, "L1.H2"), query)


def test_running_the_model_twice_is_refused():
    model = tiny()
    base = likelihood_query(torch.randint(1, 13, (2, 9)))
    query = Query(name="twice", measure=lambda model: base.measure(model) + base.measure(model))
    with pytest.raises(SelfCheckFailed, match="ran twice"):
        query_gradient(model, head_subspace(model, "L1.H2"), query)


@pytest.mark.parametrize("head", ["L1.mlp", "L1.z", "L7.H0", "L1.H9", "embed"])
def test_attention_of_what_is_not_a_head_is_refused(head):
    with pytest.raises(ComponentNotFound):
        attention_query(small_probe(), head).measure(tiny())


def test_probe_positions_are_the_copies():
    """The token after each query position is the token after its match: what the indexing of every probe rests on."""
    seen = probe()
    tokens = seen.tokens.numpy()
    assert np.array_equal(tokens[:, seen.query + 1], tokens[:, seen.match])
    assert np.array_equal(tokens[:, seen.query], tokens[:, seen.match - 1])
