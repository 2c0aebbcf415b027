"""Hypotheses of a mechanism study before the run: the defaults, and what can be judged at all."""

import math
from collections.abc import Collection, Sequence

from imprint.errors import ConfigError
from imprint.stats import Hypothesis, registration_digest
from imprint.studies.mechanism.metrics import CAUSE_AUC, REPEATS_LOSS, parse_metric

SIGN_FLIP = "paired sign-flip permutation over pipeline seeds, one-sided"
FIFTEEN_PERCENT = round(math.log(1.15), 4)
"""A shift of the emergence step by 15 %, in log steps."""


def default_hypotheses() -> tuple[Hypothesis, ...]:
    """What the demo claims before it has seen anything."""

    def paired(name: str, statement: str, metric: str, threshold: float, direction: str) -> Hypothesis:
        fields = {"id": name, "statement": statement, "metric": metric, "threshold": threshold}
        return Hypothesis.model_validate({**fields, "direction": direction, "test": SIGN_FLIP})

    return (
        Hypothesis(
            id="H1",
            statement="Influence on the head ranks the planted novel repeats above all other documents.",
            metric=CAUSE_AUC,
            threshold=0.9,
            direction="greater",
            test="normal test of the AUC with its bootstrap standard error over documents, one-sided",
        ),
        paired(
            "H2",
            "Deleting the top decile delays emergence by at least 15 % against deleting matched random documents.",
            "onset.delete_top_vs_delete_random",
            FIFTEEN_PERCENT,
            "greater",
        ),
        paired(
            "H3",
            "Deleting as many random documents shifts emergence by less than 15 %.",
            "onset.delete_random_vs_keep",
            FIFTEEN_PERCENT,
            "absolute-less",
        ),
        paired(
            "H4",
            "Duplicating the top decile brings emergence forward against duplicating random documents.",
            "onset.duplicate_top_vs_duplicate_random",
            0.0,
            "less",
        ),
        paired(
            "H5",
            "Deleting the top-ranked natural documents delays emergence by at least 15 % against random natural ones.",
            "onset.delete_natural_vs_delete_random_natural",
            FIFTEEN_PERCENT,
            "greater",
        ),
        paired(
            "H6",
            "Deleting the top decile weakens in-context learning: icl.olsson rises against random deletion.",
            "icl.olsson.delete_top_vs_delete_random",
            0.0,
            "greater",
        ),
    )


def applicable_hypotheses(arms: Collection[str], *, planted: bool) -> tuple[Hypothesis, ...]:
    """The default hypotheses that a study with these arms can judge."""
    return tuple(item for item in default_hypotheses() if not _obstacle(item.metric, arms, planted=planted))


def check_hypotheses(hypotheses: Sequence[Hypothesis], arms: Collection[str], *, planted: bool) -> None:
    """Refuse, before anything runs, what the study could not judge at its end.

    Raises:
        ConfigError: a metric is not known, an arm is not run, or nothing is planted that the metric speaks of.
        InputError: two hypotheses share an id.
    """
    registration_digest(hypotheses)
    for hypothesis in hypotheses:
        obstacle = _obstacle(hypothesis.metric, arms, planted=planted)
        if obstacle:
            raise ConfigError(f"hypothesis {hypothesis.id} cannot be judged: {obstacle}")


def _obstacle(name: str, arms: Collection[str], *, planted: bool) -> str:
    """Why a registered metric cannot be judged; empty if it can."""
    if name == CAUSE_AUC:
        return "" if planted else f"{name} needs planted documents; set corpus.novel_repeats above 0"
    metric, *named = parse_metric(name)
    if metric == REPEATS_LOSS and not planted:
        return f"{metric} is measured on planted documents; set corpus.novel_repeats above 0"
    missing = [arm for arm in named if arm not in arms]
    return f"the study has no arm '{missing[0]}'; its arms are {', '.join(arms)}" if missing else ""
