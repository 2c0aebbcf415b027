"""The names that a study measures and registers: metrics, the untouched arm, and how a registered metric is written."""

from imprint.capabilities import PERPLEXITY, RECALL
from imprint.errors import ConfigError

KEEP = "keep"
"""The arm of the untouched runs."""
STRENGTH = "induction.prefix_matching"
COPYING = "copy.accuracy"
LOG_ONSET = "onset"
"""Emergence in log training steps; an effect of .14 is a delay of 15 %."""
REPEATS_LOSS = "loss.repeats"
OTHER_HEADS = "induction.other_heads"
FINAL_METRICS = (
    STRENGTH,
    "previous_token",
    COPYING,
    "icl.olsson",
    "icl.mda",
    "icl.fewshot",
    "loss.heldout",
    REPEATS_LOSS,
    OTHER_HEADS,
    "copying",
    "duplicate_token",
    PERPLEXITY,
    RECALL,
)
DOWNSTREAM = (PERPLEXITY, RECALL)
"""What an edit must leave as it was: perplexity of foreign text, and recall of the training text."""
CAUSE_AUC = "auc.novel_repeats"
"""How well the study's ranking separates the planted novel repeats from all other documents."""


def dose_label(fraction: float) -> str:
    """How an arm's name says at which share it edits: 0.03 is `3pct`."""
    return f"{100 * fraction:g}pct".replace(".", "p")


def untouched(arm: str) -> str:
    """The untouched arm of the same size: arms of another scale end in `@` and its name."""
    _, at, scale = arm.partition("@")
    return KEEP + at + scale


def parse_metric(name: str) -> tuple[str, str, str]:
    """The metric, treated arm and control of a registered metric such as `onset.delete_top_vs_delete_random`.

    Raises:
        ConfigError: it is not written so, or the metric is not known.
    """
    metric, _, arms = name.rpartition(".")
    treated, separator, control = arms.partition("_vs_")
    if not separator or metric not in (LOG_ONSET, *FINAL_METRICS):
        known = ", ".join((LOG_ONSET, *FINAL_METRICS))
        raise ConfigError(
            f"hypothesis metric '{name}' is not known; write {CAUSE_AUC} or <metric>.<arm>_vs_<control> with metric"
            f" one of {known}"
        )
    return metric, treated, control
