"""Emergence: when a capability appeared in a run."""

from imprint.emergence.onset import Onset, emergence_threshold, inside_transition, onset

__all__ = ["Onset", "emergence_threshold", "inside_transition", "onset"]
