"""Training as a differentiable function of its data: exact metagradients across stages, retraining, segmented unrolling."""

from imprint.attribution.unrolled.adapters import Full, LowRank, Trained, low_rank
from imprint.attribution.unrolled.leave_one_out import leave_one_out
from imprint.attribution.unrolled.objectives import NextToken, Objective, Preference, row_log_likelihood
from imprint.attribution.unrolled.optimisers import AdamW, Optimiser, Schedule, Sgd, constant, warm_up
from imprint.attribution.unrolled.parameters import Params, measured, parameters_of
from imprint.attribution.unrolled.planted import LinearWorld, TransportErrors, linear_world, transport_errors
from imprint.attribution.unrolled.smoothness import metasmoothness
from imprint.attribution.unrolled.source import Curvature, ekfac_curvature, source_scores
from imprint.attribution.unrolled.stages import Stage
from imprint.attribution.unrolled.training import Checkpoint, Training, Weights, language_model_training
from imprint.attribution.unrolled.transport import tracin_scores

__all__ = [
    "AdamW",
    "Checkpoint",
    "Curvature",
    "Full",
    "LinearWorld",
    "LowRank",
    "NextToken",
    "Objective",
    "Optimiser",
    "Params",
    "Preference",
    "Schedule",
    "Sgd",
    "Stage",
    "Trained",
    "Training",
    "TransportErrors",
    "Weights",
    "constant",
    "ekfac_curvature",
    "language_model_training",
    "leave_one_out",
    "linear_world",
    "low_rank",
    "measured",
    "metasmoothness",
    "parameters_of",
    "row_log_likelihood",
    "source_scores",
    "tracin_scores",
    "transport_errors",
    "warm_up",
]
