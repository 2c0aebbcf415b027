"""The registered hypotheses one after the other, the cheapest first, until a registered rule says stop."""

from collections.abc import Callable, Mapping, Sequence

from imprint.stats import Hypothesis, Nest, Undefined, condition_permutation, judge_gate, one_way
from imprint.stats.effects import Effect
from imprint.studies.susceptibility.examined import Examined, NotExamined, supported
from imprint.studies.susceptibility.options import StoppingRule


def examine(
    hypotheses: Sequence[Hypothesis], rules: Sequence[StoppingRule], judge: Callable[[Hypothesis], Examined]
) -> tuple[Examined, ...]:
    """Verdicts in the registered order; a hypothesis that a rule skips is not handed to `judge` at all."""
    found: dict[str, Examined] = {}
    for hypothesis in hypotheses:
        rule = _stops(rules, hypothesis, found)
        found[hypothesis.id] = (
            judge(hypothesis) if rule is None else NotExamined.of(hypothesis, rule.because, by_rule=True)
        )
    return tuple(found.values())


def _stops(rules: Sequence[StoppingRule], hypothesis: Hypothesis, found: Mapping[str, Examined]) -> StoppingRule | None:
    for rule in rules:
        known = hypothesis.id in rule.skip and rule.after in found
        if known and supported(found[rule.after]) == (rule.when == "supported"):
            return rule
    return None


def judge_variance(hypothesis: Hypothesis, nest: Nest, *, seed: int) -> Examined:
    """ICC(1) of the conditions with pipelines as units, p by shuffling whole pipelines.

    Raises:
        InputError: conditions cannot be told from pipelines in this design.
    """
    icc = one_way(nest).icc
    if isinstance(icc, Undefined):
        return NotExamined.of(hypothesis, icc.reason)
    shuffled = condition_permutation(nest, seed=seed)
    fields = {**icc.as_dict(), "metric": hypothesis.metric}
    return judge_gate(hypothesis, Effect(**fields), shuffled.p)
