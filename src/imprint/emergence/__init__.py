"""Emergence: when a capability appeared in a run."""

from imprint.emergence.onset import Onset, inside_transition, onset

__all__ = ["Onset", "inside_transition", "onset"]
