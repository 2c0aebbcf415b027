"""Does an ability come at once, or only its accuracy? The bend of the score beside that of the answer's log-probability."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from imprint.emergence.trajectories import bend
from imprint.emergence.trajectories.artefact import FEWEST_POINTS
from imprint.studies.emergence.observed import untouched

Word = Literal["smooth", "abrupt", "abrupt in accuracy only", "too few checkpoints"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Abruptness:
    """How an ability came along training in the untouched runs of one scale, means over seeds; deltas are of the BIC."""

    ability: str
    scale: str
    word: Word
    score_delta: float
    """By how much flat-then-rising describes the accuracy better than a line; above 6 it bends."""
    log_prob_delta: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        return asdict(self)


def abruptness(table: pl.DataFrame) -> tuple[Abruptness, ...]:
    """Every ability at every scale, in the untouched runs; METHODS AT-EM-5.

    Trust: a bend is convexity along log tokens with a few checkpoints; "abrupt" says no more than that.
    """
    mine = untouched(table).filter(pl.col("kind") == "ability", pl.col("step") > 0)
    means = (
        mine.group_by("scale", "params", "node", "tokens")
        .agg(pl.col("value", "log_prob").mean())
        .sort("params", "node", "tokens")
    )
    return tuple(
        _one(str(name[0]), str(name[1]), part) for name, part in means.group_by("node", "scale", maintain_order=True)
    )


def _one(ability: str, scale: str, part: pl.DataFrame) -> Abruptness:
    if len(part) < FEWEST_POINTS:
        return Abruptness(ability=ability, scale=scale, word="too few checkpoints", score_delta=0.0, log_prob_delta=0.0)
    x = np.log10(part["tokens"].to_numpy())
    score, continuous = (bend(x, part[column].to_numpy()) for column in ("value", "log_prob"))
    word: Word = "smooth"
    if score.found:
        word = "abrupt" if continuous.found else "abrupt in accuracy only"
    return Abruptness(ability=ability, scale=scale, word=word, score_delta=score.delta, log_prob_delta=continuous.delta)
