import pytest
import torch
from attribution_models import ragged_rows, tiny
from scipy.stats import spearmanr

from imprint.attribution.engine import EkfacOptions, influence, likelihood_queries, whole_model
from imprint.attribution.engine.contractions import row_products, squared_norms, token_products
from imprint.attribution.engine.ekfac import at_precision


def test_bfloat16_passes_rank_as_float32_does():
    tokens, lengths = ragged_rows(60)
    model = tiny().float()
    asked = likelihood_queries(*ragged_rows(4, seed=8))
    scores = {
        precision: influence(
            model,
            whole_model(model),
            asked,
            tokens,
            lengths,
            EkfacOptions(precision=precision, labels="data"),
            seed=0,
            by_token=False,
        )[0]
        for precision in ("float32", "bfloat16")
    }
    for query in range(4):
        assert spearmanr(scores["float32"].rows[query], scores["bfloat16"].rows[query]).statistic > 0.95
    assert not (scores["float32"].rows == scores["bfloat16"].rows).all()


def test_the_model_itself_keeps_its_precision():
    model = tiny()
    assert at_precision(model, EkfacOptions()) is model
    assert at_precision(model, EkfacOptions(precision="bfloat16")).dtype == torch.bfloat16
    assert model.dtype == torch.float64


@pytest.mark.parametrize("shape", [(3, 7, 5, 9), (2, 4, 9, 5), (1, 6, 4, 4)])
@pytest.mark.parametrize("queries", [1, 3])
def test_contractions_are_einsums(shape, queries):
    rows, seq, wide, out = shape
    generator = torch.Generator().manual_seed(0)
    inputs, deltas, along = (
        torch.randn(*size, generator=generator, dtype=torch.float64)
        for size in ((rows, seq, wide), (rows, seq, out), (queries, out, wide))
    )
    exact = torch.einsum("bto,qoi,bti->qbt", deltas, along, inputs)
    torch.testing.assert_close(token_products(inputs, deltas, along), exact)
    torch.testing.assert_close(row_products(inputs, deltas, along), exact.sum(-1))
    gradient = torch.einsum("bto,bti->boi", deltas, inputs)
    torch.testing.assert_close(squared_norms(inputs, deltas), gradient.square().sum((1, 2)))
    ids = torch.randint(wide, (rows, seq), generator=generator)
    one_hot = torch.nn.functional.one_hot(ids, wide).double()
    exact = torch.einsum("bto,qoi,bti->qbt", deltas, along, one_hot)
    torch.testing.assert_close(token_products(ids, deltas, along), exact)
    torch.testing.assert_close(row_products(ids, deltas, along), exact.sum(-1))
    torch.testing.assert_close(squared_norms(ids, deltas), squared_norms(one_hot, deltas))


def test_long_products_of_narrow_types_are_added_up_in_a_wider_one():
    """One product of 200 x 200 in bfloat16 would round to 8 bits; the sum of short ones keeps more."""
    generator = torch.Generator().manual_seed(0)
    inputs, deltas = (torch.randn(4, 3, 200, generator=generator) for _ in range(2))
    along = torch.randn(3, 200, 200, generator=generator)
    narrow = [tensor.bfloat16() for tensor in (inputs, deltas, along)]
    exact = row_products(*(tensor.double() for tensor in narrow))
    ours = row_products(*narrow)
    assert ours.dtype == torch.float32
    assert float((ours - exact).norm() / exact.norm()) < 0.01
