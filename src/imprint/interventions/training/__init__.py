"""Interventions on components while a model trains: heads and neurons ablated or clamped, sites scaled, attention sharpened.

edit      TrainingEdit: what is done, where, to how many units, in which updates
effect    edited, check_edit: a model with the edits of one update in place
steps     TrainEdited: a training run under edits, content-addressed
arm       TrainingArm: a named intervention on components or optimiser, and a file of them
"""

from imprint.interventions.training.arm import TrainingArm, read_training_arms
from imprint.interventions.training.edit import TrainingEdit
from imprint.interventions.training.effect import check_edit, edited
from imprint.interventions.training.steps import TrainEdited

__all__ = ["TrainEdited", "TrainingArm", "TrainingEdit", "check_edit", "edited", "read_training_arms"]
