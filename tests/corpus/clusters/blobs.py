"""Points with a known division, for the tests of density clustering."""

import numpy as np


def gaussians(points: int, d: int, *, centres: int = 3, distance: float = 10.0, seed: int = 0):
    """Points around well separated centres, and the centre of each."""
    generator = np.random.default_rng(seed)
    places = generator.standard_normal((centres, d)) * distance / np.sqrt(2 * d)
    truth = generator.integers(0, centres, points)
    return places[truth] + generator.standard_normal((points, d)), truth


def token_like(points: int, d: int, *, types: int = 60, seed: int = 0):
    """Zipf token types with context drift, a power-law spectrum, and 10 % of diffuse background (float32)."""
    generator = np.random.default_rng(seed)
    spectrum = np.arange(1, d + 1) ** -0.5
    weights = 1 / np.arange(1, types + 1)
    kind = generator.choice(types, points, p=weights / weights.sum())
    spread = generator.uniform(0.1, 0.5, types)[kind][:, None]
    states = (3 * generator.standard_normal((types, d)))[kind] + spread * generator.standard_normal((points, d))
    background = generator.random(points) < 0.1
    states[background] = 3 * generator.standard_normal((background.sum(), d))
    return (states * spectrum).astype(np.float32)
