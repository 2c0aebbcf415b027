"""trajectories: tables of scores over scales and steps, their curves, and what counts as emerged."""

from imprint.emergence.trajectories.artefact import Bend, bend, metric_artefact
from imprint.emergence.trajectories.curves import Axis, Curve, curves, first_points, task_domains, truncated
from imprint.emergence.trajectories.emerged import TAU, chance_corrected, emerged, standard_error, threshold
from imprint.emergence.trajectories.history import History, Skill
from imprint.emergence.trajectories.questions import Question, known_questions
from imprint.emergence.trajectories.table import read_table, trajectories

__all__ = [
    "TAU",
    "Axis",
    "Bend",
    "Curve",
    "History",
    "Question",
    "Skill",
    "bend",
    "chance_corrected",
    "curves",
    "emerged",
    "first_points",
    "known_questions",
    "metric_artefact",
    "read_table",
    "standard_error",
    "task_domains",
    "threshold",
    "trajectories",
    "truncated",
]
