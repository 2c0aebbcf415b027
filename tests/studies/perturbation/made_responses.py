"""Responses whose effects are known because they are written down."""

import numpy as np

from imprint.studies.perturbation.findings import Responses


def responses(
    *,
    cluster="code",
    ability="copa",
    family="ablation",
    harm=(0.0, 0.5, 1.0),
    control=(0.0, 0.0, 0.0),
    items=60,
    seed=0,
):
    """Each dose lowers every item's margin by `harm` (control: `control`) plus small noise; accuracy falls with it."""
    rng = np.random.default_rng(seed)
    base = rng.normal(-0.7, 0.3, items)
    noise = rng.normal(0, 0.05, (2, len(harm), items))
    target = base - np.array(harm)[:, None] - noise[0]
    drop = np.clip(np.array(harm), 0, 1)[:, None]
    correct = (rng.random(items) < 0.9).astype(float)
    return Responses(
        cluster=cluster,
        ability=ability,
        family=family,
        doses=tuple(float(dose + 1) for dose in range(len(harm))),
        base=base,
        target=target,
        control=base - np.array(control)[:, None] - noise[1],
        base_correct=correct,
        target_correct=correct * (rng.random((len(harm), items)) >= 0.4 * drop),
        chance=0.5,
        matched="random directions of equal rank",
    )
