"""Responses whose effects are known because they are written down."""

import numpy as np

from imprint.studies.perturbation.findings import Responses


def responses(
    *,
    cluster="code",
    ability="copa",
    family="ablation",
    harm=(0.0, 0.5, 1.0),
    control=0.0,
    draws=4,
    spread=0.02,
    items=60,
    seed=0,
):
    """Each dose lowers every unit's margin by `harm`, each draw of the control by `control` plus a number of its own.

    Controls are drawn at the middle and the largest dose; `spread` is the standard deviation between draws.
    """
    rng = np.random.default_rng(seed)
    base = rng.normal(-0.7, 0.3, items)
    compared = ((len(harm) - 1) // 2, len(harm) - 1)
    target = base - np.array(harm, dtype=float)[:, None] - rng.normal(0, 0.05, (len(harm), items))
    own = rng.normal(0, spread, draws) if spread else np.zeros(draws)
    drawn = control + own[:, None, None] + rng.normal(0, 0.05, (draws, 2, items))
    drop = np.clip(np.array(harm, dtype=float), 0, 1)[:, None]
    correct = (rng.random(items) < 0.9).astype(float)
    return Responses(
        cluster=cluster,
        ability=ability,
        family=family,
        doses=tuple(float(dose + 1) for dose in range(len(harm))),
        base=base,
        target=target,
        compared=compared,
        control=base - drawn,
        base_correct=correct,
        target_correct=correct * (rng.random((len(harm), items)) >= 0.4 * drop),
        chance=0.5,
        matched="random directions of equal rank",
    )
