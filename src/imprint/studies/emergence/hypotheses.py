"""What an emergence study claims beside its graph, before anything is trained."""

from collections.abc import Sequence

from imprint.errors import ConfigError
from imprint.stats import Hypothesis, registration_digest

AUC, SKILL, SAVING = "prediction.auc", "prediction.skill", "allocation.saving"
METRICS = {
    AUC: "area under the ROC curve of P(there at the held-out scale), over abilities not there at any trained scale",
    SKILL: "Brier score of the base rate minus that of the predictions at the held-out scale",
    SAVING: "compute that uniform allocation needs over what freeze-thaw needs, to the same targets",
}


def default_hypotheses(*, predicted: bool, allocated: bool) -> tuple[Hypothesis, ...]:
    """Prediction better than chance and than the base rate; allocation cheaper than uniform."""

    def one(name: str, statement: str, metric: str, threshold: float, test: str) -> Hypothesis:
        fields = {"id": name, "statement": statement, "metric": metric, "threshold": threshold, "test": test}
        return Hypothesis.model_validate({**fields, "direction": "greater", "alpha": 0.05})

    found = []
    if predicted:
        blocks = "bootstrap over arms and abilities"
        ranked = "The predictor ranks what will be there at the held-out scale."
        found.append(one("P1", ranked, AUC, 0.5, "permutation of the outcomes; " + blocks))
        better = "The predictor's probabilities are better than the base rate of the trained scales."
        found.append(one("P2", better, SKILL, 0.0, "sign-flip permutation of paired squared errors; " + blocks))
    if allocated:
        cheaper = "Freeze-thaw allocation reaches the same targets for less compute than uniform allocation."
        found.append(one("A1", cheaper, SAVING, 1.0, "t test of paired log ratios over abilities"))
    return tuple(found)


def check_hypotheses(hypotheses: Sequence[Hypothesis], *, predicted: bool, allocated: bool) -> None:
    """Refuse what the study could not judge.

    Raises:
        ConfigError: an unknown metric or direction, or a metric whose section is missing.
        InputError: two hypotheses share an id.
    """
    registration_digest(hypotheses)
    for hypothesis in hypotheses:
        if hypothesis.metric not in METRICS:
            raise ConfigError(
                f"hypothesis metric '{hypothesis.metric}' is not known; write one of {', '.join(METRICS)}"
            )
        section, there = ("allocating", allocated) if hypothesis.metric == SAVING else ("held_out", predicted)
        if not there:
            raise ConfigError(f"hypothesis {hypothesis.id} cannot be judged: {hypothesis.metric} needs '{section}'")
        if hypothesis.direction != "greater":
            raise ConfigError(f"hypothesis {hypothesis.id}: {hypothesis.metric} is judged as 'greater' only")
