"""From numbers to claims on the evidence ladder, and to verdicts on the registered hypotheses."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import norm

from imprint.emergence import Onset
from imprint.errors import ConfigError
from imprint.stats import Claim, Effect, Evidence, Hypothesis, Verdict, judge, judge_paired
from imprint.studies.arms import KEEP
from imprint.studies.comparison import FINAL_METRICS, LOG_ONSET, STRENGTH, ArmEffect, values
from imprint.studies.config import FIFTEEN_PERCENT, NOVEL_REPEATS, MechanismStudy
from imprint.studies.ranking_quality import MethodScore

CAPABILITY = "in-context copying of novel sequences"
RETRAINING_TRUST = (
    "five seeds bound the shift of emergence only roughly; a censored onset is a lower bound of the delay"
)


def judge_all(
    study: MechanismStudy,
    table: pl.DataFrame,
    onsets: Mapping[tuple[str, int], Onset],
    methods: Sequence[MethodScore],
    seeds: Sequence[int],
) -> list[Verdict]:
    """A verdict for every registered hypothesis whose arms were run, in the order of registration."""
    present = set(table["arm"].unique())
    verdicts = []
    for hypothesis in study.hypotheses:
        if hypothesis.metric == "auc.novel_repeats":
            effect = cause_auc(methods, study.ranking)
            verdicts.extend([] if effect is None else [_judge_auc(hypothesis, effect)])
            continue
        metric, treated, control = parse_metric(hypothesis.metric)
        if {treated, control} <= present:
            verdicts.append(
                judge_paired(
                    hypothesis,
                    values(table, onsets, treated, metric, seeds),
                    values(table, onsets, control, metric, seeds),
                    seed=0,
                    unit="pipeline seed",
                    control_name=control,
                )
            )
    return verdicts


def parse_metric(name: str) -> tuple[str, str, str]:
    """The metric, treated arm and control of a registered metric such as `onset.delete_top_vs_delete_random`."""
    metric, _, arms = name.rpartition(".")
    treated, separator, control = arms.partition("_vs_")
    if not separator or metric not in (LOG_ONSET, *FINAL_METRICS):
        known = ", ".join((LOG_ONSET, *FINAL_METRICS))
        raise ConfigError(
            f"hypothesis metric '{name}' is not known; write auc.novel_repeats or <metric>.<arm>_vs_<control> with metric"
            f" one of {known}"
        )
    return metric, treated, control


def _judge_auc(hypothesis: Hypothesis, effect: Effect) -> Verdict:
    spread = max((effect.high - effect.low) / (2 * 1.96), 1e-12)
    named = Effect(**{**effect.as_dict(), "metric": hypothesis.metric})
    sign = 1.0 if hypothesis.direction == "greater" else -1.0
    return judge(hypothesis, named, float(norm.sf(sign * (effect.estimate - hypothesis.threshold) / spread)))


def cause_auc(methods: Sequence[MethodScore], ranking: str, negatives: str = "all other documents") -> Effect | None:
    """How well a ranking separates the planted novel repeats from other documents; None where nothing is planted."""
    question = f"novel repeats against {negatives}"
    found = (row.effect for row in methods if (row.method, row.question) == (ranking, question))
    return next(found, None)


def draw_claims(
    study: MechanismStudy,
    head: str,
    location: Mapping[str, Any],
    methods: Sequence[MethodScore],
    effects: Sequence[ArmEffect],
) -> list[Claim]:
    """One claim for the treated documents and one for the highest-ranked natural documents, with evidence both ways."""
    rows = {row["head"]: row for row in location["heads"]}
    mechanism = f"{head} ({rows[head]['role'] or 'strongest candidate'} head)"
    share = f"the {study.interventions.fraction:.0%} of documents with the highest influence"
    evidence = _mechanism_evidence(head, rows, location)
    planted = cause_auc(methods, study.ranking)
    claims = [
        Claim(
            data=f"{share} (planted {NOVEL_REPEATS} in the main)" if planted else share,
            mechanism=mechanism,
            capability=CAPABILITY,
            evidence=(*_association(planted), *evidence, *_retraining("delete_top", effects)),
        )
    ]
    if any(effect.arm == "delete_natural" for effect in effects):
        natural = _mirrored(cause_auc(methods, study.ranking, "natural text"))
        claims.append(
            Claim(
                data=f"{share} among natural text",
                mechanism=mechanism,
                capability=CAPABILITY,
                evidence=(*_association(natural), *evidence, *_retraining("delete_natural", effects)),
            )
        )
    return claims


def _mirrored(auc: Effect | None) -> Effect | None:
    """The AUC of the other class."""
    if auc is None:
        return None
    flipped = {"estimate": 1 - auc.estimate, "low": 1 - auc.high, "high": 1 - auc.low}
    return Effect(**{**auc.as_dict(), **flipped, "control": NOVEL_REPEATS})


def _association(auc: Effect | None) -> list[Evidence]:
    if auc is None:
        return []
    return [
        Evidence(
            rung=0,
            name="influence ranks these documents above the others (AUC)",
            effect=auc,
            passed=auc.low > 0.5,
            null=".5, a random ranking",
            trust="first-order and at one checkpoint; the cheap baselines stand beside it",
        )
    ]


def _mechanism_evidence(
    head: str, rows: Mapping[str, Mapping[str, Any]], location: Mapping[str, Any]
) -> list[Evidence]:
    row, others = rows[head], [name for name in rows if name != head]
    restored = {item["head"]: Effect(**item["effect"]) for item in location["denoising"]}
    usual = float(np.median([restored[name].estimate for name in others]))
    ablations = {name: Effect(**rows[name]["ablation"]) for name in rows}
    rival = max(others, key=lambda name: ablations[name].estimate)
    ordinary = float(np.median([ablations[name].estimate for name in others]))
    return [
        Evidence(
            rung=1,
            name="prefix matching of the head, over two repeat periods",
            effect=Effect(**row["prefix_matching"]),
            passed=row["p_induction"] <= 0.05,
            null=f"largest score over heads at random targets or at initialisation: 95 % below {location['null_prefix_95']:.3f}",
            note=f"p = {row['p_induction']:.3g}; looks {row['best_offset']:+d} from the previous occurrence",
            trust="attention is not use: read it with the ablation",
        ),
        Evidence(
            rung=2,
            name="mean ablation lowers the copy's log-probability (nats a token)",
            effect=ablations[head],
            passed=ablations[head].low > max(0.0, ordinary),
            null=f"the same for every other head: median {ordinary:.2f}, largest {ablations[rival].estimate:.2f} ({rival})",
            note=f"copy accuracy falls by {row['ablation_accuracy']:.2f}",
            trust="mean ablation keeps first moments only; heads that share the job each look dispensable",
        ),
        Evidence(
            rung=3,
            name="denoising: the head's clean output restores copying (share of the log-probability)",
            effect=restored[head],
            passed=restored[head].low > max(0.0, usual),
            null=f"the same for every other head: median {usual:.2f}",
            trust="the corrupted run keeps all else it had; shares of heads need not add up to one",
        ),
    ]


def _retraining(arm: str, effects: Sequence[ArmEffect]) -> list[Evidence]:
    """The arm's delay and loss of strength against its controls, and each control's own shift, which must be small."""
    treated = [item for item in effects if item.arm == arm and item.control != KEEP]
    controls = {item.control for item in treated}
    found = [_arm_evidence(item) for item in treated if item.metric in (LOG_ONSET, STRENGTH)]
    return found + [
        Evidence(
            rung=4,
            name=f"control {item.arm}: emergence shifts by less than 15 % (log steps)",
            effect=item.effect,
            passed=abs(item.effect.estimate) < FIFTEEN_PERCENT,
            null="the untouched run of the same seed",
            trust=RETRAINING_TRUST,
        )
        for item in effects
        if item.arm in controls and item.control == KEEP and item.metric == LOG_ONSET
    ]


def _arm_evidence(item: ArmEffect) -> Evidence:
    delay = item.metric == LOG_ONSET
    late = f"{item.censored} of {item.effect.n} runs ended before emergence, so the delay is at least this"
    return Evidence(
        rung=4,
        name=f"{item.arm}: " + ("delay of emergence (log steps)" if delay else f"change of the final {STRENGTH}"),
        effect=item.effect,
        passed=item.effect.low > 0 if delay else item.effect.high < 0,
        null=f"{item.control}, same seeds",
        note=late if item.censored else "",
        trust=RETRAINING_TRUST,
    )
