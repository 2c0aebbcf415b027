"""Verdicts on the registered hypotheses of a perturbation study."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from imprint.errors import InputError
from imprint.stats import Hypothesis, Verdict, judge_paired
from imprint.studies.perturbation.config import PerturbationStudy
from imprint.studies.perturbation.findings import MATCHED, FamilyFinding
from imprint.studies.perturbation.registration import OWN_TEXT, TARGETED, parse_harm
from imprint.studies.perturbation.text_checks import TextCheck, own_against_others

Arms = tuple[Float64[np.ndarray, "unit"], Float64[np.ndarray, "unit"]]


def judge_all(
    study: PerturbationStudy, families: Sequence[FamilyFinding], checks: Sequence[TextCheck]
) -> list[Verdict]:
    """A verdict for every registered hypothesis, in the order of registration."""
    return [_judge(study, hypothesis, families, checks) for hypothesis in study.hypotheses]


def _judge(
    study: PerturbationStudy, hypothesis: Hypothesis, families: Sequence[FamilyFinding], checks: Sequence[TextCheck]
) -> Verdict:
    seed = study.perturbations.seed
    if hypothesis.metric == OWN_TEXT:
        own, others = own_against_others(checks)
        return judge_paired(
            hypothesis, own, others, seed=seed, unit="document", control_name="perturbations of the other clusters"
        )
    if hypothesis.metric == TARGETED:
        abilities = [name for name in study.abilities.suites if name not in study.abilities.controls]
        parts = [_harms(families, name, None) for name in abilities]
        arms = np.concatenate([one for one, _ in parts]), np.concatenate([other for _, other in parts])
    else:
        arms = _harms(families, *parse_harm(hypothesis.metric))
    verdict = judge_paired(hypothesis, *arms, seed=seed, unit="item", control_name=MATCHED)
    return replace(
        verdict, reason=f"{verdict.reason}; each control is the mean of {study.perturbations.control_draws} draws"
    )


def _harms(families: Sequence[FamilyFinding], ability: str, cluster: str | None) -> Arms:
    """Each item's harm and its control's, averaged over clusters, families and doses."""
    chosen = [
        one.responses
        for one in families
        if one.responses.ability == ability and cluster in (None, one.responses.cluster)
    ]
    if not chosen:
        raise InputError(f"no perturbation was measured on '{ability}', so its hypothesis has nothing to be judged on.")
    harm = np.concatenate([one.harm for one in chosen]).mean(0)
    return harm, np.concatenate([one.control_harm for one in chosen]).mean(0)
