"""Made-up results of the four-abilities world whose every effect is known."""

import numpy as np
import polars as pl

from imprint.corpus import ABILITIES, KINDS
from imprint.studies.ability_perturbations import BASELINES, DOSES
from imprint.studies.planted_abilities import DeletionTruth


def planted_truth(effects, seeds=3, noise=0.02, learned=0.97):
    """Runs that lose what `effects` says, kind by ability."""
    rng = np.random.default_rng(0)
    untouched = np.full((seeds, 4), learned) + noise * rng.normal(size=(seeds, 4))
    without = untouched[None] - np.array(effects)[:, None, :] + noise * rng.normal(size=(4, seeds, 4))
    return DeletionTruth(untouched=untouched, without=without)


def influence_table(effects, family="LEACE erasure", control=0.0):
    """What perturbations of one family measured in two seeds."""
    rows = [
        {
            "cluster": kind,
            "ability": ability,
            "family": family,
            "setting": f"dose {dose}",
            "metric": metric,
            "estimate": float(dose * effects[row][column] + control),
            "low": 0.0,
            "high": 1.0,
            "p": 0.01,
            "control": control,
            "seed": seed,
        }
        for row, kind in enumerate(KINDS)
        for column, ability in enumerate(ABILITIES)
        for dose in (0.5, 1.0)
        for metric in ("correct", "log_prob")
        for seed in (0, 1)
    ]
    return pl.DataFrame(rows[::-1])


def influence_everywhere(effects):
    """Records in which every method measured the same effects."""
    return pl.concat([influence_table(effects, family) for family in (*DOSES, *BASELINES)])
