"""Capabilities: what a model can do, measured on items whose answers are known."""

from imprint.capabilities import icl
from imprint.capabilities.alphabet import ordinary_tokens
from imprint.capabilities.repeats import (
    RepeatProbe,
    copy_accuracy,
    copy_hits,
    copy_log_probs,
    copying,
    fewshot_hits,
    random_period_probes,
    repeat_probe,
)

__all__ = [
    "RepeatProbe",
    "copy_accuracy",
    "copy_hits",
    "copy_log_probs",
    "copying",
    "fewshot_hits",
    "icl",
    "ordinary_tokens",
    "random_period_probes",
    "repeat_probe",
]
