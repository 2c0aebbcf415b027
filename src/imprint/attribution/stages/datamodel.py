"""Datamodels of a stage: pipelines without random parts of its rows, and their outcome regressed on which rows were in."""

import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float64
from pydantic import Field
from sklearn.exceptions import ConvergenceWarning

from imprint.attribution.methods.datamodels import FOLDS, fit_datamodels
from imprint.attribution.stages.left_out import RandomPart, without
from imprint.attribution.stages.names import row_names
from imprint.attribution.stages.pipeline import stage_back
from imprint.attribution.stages.question import StageQuestion
from imprint.attribution.stages.scores import StageScores
from imprint.capabilities.pair_margins import ItemMargins, PairMargins
from imprint.errors import ConfigError
from imprint.interventions.data import load_rows
from imprint.models.finetuning import FineTuning
from imprint.runs import Context, derive
from imprint.stats import spearman

FEWEST_SUBSETS = 8
"""Below it a fold of the held-out correlation leaves too few pipelines to choose a penalty."""


def random_parts(final: FineTuning, back: int, *, num_subsets: int, share: float, seed: int) -> tuple[RandomPart, ...]:
    """The rows of the stage `back` stages before the last that each of the pipelines does without."""
    rows = stage_back(final, back).rows
    return tuple(
        RandomPart(rows=rows, share=share, seed=derive(seed, "datamodel", number)) for number in range(num_subsets)
    )


def subset_pipelines(
    final: FineTuning, back: int, *, num_subsets: int, share: float = 0.5, seed: int
) -> tuple[FineTuning, ...]:
    """The plan: pipelines that differ in which random part (`share`) of that stage's rows they do without.

    Run them with any executor before `StageDatamodel`, which then finds them done.

    Raises:
        ConfigError: the pipeline has no such stage.
    """
    parts = random_parts(final, back, num_subsets=num_subsets, share=share, seed=seed)
    return tuple(without(final, back, part) for part in parts)


class StageDatamodel(StageQuestion):
    """For each row of a stage the mean change of the outcome by its being in, when a random part of the others is.

    Ridge or lasso, whichever predicts better, of the mean margin of `num_subsets` pipelines on which rows they were trained
    with; positive: training on the row raises the outcome. `checks` holds `held_out_spearman`, the rank correlation of the
    outcomes with what fits that did not see them predict (0: the scores say nothing), and the out-of-fold R^2.
    Cost: one pipeline from `back` on a subset. Source: Ilyas et al. 2022.
    Trust: it assumes nothing about training but that row effects add up; with fewer pipelines than rows it recovers little
    (correlation .72 with the truth from 60 runs for 100 rows even without noise, METHODS AT-IF-6), so read the held-out
    correlation first (by chance 0 +- 1.2 / sqrt(num_subsets)). All pipelines share one seed a stage, so that what other seeds
    would change does not show.
    """

    num_subsets: int = Field(ge=FEWEST_SUBSETS)
    share: float = Field(default=0.5, gt=0, lt=1)
    """Probability of each row to be left out."""
    seed: int = Field(ge=0)

    def execute(self, folder: Path, context: Context) -> None:
        """Measure every pipeline, fit and save `StageScores`; progress counts the step itself."""
        torch.set_num_threads(1)
        ids = row_names(context.get(stage_back(self.final, self.back).rows))
        kept, outcomes = np.ones((self.num_subsets, len(ids)), dtype=bool), np.zeros(self.num_subsets)
        parts = random_parts(self.final, self.back, num_subsets=self.num_subsets, share=self.share, seed=self.seed)
        for number, part in enumerate(parts):
            kept[number, load_rows(context.get(part))] = False
            pipeline = without(self.final, self.back, part)
            measured = ItemMargins.load(context.get(PairMargins(model=pipeline, pairs=self.pairs)))
            outcomes[number] = measured.margins.mean()
        context.advance(1)
        if self.num_subsets < len(ids):
            context.warn(
                f"{self.num_subsets} pipelines for {len(ids)} rows: the datamodel sees only a part of their effects"
            )
        fit_subsets(ids, kept, outcomes).save(folder)


def fit_subsets(
    ids: tuple[str, ...], kept: Bool[np.ndarray, "run row"], outcomes: Float64[np.ndarray, "run"]
) -> StageScores:
    """The datamodel of these outcomes, with `held_out_spearman` and `out_of_fold_r2` in its checks.

    Raises:
        ConfigError: fewer than 8 runs.
    """
    if len(kept) < FEWEST_SUBSETS:
        raise ConfigError(f"{len(kept)} pipelines are too few for a datamodel; run at least {FEWEST_SUBSETS}")
    masks = kept.astype(np.float64)
    weights, share = _fit(masks, outcomes)
    checks = {"held_out_spearman": _held_out(masks, outcomes), "out_of_fold_r2": share}
    return StageScores(ids=ids, values=weights, method="datamodel", checks=checks)


def _fit(
    masks: Float64[np.ndarray, "run row"], outcomes: Float64[np.ndarray, "run"]
) -> tuple[Float64[np.ndarray, "row"], float]:
    """Weights and out-of-fold R^2; a lasso that has not converged is judged like any other, by what it predicts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        weights, shares = fit_datamodels(masks, outcomes[:, None])
    return weights[0], float(shares[0])


def _held_out(masks: Float64[np.ndarray, "run row"], outcomes: Float64[np.ndarray, "run"]) -> float:
    """Spearman of every outcome with the prediction of a fit to the other folds, as a difference from those folds' mean."""
    runs, predicted = np.arange(len(masks)), np.zeros(len(masks))
    for fold in np.array_split(runs, FOLDS):
        rest = np.setdiff1d(runs, fold)
        weights, _ = _fit(masks[rest], outcomes[rest])
        predicted[fold] = (masks[fold] - masks[rest].mean(0)) @ weights
    varies = np.ptp(predicted) > 0 and np.ptp(outcomes) > 0
    return spearman(predicted, outcomes) if varies else 0.0
