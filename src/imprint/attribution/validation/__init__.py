"""Validation: retraining as the judge of every attribution method, and what must hold before it is asked.

subsets       which rows each retraining keeps: halves or small drops
retraining    retraining without chosen rows as content-addressed steps, paid once for all methods
lds           linear datamodelling score with intervals over subsets and queries, and its noise ceiling
qld           rise of each query's loss without its own highest-scored rows
planted       recall@k, reciprocal rank and AUC of planted rows
tail_patch    one more gradient step on the highest-scored rows
additivity    the sum of scores of a group against the effect of removing it
invariances   duplicates and batch sizes
"""

from imprint.attribution.validation.additivity import predicted_over_true
from imprint.attribution.validation.invariances import batch_gap, duplicate_gap, relative_gap
from imprint.attribution.validation.lds import Retrained, Seeds
from imprint.attribution.validation.planted import PlantedRecall, planted_recall
from imprint.attribution.validation.qld import qld, query_loss_difference, top_rows
from imprint.attribution.validation.retraining import (
    VALUES_FILE,
    Dropped,
    Retrain,
    RetrainableWorld,
    Retrainer,
    retrain_without,
)
from imprint.attribution.validation.subsets import Setting, Subsets, half_subsets, small_drops
from imprint.attribution.validation.tail_patch import tail_patch, tail_patches

__all__ = [
    "VALUES_FILE",
    "Dropped",
    "PlantedRecall",
    "Retrain",
    "RetrainableWorld",
    "Retrained",
    "Retrainer",
    "Seeds",
    "Setting",
    "Subsets",
    "batch_gap",
    "duplicate_gap",
    "half_subsets",
    "planted_recall",
    "predicted_over_true",
    "qld",
    "query_loss_difference",
    "relative_gap",
    "retrain_without",
    "small_drops",
    "tail_patch",
    "tail_patches",
    "top_rows",
]
