"""Planted worlds, whose best allocation is known: ordered curves, crossing curves, early leaders that lose, nothing to find."""

import numpy as np
from jaxtyping import Float

from imprint.emergence.allocation.arms import Arm
from imprint.emergence.allocation.replay import Recorded


def _world(scores: Float[np.ndarray, "arm depth"], stderr: float) -> Recorded:
    """Equal arms without sizes, a unit of cost a checkpoint."""
    depth = np.arange(1.0, scores.shape[1] + 1)
    return Recorded(
        arms=tuple(Arm(name=f"arm {number:02d}", exposure=depth, cost=depth) for number in range(len(scores))),
        scores=tuple(scores),
        stderrs=tuple(np.full(scores.shape[1], stderr) for _ in scores),
    )


def ordered_world(seed: int, *, arms: int = 27, depth: int = 27) -> Recorded:
    """Curves that never cross: one shape, ceilings drawn evenly from 0 to 1; early ranks are final ranks."""
    rng = np.random.default_rng(seed)
    ceilings, steps = rng.random(arms), np.arange(1, depth + 1)
    return _world(ceilings[:, None] * ((1 - np.exp(-3 * steps / depth)) / (1 - np.exp(-3)))[None], 0.01)


def crossing_world(seed: int, *, arms: int = 27, depth: int = 27) -> Recorded:
    """Curves that cross: ceilings drawn from 0 to 1, and beside them time constants from a ninth of the run to all of it."""
    rng = np.random.default_rng(seed)
    ceilings, slow, steps = rng.random(arms), rng.uniform(1 / 9, 10 / 9, arms), np.arange(1, depth + 1) / depth
    return _world(ceilings[:, None] * (1 - np.exp(-steps / slow[:, None])), 0.01)


def reversal_world(seed: int, *, arms: int = 27, depth: int = 27) -> Recorded:
    """Early leaders always lose: the higher an arm starts, the lower it ends; the last to rise is the best."""
    rng = np.random.default_rng(seed)
    rank, steps = rng.permutation(arms) / (arms - 1), np.arange(1, depth + 1) / depth
    early, late = (1 - rank)[:, None] * 0.3, rank[:, None]
    rise = 1 / (1 + np.exp(-(steps - 0.7) / 0.05))
    return _world(early * (1 - np.exp(-20 * steps)) + 0.1 + (0.15 + 0.55 * late - early) * rise, 0.01)


def sleeper_world(seed: int, *, arms: int = 27, depth: int = 27) -> Recorded:
    """Early scores say nothing of late ones: arms rise late, to ends that were drawn apart from their starts."""
    rng = np.random.default_rng(seed)
    early, late, steps = rng.uniform(0, 0.3, arms)[:, None], rng.random(arms)[:, None], np.arange(1, depth + 1) / depth
    rise = 1 / (1 + np.exp(-(steps - 0.7) / 0.05))
    return _world(early * (1 - np.exp(-20 * steps)) + 0.1 + (0.15 + 0.55 * late - early) * rise, 0.01)


def flat_world(seed: int, *, arms: int = 12, depth: int = 20, stderr: float = 0.015) -> Recorded:
    """Nothing to find: every arm stays at chance, with the noise of its items."""
    rng = np.random.default_rng(seed)
    return _world(rng.normal(0.0, stderr, (arms, depth)), stderr)


