"""Trajectories with known answers: an arm emerges at a step of our choice, or never."""

import polars as pl

from imprint.emergence import Onset

STEPS = (100, 200, 400, 800)


def trajectories(onsets, final=None, metrics=("icl.olsson", "loss.heldout")) -> pl.DataFrame:
    """A table of runs; `onsets` maps (arm, seed) to the step from which the head is there, None for never.

    `final` maps (arm, seed) to the last value of every metric in `metrics`, by default 0.
    """
    rows = []
    for (arm, seed), when in onsets.items():
        for step in STEPS:
            there = when is not None and step >= when
            values = {"induction.prefix_matching": 0.8 if there else 0.02, "copy.accuracy": 0.9 if there else 0.0}
            last = (final or {}).get((arm, seed), 0.0) if step == STEPS[-1] else 9.0
            values |= dict.fromkeys(metrics, last)
            rows += [{"arm": arm, "seed": seed, "step": step, "metric": m, "value": v} for m, v in values.items()]
    return pl.DataFrame(rows)


def dated(steps) -> dict[tuple[str, int], Onset]:
    """Onsets by hand: (arm, seed) to a step, or to (step,) for a run that ended there before emergence."""
    return {
        run: Onset(step=float(when[0]), censored=True)
        if isinstance(when, tuple)
        else Onset(step=float(when), censored=False)
        for run, when in steps.items()
    }
