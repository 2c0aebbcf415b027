"""What a susceptibility study claims before it has seen anything, and which metrics can be registered."""

from collections.abc import Collection, Sequence

from imprint.errors import ConfigError
from imprint.stats import Hypothesis, registration_digest
from imprint.studies.susceptibility.options import StoppingRule

SURFACE, CLASSIFIER = "surface.correlation", "surface.accuracy"
VARIANCE = "variance.icc"
REPRESENTATION = "representation.correlation"
REMOVAL = "removal.shift"
METRICS = {
    SURFACE: "largest rank correlation, in size, of a registered surface scalar with the condition means of the outcome",
    CLASSIFIER: "balanced held-out accuracy of a bag of tokens that names a document's condition",
    VARIANCE: "share of the variance of pipelines that lies between conditions, seeds as blocks where they are shared: ICC(3,1)",
    REPRESENTATION: "largest rank correlation, in size, of a registered representation scalar with the condition means",
    REMOVAL: "shift towards the other conditions by removing the driving rows, not random ones or none, in sd of a pipeline",
}
"""By metric, what it is; all but the classifier's name their outcome after a dot: removal.shift.alignment."""
GATE = 0.01
"""Level of the test that everything else depends on."""


def metric_of(name: str) -> tuple[str, str]:
    """The metric and the outcome ("" for the classifier) that a registered name speaks of.

    Raises:
        ConfigError: there is no such metric.
    """
    for metric in METRICS:
        if name == metric == CLASSIFIER:
            return metric, ""
        if metric != CLASSIFIER and name.startswith(f"{metric}."):
            return metric, name.removeprefix(f"{metric}.")
    written = ", ".join(metric if metric == CLASSIFIER else f"{metric}.OUTCOME" for metric in METRICS)
    raise ConfigError(f"hypothesis metric '{name}' is not known; write one of {written}")


def default_hypotheses(outcome: str, *, represented: bool, removed: bool) -> tuple[Hypothesis, ...]:
    """The four hypotheses about an outcome, in order of cost: H1 surface, H4 variance, H2 representation, H3 few rows."""

    def one(name: str, statement: str, metric: str, threshold: float, test: str, alpha: float = 0.05) -> Hypothesis:
        fields = {"id": name, "statement": statement, "metric": metric, "threshold": threshold}
        return Hypothesis.model_validate({**fields, "direction": "greater", "test": test, "alpha": alpha})

    permuted = "exact permutation of the conditions, largest over all registered scalars"
    fixed = (
        one("H1", "The surface of the corpora ranks the outcomes.", f"{SURFACE}.{outcome}", 0.7, permuted),
        one(
            "H1b",
            "A bag of tokens tells the conditions apart.",
            CLASSIFIER,
            0.8,
            "permutation of the labels over groups of duplicates",
        ),
        one(
            "H4",
            "Conditions differ by more than their pipelines do.",
            f"{VARIANCE}.{outcome}",
            0.0,
            "permutation of whole pipelines over conditions, within each seed",
            GATE,
        ),
    )
    more: list[Hypothesis] = []
    if represented:
        statement = "The representation of the checkpoints before the last stage ranks the outcomes."
        more.append(one("H2", statement, f"{REPRESENTATION}.{outcome}", 0.5, permuted))
    if removed:
        statement = (
            "A few conversations hold the outcome: without them it moves towards the others by a pipeline's sd or more."
        )
        test = "t test of the shift against the pooled sd of pipelines, one-sided, Bonferroni over conditions"
        more.append(one("H3", statement, f"{REMOVAL}.{outcome}", 1.0, test))
    return (*fixed, *more)


def applicable_rules(rules: Sequence[StoppingRule], ids: Collection[str]) -> tuple[StoppingRule, ...]:
    """The rules with only those hypotheses that the study has."""
    kept = []
    for rule in rules:
        skip = tuple(name for name in rule.skip if name in ids)
        if rule.after in ids and skip:
            kept.append(rule.model_copy(update={"skip": skip}))
    return tuple(kept)


def check_registration(
    hypotheses: Sequence[Hypothesis],
    rules: Sequence[StoppingRule],
    *,
    outcomes: Collection[str],
    represented: bool,
    removed: bool,
) -> None:
    """Refuse, before anything runs, what the study could not judge at its end.

    Raises:
        ConfigError: a metric or outcome that is not there, a rule about a hypothesis that is not registered.
        InputError: two hypotheses share an id.
    """
    registration_digest(hypotheses)
    for hypothesis in hypotheses:
        metric, outcome = metric_of(hypothesis.metric)
        if outcome and outcome not in outcomes:
            raise ConfigError(
                f"hypothesis {hypothesis.id} cannot be judged: there is no outcome '{outcome}'; the outcomes are"
                f" {', '.join(outcomes)}"
            )
        if (metric == REPRESENTATION and not represented) or (metric == REMOVAL and not removed):
            room = "representation" if metric == REPRESENTATION else "removal"
            raise ConfigError(f"hypothesis {hypothesis.id} cannot be judged: {metric} needs the section '{room}'")
        if hypothesis.direction != "greater":
            raise ConfigError(f"hypothesis {hypothesis.id}: {metric} is judged as 'greater' than its threshold only")
    asked = [metric_of(hypothesis.metric) for hypothesis in hypotheses]
    if len(set(asked)) < len(asked):
        raise ConfigError(
            "two hypotheses are about the same metric and outcome; register one, with one threshold and level"
        )
    ids = [hypothesis.id for hypothesis in hypotheses]
    for rule in rules:
        unknown = [name for name in (rule.after, *rule.skip) if name not in ids]
        if unknown:
            raise ConfigError(
                f"a stopping rule speaks of '{unknown[0]}'; the registered hypotheses are {', '.join(ids)}"
            )
        late = [name for name in rule.skip if ids.index(name) < ids.index(rule.after)]
        if late:
            raise ConfigError(
                f"a stopping rule skips {late[0]} after {rule.after}, but {late[0]} is examined before it; put {rule.after} first"
            )
