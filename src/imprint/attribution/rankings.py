"""One score a row by name: a probe, a probe without curvature, the consensus of the probes, or a baseline."""

from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import rankdata

from imprint.attribution.engine.scores import Scores
from imprint.attribution.head import BASELINES, load_baselines
from imprint.corpus import Packed
from imprint.errors import ConfigError

CONSENSUS = "consensus"
"""Mean rank over the induction probes: the ranking that no single probe's weakness decides."""
PROBES = ("log_prob", "contrastive", "attention")
RANKINGS = (CONSENSUS, *PROBES, *(f"{name}/dot" for name in PROBES), *BASELINES)
"""Every name that `ranking` knows after an attribution to an induction head."""


def consensus(scores: Scores) -> np.ndarray:
    """The mean over the probes (two for the parts "vo") of each row's rank, divided by the rows (1 = top under all)."""
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


def score_table(folder: Path, packed: Packed) -> pl.DataFrame:
    """One line a row, in the order of `packed`: document, domain, every query, the baselines, and the consensus if any."""
    scores = Scores.load(folder)
    columns = {"document": packed.row_ids, "domain": packed.row_domains}
    if set(PROBES) & set(scores.queries):
        columns[CONSENSUS] = consensus(scores)
    columns |= {name: scores.of(name) for name in scores.queries}
    columns |= {f"baseline: {name}": values for name, values in load_baselines(folder).items()}
    return pl.DataFrame(columns)
