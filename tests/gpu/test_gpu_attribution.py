import numpy as np
import pytest
import torch
from attribution_models import CONTEXT, FAMILIES, VOCABULARY, ragged_rows, tiny
from scipy.stats import spearmanr
from two_devices import on_both, same
from unrolled_runs import batches_of, likelihood, rows_of, tiny_gpt2

from imprint.attribution import attribute_head
from imprint.attribution.engine import (
    EkfacOptions,
    GradientStore,
    fit_factors,
    head_subspaces,
    influence,
    likelihood_queries,
    precondition,
    query_gradients,
    refine,
    stream_top,
    whole_model,
)
from imprint.attribution.engine.contractions import row_products, token_products
from imprint.attribution.methods import METHODS, Datamodels, Problem
from imprint.attribution.unrolled import AdamW, language_model_training
from imprint.attribution.validation import tail_patch
from imprint.capabilities import repeat_probe
from imprint.corpus import Packed

ROOM = 1e-6
QUERIES = likelihood_queries(*ragged_rows(3, seed=8))


@pytest.mark.parametrize("options", [{}, {"precision": "float32"}, {"stability": "eigenvalues", "token_energy": 0.95}])
@pytest.mark.parametrize("family", FAMILIES)
def test_influence_is_that_of_the_cpu(family, options):
    wide = options.get("precision") is None
    found = [
        influence(
            model,
            whole_model(model),
            QUERIES,
            *ragged_rows(12),
            EkfacOptions(batch=3, damping_sweep=(1.0,), **options),
            seed=0,
        )[0]
        for model in on_both(tiny(family))
    ]
    same(found[0].rows, found[1].rows, ROOM if wide else 2e-3)
    if "token_energy" not in options:  # which directions are left out may turn on rounding
        same(found[0].tokens, found[1].tokens, ROOM if wide else 2e-3)
    assert max(error for name, error in found[1].checks.items() if name.startswith("query_vs")) < 1e-6


def test_rows_by_head_are_those_of_the_cpu_and_tokens_may_lie_on_the_gpu():
    cpu, gpu = on_both(tiny("llama"))
    tokens, lengths = ragged_rows(12)
    expected, _ = influence(cpu, head_subspaces(cpu), QUERIES, tokens, lengths, EkfacOptions(), seed=0, by_token=False)
    for rows in ((tokens, lengths), (tokens.to(gpu.device), lengths.to(gpu.device))):
        found, _ = influence(gpu, head_subspaces(gpu), QUERIES, *rows, EkfacOptions(), seed=0, by_token=False)
        same(expected.by_group, found.by_group, 1e-5)  # Llama's norms are in single precision


def test_bfloat16_ranks_as_double_precision():
    tokens, lengths = ragged_rows(40)
    scores = []
    for model, options in zip(on_both(tiny("gpt2").float()), ({}, {"precision": "bfloat16"}), strict=True):
        scores.append(
            influence(model, whole_model(model), QUERIES, tokens, lengths, EkfacOptions(**options), seed=0)[0].rows
        )
    for one, other in zip(*scores, strict=True):
        assert spearmanr(one, other).statistic > 0.9


@pytest.mark.parametrize("mechanism", ["induction", "previous_token"])
def test_head_attribution_is_that_of_the_cpu(mechanism):
    tokens, lengths = ragged_rows(12)
    packed = Packed(
        tokens=tokens.numpy(),
        lengths=lengths.numpy(),
        document=np.arange(12),
        offsets=np.zeros((*tokens.shape, 2), dtype=np.int64),
        document_ids=tuple(map(str, range(12))),
        domains=("one", "two") * 6,
    )
    probe = repeat_probe(range(1, VOCABULARY), period=4, rows=6, seed=0, bos=0)
    found = [
        attribute_head(model, packed, "L1.H1", probe, mechanism=mechanism, mutant=mechanism == "induction")
        for model in on_both(tiny("gpt2"))
    ]
    same(found[0].scores.rows, found[1].scores.rows, ROOM)
    same(found[0].baselines, found[1].baselines, ROOM)
    assert probe.tokens.shape[1] - 1 <= CONTEXT


def test_factors_directions_and_what_is_made_of_them(tmp_path):
    tokens, lengths = ragged_rows(20)
    results = []
    for number, model in enumerate(on_both(tiny("gpt2"))):
        space = whole_model(model)
        factors = fit_factors(model, space, tokens, lengths, EkfacOptions(), seed=0)
        gradients = query_gradients(model, space, QUERIES)
        directions = precondition(factors, gradients)
        extremes = stream_top(
            model,
            space,
            directions,
            iter([(tokens[:9], lengths[:9]), (tokens[9:], lengths[9:])]),
            4,
            folder=tmp_path / f"s{number}",
        )
        store = GradientStore.build(tmp_path / str(number), model, space, factors, tokens, lengths)
        small = whole_model(model, layers=[1], bias=False)
        few = fit_factors(model, small, tokens, lengths, EkfacOptions(), seed=0)
        solved = refine(model, small, few, query_gradients(model, small, QUERIES[:1]), tokens, lengths, iterations=3)
        patched = tail_patch(model, tokens[:4], lengths[:4], QUERIES[0], learning_rate=1e-3)
        results.append(([factor.eigenvalues for factor in factors], directions, extremes, solved, patched))
        assert np.isfinite(store.scores(gradients)).all()
    same(*results, 1e-5)


def problem(start, device):
    """A recorded run on a device, and its rows as a problem."""
    tokens, lengths = rows_of()
    training = language_model_training(
        start.to(device), tokens, lengths, batches_of(), AdamW(learning_rate=3e-3, eps_root=1e-8)
    )
    model = training.holding(training.run())
    return Problem(
        model=model,
        tokens=tokens,
        lengths=lengths,
        queries=(likelihood(),),
        subspace=whole_model(model),
        training=training,
        row_groups=np.array(["a", "b"] * 4),
        query_groups=np.array(["a"]),
        query_tokens=ragged_rows(1, seed=7)[0],
    )


@pytest.fixture(scope="module")
def problems():
    return problem(tiny_gpt2(), "cpu"), problem(tiny_gpt2(), "cuda")


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_scores_as_on_the_cpu(name, problems):
    method = Datamodels(runs=20) if isinstance(METHODS[name], Datamodels) else METHODS[name]
    same(*(method.scores(one) for one in problems), 1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_products_of_long_gradients_are_those_of_double_precision(dtype):
    generator = torch.Generator().manual_seed(0)
    inputs, deltas, directions = (
        torch.randn(*shape, generator=generator).to("cuda", dtype)
        for shape in ((4, 32, 300), (4, 32, 200), (3, 200, 300))
    )
    exact = torch.einsum("rto,rti,qoi->qr", deltas.double(), inputs.double(), directions.double())
    for found in (
        row_products(inputs, deltas, directions),
        token_products(inputs, deltas, directions).sum(-1, dtype=torch.float32),
    ):
        assert float((found.double() - exact).norm() / exact.norm()) < (1e-2 if dtype == torch.bfloat16 else 1e-3)
