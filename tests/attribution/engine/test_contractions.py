import pytest
import torch

from imprint.attribution.engine import contractions
from imprint.attribution.engine.contractions import batched_products, row_products


def narrow(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).bfloat16()


@pytest.mark.parametrize("width", [7, 16, 32, 35, 100])
def test_short_products_are_the_same_one_by_one_and_as_a_batch(monkeypatch, width):
    monkeypatch.setattr(contractions, "_SHORT", 16)
    along, gradient = narrow(3, width, seed=0), narrow(5, width, seed=1)
    found, others = batched_products(along, gradient), contractions._short_products(along, gradient)
    assert found.dtype == others.dtype == torch.float32
    torch.testing.assert_close(found, others, rtol=0, atol=0.02 * width**0.5)
    torch.testing.assert_close(found.double(), along.double() @ gradient.double().T, rtol=0, atol=0.02 * width**0.5)


def test_short_products_round_less_than_one_long_product():
    along, gradient = narrow(2, 1 << 18, seed=0).abs(), narrow(2, 1 << 18, seed=1).abs()
    exact = along.double() @ gradient.double().T
    short, long = (
        (found.double() / exact - 1).abs().max() for found in (batched_products(along, gradient), along @ gradient.T)
    )
    assert short < 1e-3
    assert short < long


def test_rows_are_sums_of_tokens_in_wide_types():
    generator = torch.Generator().manual_seed(0)
    inputs, deltas, directions = (
        torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((4, 6, 5), (4, 6, 3), (2, 3, 5))
    )
    by_token = contractions.token_products(inputs, deltas, directions)
    torch.testing.assert_close(row_products(inputs, deltas, directions), by_token.sum(-1))
