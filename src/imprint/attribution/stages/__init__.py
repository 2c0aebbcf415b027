"""Which rows of an earlier fine-tuning stage moved the outcome after the last one: TracIn, metagradients, datamodels."""

from imprint.attribution.stages.datamodel import StageDatamodel, fit_subsets, subset_pipelines
from imprint.attribution.stages.left_out import NamedRows, RandomPart, WithoutRows, without
from imprint.attribution.stages.metagradient import REPLAY_TOLERANCE, StageMetagradient
from imprint.attribution.stages.names import row_names
from imprint.attribution.stages.pipeline import chain, edited, order_of, stage_back
from imprint.attribution.stages.question import StageQuestion
from imprint.attribution.stages.scores import StageScores, stage_agreements
from imprint.attribution.stages.tracin import StageTracIn

__all__ = [
    "REPLAY_TOLERANCE",
    "NamedRows",
    "RandomPart",
    "StageDatamodel",
    "StageMetagradient",
    "StageQuestion",
    "StageScores",
    "StageTracIn",
    "WithoutRows",
    "chain",
    "edited",
    "fit_subsets",
    "order_of",
    "row_names",
    "stage_agreements",
    "stage_back",
    "subset_pipelines",
    "without",
]