def scaling_world(seed: int, *, sizes: int = 12, depth: int = 24, stderr: float = 0.015) -> Recorded:
    """Arms of growing size on a drawn loss law and a drawn ability, with offsets of their own and errors that persist.

    Law, ability and noise are drawn from ranges wider than the curve prior's one law, so this is a place to tune on.
    """
    rng = np.random.default_rng(seed)
    params = np.sort(10 ** rng.uniform(7.5, 9.3, sizes))
    tokens = 10 ** np.linspace(9, 11.5, depth) if rng.random() < 0.5 else np.linspace(1e10, 3e11, depth)
    size_part = rng.uniform(100, 900) * params ** -rng.uniform(0.28, 0.4)
    data_part = 10 ** rng.uniform(2.6, 3.4) * tokens ** -rng.uniform(0.28, 0.38)
    progress = -np.log10(size_part[:, None] + data_part[None]) + rng.normal(0, 0.03, (sizes, 1))
    low, high = progress.min(), progress.max()
    middle, width = rng.uniform(low + 0.2 * (high - low), high), rng.uniform(0.05, 0.25) * (high - low)
    clean = rng.uniform(0.15, 1.0) / (1 + np.exp(-(progress - middle) / width))
    drift = np.cumsum(rng.normal(0, 0.006, (sizes, depth)), axis=1)
    scores = clean + drift + rng.normal(0, stderr, (sizes, depth))
    return Recorded(
        arms=tuple(
            Arm(name=f"size {number:02d}", exposure=tokens, cost=6 * size * tokens, size=float(size))
            for number, size in enumerate(params)
        ),
        scores=tuple(scores),
        stderrs=tuple(np.full(depth, stderr) for _ in range(sizes)),
    )


def scaling_suite(
    seed: int, *, tasks: int = 6, sizes: int = 12, depth: int = 24, stderr: float = 0.015
) -> list[Recorded]:
    """Several tasks on the same arms, which all follow one drawn law: a history that has something to teach.

    The law is one of three kinds with drawn constants: loss, tokens times a power of size, or tokens alone under ceilings that
    grow with size.
    """
    rng = np.random.default_rng(seed)
    params = np.sort(10 ** rng.uniform(7.5, 9.3, sizes))
    tokens = 10 ** np.linspace(9, 11.5, depth) if rng.random() < 0.5 else np.linspace(1e10, 3e11, depth)
    size_part, data_part, lift = _drawn_law(rng, params, tokens)
    progress = size_part[:, None] + data_part if data_part.ndim == 1 else data_part
    arms = tuple(
        Arm(name=f"size {number:02d}", exposure=tokens, cost=6 * size * tokens, size=float(size))
        for number, size in enumerate(params)
    )
    low, high = progress.min(), progress.max()
    found = []
    for _ in range(tasks):
        own = progress + rng.normal(0, 0.02, (sizes, 1)) * (high - low)
        middle, width = rng.uniform(low, low + 0.9 * (high - low)), rng.uniform(0.05, 0.25) * (high - low)
        clean = rng.uniform(0.15, 1.0) * lift[:, None] / (1 + np.exp(-(own - middle) / width))
        drift = np.cumsum(rng.normal(0, 0.006, (sizes, depth)), axis=1)
        scores = clean + drift + rng.normal(0, stderr, (sizes, depth))
        found.append(
            Recorded(arms=arms, scores=tuple(scores), stderrs=tuple(np.full(depth, stderr) for _ in range(sizes)))
        )
    return found


def _drawn_law(
    rng: np.random.Generator, params: Float[np.ndarray, " arm"], tokens: Float[np.ndarray, " depth"]
) -> tuple[Float[np.ndarray, " arm"], Float[np.ndarray, "..."], Float[np.ndarray, " arm"]]:
    """The part of progress that size gives, the part that tokens give (or all of it), and the lift of the ceilings."""
    kind, flat = rng.integers(3), np.ones(len(params))
    if kind == 0:
        size_part = rng.uniform(100, 900) * params ** -rng.uniform(0.28, 0.4)
        data_part = 10 ** rng.uniform(2.6, 3.4) * tokens ** -rng.uniform(0.28, 0.38)
        return flat, -np.log10(size_part[:, None] + data_part), flat
    if kind == 1:
        return rng.uniform(0, 1) * np.log10(params), np.log10(tokens), flat
    return 0 * flat, np.log10(tokens), (params / params.max()) ** rng.uniform(0.1, 0.35)
