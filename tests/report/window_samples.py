"""A made-up window: two induction heads that share their top, two that do not, and an even stream."""

from functools import cache

import numpy as np

from imprint.attribution import PROBES, Scores, time_bins, transfer_matrix, window_agreement
from imprint.corpus import shuffled_stream
from imprint.studies.mechanism.window import WindowFindings

ROWS = 400
HEADS = [f"L{layer}.H{head}" for layer in (0, 1) for head in range(8)]
INDUCTION = ("L1.H1", "L1.H4", "L1.H6")


def scores(noise: float, seed: int) -> Scores:
    """Three probes that see one cause."""
    rng, cause = np.random.default_rng(seed), np.random.default_rng(0).normal(size=ROWS)
    rows = np.stack([cause + noise * rng.normal(size=ROWS) for _ in PROBES])
    return Scores(queries=PROBES, rows=rows, tokens=None, subspace="L1.H1/qkvo", checks={"split_half": 0.9})


@cache
def findings(shared: bool = True) -> WindowFindings:
    """Induction heads share a cause unless `shared` is false; all else as a finished study has it."""
    rng, cause = np.random.default_rng(1), np.random.default_rng(0).normal(size=ROWS)
    roles = {head: "induction" if head in INDUCTION else "" for head in HEADS} | {"L0.H2": "previous token"}
    table = {head: (cause if shared and head in INDUCTION else 0) + 0.5 * rng.normal(size=ROWS) for head in HEADS} | {
        "L0.H2 (previous token)": rng.normal(size=ROWS),
        "L0.H7": np.zeros(ROWS),
    }
    return WindowFindings(
        head="L1.H1",
        steps=(400, 600, 800),
        main=600,
        rows=ROWS,
        fraction=0.1,
        roles=roles,
        agreement=window_agreement(
            {step: scores(0.5, step) for step in (400, 600, 800)}, fraction=0.1, rates={400: 0.1, 600: 0.1, 800: 0.1}
        ),
        transfer={
            query: transfer_matrix(table, roles, fraction=0.1, draws=30) for query in ("log_prob", "contrastive")
        },
        time=time_bins(cause, shuffled_stream(ROWS, steps=100, batch=8, seed=0).rows, first=20, last=100, draws=99),
        checks={"split_half": 0.9},
        keys={"heads": "0" * 64},
    )
