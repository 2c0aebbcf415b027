"""Emergence: when a capability appeared in a run."""

from imprint.emergence.onset import Onset, emergence_threshold, onset
from imprint.emergence.transition import inside_transition, transition_checkpoints, transition_window

__all__ = [
    "Onset",
    "emergence_threshold",
    "inside_transition",
    "onset",
    "transition_checkpoints",
    "transition_window",
]
