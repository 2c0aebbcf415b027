"""Verdicts on the registered hypotheses, which runs that ended before emergence cannot turn."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl
from scipy.stats import norm

from imprint.emergence import Onset
from imprint.stats import Effect, Hypothesis, Verdict, judge, judge_paired
from imprint.studies.mechanism.comparison import values
from imprint.studies.mechanism.config import MechanismStudy
from imprint.studies.mechanism.metrics import CAUSE_AUC, LOG_ONSET, parse_metric
from imprint.studies.mechanism.ranking_quality import MethodScore, cause_auc


def judge_all(
    study: MechanismStudy,
    table: pl.DataFrame,
    onsets: Mapping[tuple[str, int], Onset],
    methods: Sequence[MethodScore],
    seeds: Sequence[int],
) -> list[Verdict]:
    """A verdict for every registered hypothesis, in the order of registration."""
    auc = cause_auc(methods, study.ranking)
    return [
        _judge_auc(hypothesis, auc)
        if hypothesis.metric == CAUSE_AUC and auc is not None
        else _judge_arms(hypothesis, table, onsets, seeds)
        for hypothesis in study.hypotheses
    ]


def _judge_auc(hypothesis: Hypothesis, auc: Effect) -> Verdict:
    """The AUC's interval and p from its standard error, at the level that the registered alpha asks."""
    spread = max((auc.high - auc.low) / (2 * float(norm.ppf(0.5 + auc.level / 2))), 1e-12)
    level = max(auc.level, 1 - hypothesis.alpha)
    wider = float(norm.ppf(0.5 + level / 2) / norm.ppf(0.5 + auc.level / 2))
    effect = replace(
        auc,
        low=auc.estimate - wider * (auc.estimate - auc.low),
        high=auc.estimate + wider * (auc.high - auc.estimate),
        level=level,
        metric=hypothesis.metric,
    )
    sign = 1.0 if hypothesis.direction == "greater" else -1.0
    return judge(hypothesis, effect, float(norm.sf(sign * (auc.estimate - hypothesis.threshold) / spread)))


def _judge_arms(
    hypothesis: Hypothesis, table: pl.DataFrame, onsets: Mapping[tuple[str, int], Onset], seeds: Sequence[int]
) -> Verdict:
    metric, treated, control = parse_metric(hypothesis.metric)
    verdict = judge_paired(
        hypothesis,
        values(table, onsets, treated, metric, seeds),
        values(table, onsets, control, metric, seeds),
        seed=0,
        unit="pipeline seed",
        control_name=control,
    )
    if metric != LOG_ONSET:
        return verdict
    late = {arm: sum(onsets[arm, seed].censored for seed in seeds) for arm in (treated, control)}
    if not _could_turn(verdict, may_be_higher=late[treated] > 0, may_be_lower=late[control] > 0):
        return verdict
    ended = ", ".join(f"{count} of {len(seeds)} runs of {arm}" for arm, count in late.items())
    return replace(verdict, verdict="inconclusive", reason=f"{ended} ended before emergence; {verdict.reason}")


def _could_turn(verdict: Verdict, *, may_be_higher: bool, may_be_lower: bool) -> bool:
    """Whether a shift that is only a bound could lie on the other side of the threshold.

    A treated run that ended before emergence was counted too early, so the true shift may be higher; one of the control,
    lower. "No difference" needs both sides to be known.
    """
    if verdict.verdict == "inconclusive":
        return False
    if verdict.direction == "absolute-less":
        if verdict.verdict == "supported":
            return may_be_higher or may_be_lower
        return may_be_lower if verdict.statistic > 0 else may_be_higher
    says_above = (verdict.direction == "greater") == (verdict.verdict == "supported")
    return may_be_lower if says_above else may_be_higher
