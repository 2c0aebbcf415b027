"""Representation probes across checkpoints: what differs between models that were trained on different data.

readings          states, entropy and loss of one model on fixed conversations
outputs           entropy and loss of tokens
contrast_vectors  persona vectors and the assistant axis, with null and stability
projections       where states lie along an axis, and their shift
separability      held-out AUC and d' of two personas
directions        low-rank directions that separate checkpoints or conditions
condition_probe   a linear reader of the condition
measurement       what is kept of a checkpoint
scalars           its named numbers
panel             checkpoints by scalars, against outcomes
steps             measurement and scalars as cached steps
"""

from imprint.mechanisms.checkpoints.condition_probe import ConditionProbe, condition_probe
from imprint.mechanisms.checkpoints.contrast_vectors import (
    AssistantAxis,
    ContrastVector,
    assistant_axis,
    contrast_vector,
)
from imprint.mechanisms.checkpoints.directions import (
    SeparatingDirections,
    checkpoint_directions,
    condition_directions,
)
from imprint.mechanisms.checkpoints.measurement import CheckpointMeasurement, stacked_states
from imprint.mechanisms.checkpoints.outputs import entropies_and_losses
from imprint.mechanisms.checkpoints.panel import Panel, panel
from imprint.mechanisms.checkpoints.projections import cosines, mean_over_prompts, projection_shift, projections
from imprint.mechanisms.checkpoints.readings import Position, PromptReadings, read_prompts
from imprint.mechanisms.checkpoints.scalars import checkpoint_scalars
from imprint.mechanisms.checkpoints.separability import Separability, separability
from imprint.mechanisms.checkpoints.steps import SCALARS_FILE, CheckpointScalars, Contrast, MeasureCheckpoint

__all__ = [
    "SCALARS_FILE",
    "AssistantAxis",
    "CheckpointMeasurement",
    "CheckpointScalars",
    "ConditionProbe",
    "Contrast",
    "ContrastVector",
    "MeasureCheckpoint",
    "Panel",
    "Position",
    "PromptReadings",
    "Separability",
    "SeparatingDirections",
    "assistant_axis",
    "checkpoint_directions",
    "checkpoint_scalars",
    "condition_directions",
    "condition_probe",
    "contrast_vector",
    "cosines",
    "entropies_and_losses",
    "mean_over_prompts",
    "panel",
    "projection_shift",
    "projections",
    "read_prompts",
    "separability",
    "stacked_states",
]
