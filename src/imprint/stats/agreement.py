"""Agreement of several annotators: Krippendorff's alpha for nominal labels, with missing labels."""

import numpy as np
from jaxtyping import Float, Int

from imprint.errors import InputError
from imprint.stats.effects import Effect

MISSING = -1
"""The label of a unit that an annotator did not label."""


def krippendorff_alpha(
    labels: Int[np.ndarray, "annotator unit"],
    *,
    seed: int,
    metric: str = "Krippendorff's alpha (nominal)",
    level: float = 0.95,
    draws: int = 2000,
) -> Effect:
    """Krippendorff's alpha of nominal labels with a percentile bootstrap over units; -1 marks a missing label.

    With n_uc annotators who gave unit u the label c, m_u = sum_c n_uc >= 2, n_c = sum_u n_uc and n = sum_c n_c
    (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", nominal metric)::

        alpha = 1 - D_o / D_e
        D_o = 1/n sum_u (m_u^2 - sum_c n_uc^2) / (m_u - 1)      D_e = (n^2 - sum_c n_c^2) / (n (n - 1))

    1: perfect agreement; 0: as chance would have it; below 0: systematic disagreement. Units with fewer than two labels
    do not count.

    Raises:
        InputError: fewer than 2 annotators, fewer than 2 units with two labels, only one label in use, or a label < -1.

    Trust: with few units or one rare label the interval is wide and may be too narrow still; .80 is the usual bar for
    firm, .667 for tentative conclusions (Krippendorff 2004).
    """
    counts = _counts(labels)
    weights = np.random.default_rng(seed).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=draws)
    drawn = _alpha(counts, weights.astype(np.float64))
    drawn = drawn[np.isfinite(drawn)]
    estimate = float(_alpha(counts, np.ones((1, len(counts))))[0])
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    lost = draws - len(drawn)
    return Effect(
        estimate=estimate,
        low=min(float(low), estimate),
        high=max(float(high), estimate),
        n=len(counts),
        unit="item",
        control="0: agreement by chance",
        metric=metric,
        level=level,
        note=f"{lost} of {draws} resamples had one label only and were left out" if lost else "",
    )


def _counts(labels: Int[np.ndarray, "annotator unit"]) -> Float[np.ndarray, "paired label"]:
    """How many annotators gave each unit each label, for the units that two or more labelled."""
    if labels.size and labels.min() < MISSING:
        raise InputError(f"label {labels.min()} is below -1: labels are numbered from 0, and -1 marks a missing one.")
    if len(labels) < 2:
        raise InputError(f"{len(labels)} annotator(s) cannot agree or disagree: give the labels of at least 2.")
    counts = (labels[:, :, None] == np.arange(labels.max(initial=0) + 1)).sum(axis=0).astype(np.float64)
    paired = counts[counts.sum(axis=1) >= 2]
    if len(paired) < 2:
        raise InputError(f"{len(paired)} unit(s) have labels of two annotators; at least 2 are needed: label more.")
    if (paired.sum(axis=0) > 0).sum() < 2:
        raise InputError(
            "all annotators gave every unit the same label, which leaves agreement undefined: vary the units."
        )
    return np.asarray(paired)


def _alpha(
    counts: Float[np.ndarray, "unit label"], weights: Float[np.ndarray, "draw unit"]
) -> Float[np.ndarray, "draw"]:
    """Alpha of units that are taken `weights` times each; NaN where only one label is left."""
    size = counts.sum(axis=1)
    disagreement = (size**2 - (counts**2).sum(axis=1)) / (size - 1)
    n = weights @ size
    observed = (weights @ disagreement) / n
    expected = (n**2 - ((weights @ counts) ** 2).sum(axis=1)) / (n * (n - 1))
    ratio = np.divide(observed, expected, out=np.full(len(n), np.nan), where=expected > 0)
    return np.asarray(1 - ratio)
