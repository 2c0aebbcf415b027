"""The names that a study measures and registers: metrics, the untouched arm, and how a registered metric is written."""

from imprint.errors import ConfigError

KEEP = "keep"
"""The arm of the untouched runs."""
STRENGTH = "induction.prefix_matching"
COPYING = "copy.accuracy"
LOG_ONSET = "onset"
"""Emergence in log training steps; an effect of .14 is a delay of 15 %."""
REPEATS_LOSS = "loss.repeats"
FINAL_METRICS = (
    STRENGTH,
    "previous_token",
    COPYING,
    "icl.olsson",
    "icl.mda",
    "icl.fewshot",
    "loss.heldout",
    REPEATS_LOSS,
)
CAUSE_AUC = "auc.novel_repeats"
"""How well the study's ranking separates the planted novel repeats from all other documents."""


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
