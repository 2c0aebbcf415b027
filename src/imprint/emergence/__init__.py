"""Emergence: when a capability appeared in a run, and whether one will appear at a scale not yet reached.

onset, transition  when a mechanism formed in one run
trajectories       tables of scores over scales and steps, their curves, and what counts as emerged
predictor          P(an ability emerges by a later scale | its scores so far); a door of its own, since it loads lightgbm
"""

from imprint.emergence.onset import Onset, emergence_threshold, onset
from imprint.emergence.trajectories import Curve, curves, known_questions, read_table, trajectories
from imprint.emergence.transition import inside_transition, transition_checkpoints, transition_window

__all__ = [
    "Curve",
    "Onset",
    "curves",
    "emergence_threshold",
    "inside_transition",
    "known_questions",
    "onset",
    "read_table",
    "trajectories",
    "transition_checkpoints",
    "transition_window",
]
