"""One score a row by name: a probe, a probe without curvature, the consensus of the probes, or a baseline."""

from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from imprint.attribution.head import BASELINES, load_baselines
from imprint.attribution.scores import Scores
from imprint.errors import ConfigError

CONSENSUS = "consensus"
"""Mean rank over the three induction probes: the ranking that no single probe's weakness decides."""
PROBES = ("log_prob", "contrastive", "attention")


def consensus(scores: Scores) -> np.ndarray:
    """The mean over the three probes of each row's rank, divided by the number of rows (1 = top under all three)."""
    ranks = [rankdata(scores.of(name)) for name in PROBES if name in scores.queries]
    if not ranks:
        raise ConfigError(f"scores of {scores.queries} hold none of the induction probes, so there is no consensus")
    return np.asarray(np.mean(ranks, axis=0) / scores.rows.shape[1])


def ranking(folder: Path, name: str) -> np.ndarray:
    """One score a row by name: a query, `<query>/dot`, "consensus" or a baseline."""
    scores = Scores.load(folder)
    if name == CONSENSUS:
        return consensus(scores)
    if name in scores.queries:
        return scores.of(name)
    if name in BASELINES:
        return load_baselines(folder)[name]
    known = ", ".join([CONSENSUS, *scores.queries, *BASELINES])
    raise ConfigError(f"no ranking is called '{name}'; choose one of {known}")
