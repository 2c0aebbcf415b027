"""The emergence study: what makes abilities emerge with scale, by interventions on training, and what comes next.

options, config  the study's file
hypotheses       what is claimed beside the graph
sizes, mixtures  a scale as a model, an arm's mixture of rows
fitting          whether arms do what they say at every scale
runs             every scale under every arm with every seed
measured         a run's trajectory
observed         from trajectories to observations of the graph and to a history of scores
abruptness       whether an ability came at once, or only its accuracy
beside           what decides no edge: taxonomy, structural equations, discovery
prediction       the held-out scale, predicted and then trained
policies         allocation policies on the runs
claims, study    the evidence ladder, and the whole on one screen
"""

from imprint.studies.emergence.abruptness import Abruptness
from imprint.studies.emergence.beside import Beside
from imprint.studies.emergence.config import DYNAMICS, EmergenceStudy
from imprint.studies.emergence.hypotheses import AUC, METRICS, SAVING, SKILL
from imprint.studies.emergence.observed import HISTORY_FILE, history, observations
from imprint.studies.emergence.options import Allocating, Arm, HeldOut, Measuring, Scale, Training
from imprint.studies.emergence.policies import AllocationFinding
from imprint.studies.emergence.prediction import Forecast, PredictionFinding
from imprint.studies.emergence.runs import Run, held_out_runs, trained_runs
from imprint.studies.emergence.sizes import architecture_of
from imprint.studies.emergence.study import EmergenceResult, run_emergence_study, train_interventions

__all__ = [
    "AUC",
    "DYNAMICS",
    "HISTORY_FILE",
    "METRICS",
    "SAVING",
    "SKILL",
    "Abruptness",
    "Allocating",
    "AllocationFinding",
    "Arm",
    "Beside",
    "EmergenceResult",
    "EmergenceStudy",
    "Forecast",
    "HeldOut",
    "Measuring",
    "PredictionFinding",
    "Run",
    "Scale",
    "Training",
    "architecture_of",
    "held_out_runs",
    "history",
    "observations",
    "run_emergence_study",
    "train_interventions",
    "trained_runs",
]
