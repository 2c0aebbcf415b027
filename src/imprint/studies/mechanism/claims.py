"""From numbers to claims on the evidence ladder."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from imprint.stats import Claim, Effect, Evidence
from imprint.studies.mechanism.comparison import ArmEffect
from imprint.studies.mechanism.config import MechanismStudy
from imprint.studies.mechanism.hypotheses import FIFTEEN_PERCENT
from imprint.studies.mechanism.metrics import KEEP, LOG_ONSET, STRENGTH
from imprint.studies.mechanism.options import NOVEL_REPEATS
from imprint.studies.mechanism.ranking_quality import MethodScore, basis, cause_auc, cause_purity

CAPABILITY = "in-context copying of novel sequences"
RETRAINING_TRUST = (
    "five seeds bound the shift of emergence only roughly; a run that ended before emergence leaves only a bound"
)


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
    by = basis(study.ranking)
    share = f"the {study.interventions.fraction:.0%} of documents ranked highest by {by}"
    purity = cause_purity(methods, study.ranking)
    evidence = _mechanism_evidence(head, rows, location)
    planted = cause_auc(methods, study.ranking)
    claims = [
        Claim(
            data=share if purity is None else f"{share} ({purity:.0%} of them planted {NOVEL_REPEATS})",
            mechanism=mechanism,
            capability=CAPABILITY,
            evidence=(
                *_association(planted, by),
                *evidence,
                *_retraining("delete_top", effects),
                *_replication(study, effects),
            ),
        )
    ]
    if any(effect.arm == "delete_natural" for effect in effects):
        natural = _mirrored(cause_auc(methods, study.ranking, "natural text"))
        claims.append(
            Claim(
                data=f"{share} among natural text",
                mechanism=mechanism,
                capability=CAPABILITY,
                evidence=(*_association(natural, by), *evidence, *_retraining("delete_natural", effects)),
            )
        )
    return claims


def _mirrored(auc: Effect | None) -> Effect | None:
    """The AUC of the other class."""
    if auc is None:
        return None
    flipped = {"estimate": 1 - auc.estimate, "low": 1 - auc.high, "high": 1 - auc.low}
    return Effect(**{**auc.as_dict(), **flipped, "control": NOVEL_REPEATS})


def _association(auc: Effect | None, by: str) -> list[Evidence]:
    if auc is None:
        return []
    return [
        Evidence(
            rung=0,
            name=f"{by} ranks these documents above the others (AUC)",
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
            null=f"largest score over heads at random targets and at initialisation: 95 % below {location['null_prefix_95']:.3f}",
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


PRIMARY = {"delete_top": "delete_random", "delete_natural": "delete_random_natural"}
"""The control that decides rung 4. Other documents of the same kind may be causes too, so what sets an arm beside them is told
without a verdict."""


def _retraining(arm: str, effects: Sequence[ArmEffect]) -> list[Evidence]:
    """The arm's delay and loss of strength against its control, that control's own shift, which must be small, and the ladder."""
    treated = [item for item in effects if item.arm == arm and item.control != KEEP]
    controls = {PRIMARY[arm]}
    found = [
        _arm_evidence(item) for item in treated if item.control in controls and item.metric in (LOG_ONSET, STRENGTH)
    ]
    beside = [
        replace(_arm_evidence(item), passed=None)
        for item in treated
        if item.control not in controls and item.metric == LOG_ONSET
    ]
    return (
        found
        + beside
        + [
            _control_evidence(item)
            for item in effects
            if item.arm in controls and item.control == KEEP and item.metric == LOG_ONSET
        ]
    )


def _control_evidence(item: ArmEffect) -> Evidence:
    return Evidence(
        rung=4,
        name=f"control {item.arm}: emergence shifts by less than 15 % (log steps)",
        effect=item.effect,
        passed=abs(item.effect.estimate) < FIFTEEN_PERCENT and not item.note,
        null="the untouched run of the same seed",
        note=item.note,
        trust=RETRAINING_TRUST,
    )


def _replication(study: MechanismStudy, effects: Sequence[ArmEffect]) -> list[Evidence]:
    """At every other size: the delay against random documents, and the random documents' own shift, which must be small."""
    found = []
    for scale in study.scales:
        top, random = f"delete_top@{scale.name}", f"delete_random@{scale.name}"
        for item in effects:
            if item.metric != LOG_ONSET or item.control != (random if item.arm == top else f"{KEEP}@{scale.name}"):
                continue
            if item.arm == top:
                found.append(replace(_arm_evidence(item), rung=5))
            elif item.arm == random:
                found.append(replace(_control_evidence(item), rung=5))
    return found


def _arm_evidence(item: ArmEffect) -> Evidence:
    delay = item.metric == LOG_ONSET
    return Evidence(
        rung=4,
        name=f"{item.arm}: " + ("delay of emergence (log steps)" if delay else f"change of the final {STRENGTH}"),
        effect=item.effect,
        passed=item.effect.low > 0 and not item.censored_control if delay else item.effect.high < 0,
        null=f"{item.control}, same seeds",
        note=item.note,
        trust=RETRAINING_TRUST,
    )
