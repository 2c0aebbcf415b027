"""Verdicts on the registered hypotheses of a perturbation study."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import norm

from imprint.errors import InputError
from imprint.stats import Effect, Hypothesis, Verdict, judge, judge_paired
from imprint.studies.perturbation.config import PerturbationStudy
from imprint.studies.perturbation.findings import HARM, MATCHED, Cell
from imprint.studies.perturbation.registration import OWN_TEXT, TARGETED, parse_harm
from imprint.studies.perturbation.text_checks import TextCheck, own_against_others


def judge_all(study: PerturbationStudy, cells: Sequence[Cell], checks: Sequence[TextCheck]) -> list[Verdict]:
    """A verdict for every registered hypothesis, in the order of registration."""
    return [_judge(study, hypothesis, cells, checks) for hypothesis in study.hypotheses]


def _judge(
    study: PerturbationStudy, hypothesis: Hypothesis, cells: Sequence[Cell], checks: Sequence[TextCheck]
) -> Verdict:
    if hypothesis.metric == OWN_TEXT:
        own, others = own_against_others(checks)
        return judge_paired(
            hypothesis,
            own,
            others,
            seed=study.perturbations.seed,
            unit="document",
            control_name="perturbations of the other clusters",
        )
    if hypothesis.metric == TARGETED:
        return _judge_effect(
            hypothesis, _mean([cell.phi for cell in cells if cell.ability not in study.abilities.controls])
        )
    chosen = _chosen(cells, *parse_harm(hypothesis.metric))
    if hypothesis.direction != "absolute-less":
        return _judge_effect(hypothesis, _mean([cell.phi for cell in chosen]))
    # No difference must hold in every cluster: opposite harms would cancel in a mean.
    verdicts = [_judge_effect(hypothesis, cell.phi) for cell in chosen]
    worst = max(range(len(chosen)), key=lambda number: (verdicts[number].p, abs(chosen[number].phi.estimate)))
    return replace(
        verdicts[worst],
        reason=f"the worst of {len(chosen)} clusters, '{chosen[worst].cluster}': {verdicts[worst].reason}",
    )


def _chosen(cells: Sequence[Cell], ability: str, cluster: str | None) -> list[Cell]:
    found = [cell for cell in cells if cell.ability == ability and cluster in (None, cell.cluster)]
    if not found:
        raise InputError(f"no perturbation was measured on '{ability}', so its hypothesis has nothing to be judged on.")
    return found


def _mean(effects: Sequence[Effect]) -> Effect:
    """The mean of the cells' medians. Cells share their questions, so the interval is that of fully dependent cells."""
    if not effects:
        raise InputError("every ability is a control, so there is no harm to targeted abilities to judge.")
    estimate = float(np.mean([one.estimate for one in effects]))
    below = float(np.mean([one.estimate - one.low for one in effects]))
    above = float(np.mean([one.high - one.estimate for one in effects]))
    return replace(effects[0], estimate=estimate, low=estimate - below, high=estimate + above, control=MATCHED)


def _judge_effect(hypothesis: Hypothesis, effect: Effect) -> Verdict:
    """The verdict from an interval over questions and draws of the control; p from its standard error."""
    spread = max((effect.high - effect.low) / (2 * float(norm.ppf(0.5 + effect.level / 2))), 1e-12)
    above = float(norm.sf((effect.estimate - hypothesis.threshold) / spread))
    below = float(norm.cdf((effect.estimate - hypothesis.threshold) / spread))
    inside = max(below, float(norm.sf((effect.estimate + hypothesis.threshold) / spread)))
    p = {"greater": above, "less": below, "absolute-less": inside}[hypothesis.direction]
    level = max(effect.level, 1 - hypothesis.alpha)
    wider = float(norm.ppf(0.5 + level / 2) / norm.ppf(0.5 + effect.level / 2))
    return judge(
        hypothesis,
        replace(
            effect,
            low=effect.estimate - wider * (effect.estimate - effect.low),
            high=effect.estimate + wider * (effect.high - effect.estimate),
            level=level,
            metric=hypothesis.metric,
            note=f"{HARM}; {effect.note}",
        ),
        min(max(p, 0.0), 1.0),
    )
