"""Random numbers that belong to a token: a function of (seed, row, position) and of nothing else.

A generator's stream would give a token other noise whenever the batch is cut differently. Here every number is the
hash of its address (SplitMix64, Steele et al. 2014), so batches, padding, order and device do not matter.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


def _signed(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def _shifted(values: Int[Tensor, "*shape"], bits: int) -> Int[Tensor, "*shape"]:
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def _mixed(values: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """SplitMix64's finaliser: every input bit reaches every output bit."""
    values = (values ^ _shifted(values, 30)) * _FIRST
    values = (values ^ _shifted(values, 27)) * _SECOND
    return values ^ _shifted(values, 31)


def keys(seed: int, rows: Int[Tensor, "batch"], positions: Int[Tensor, "batch seq"]) -> Int[Tensor, "batch seq"]:
    """One 64-bit key a token."""
    start = _mixed(torch.full_like(rows, _signed(seed)) + _GOLDEN)
    return _mixed(_mixed(start + rows * _GOLDEN)[:, None] + (positions + 1) * _GOLDEN)


def choices(count: int, token_keys: Int[Tensor, "batch seq"]) -> Int[Tensor, "batch seq"]:
    """One of `count` things a token, each equally likely."""
    return _shifted(token_keys, 1) % count


def normals(width: int, token_keys: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq width"]:
    """`width` independent standard normal numbers a token (Box-Muller, float32; none beyond 6.7)."""
    half = (width + 1) // 2
    counters = torch.arange(1, half + 1, device=token_keys.device) * _GOLDEN
    bits = _mixed(token_keys[..., None] + counters)
    radius = ((_shifted(bits, 32) + 1).float() * 2.0**-32).log_().mul_(-2).sqrt_()
    angle = (bits & 0xFFFFFFFF).float() * (2 * math.pi * 2.0**-32)
    return torch.cat([radius * angle.cos(), radius * angle.sin_()], dim=-1)[..., :width]


def signs(width: int, token_keys: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq width"]:
    """`width` independent signs a token, -1 or +1 with equal chance."""
    counters = torch.arange(1, width + 1, device=token_keys.device) * _GOLDEN
    return (_mixed(token_keys[..., None] + counters) & 1).float() * 2 - 1
