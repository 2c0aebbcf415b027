"""The registered hypotheses one after the other, the cheapest first, until a registered rule says stop."""

from collections.abc import Callable, Mapping, Sequence

from imprint.errors import InputError
from imprint.stats import (
    Hypothesis,
    Nest,
    Undefined,
    blocked_permutation,
    condition_permutation,
    judge_gate,
    one_way,
    require_pipelines,
    two_way,
)
from imprint.stats.effects import Effect
from imprint.stats.two_way import crossed
from imprint.studies.examined import Examined, NotExamined, supported
from imprint.studies.susceptibility.options import StoppingRule


def examine(
    hypotheses: Sequence[Hypothesis], rules: Sequence[StoppingRule], judge: Callable[[Hypothesis], Examined]
) -> tuple[Examined, ...]:
    """Verdicts in the registered order; a hypothesis that a rule skips is not handed to `judge` at all.

    A rule for "not supported" also holds where there is no verdict, and then says so instead of its own reason.
    """
    found: dict[str, Examined] = {}
    for hypothesis in hypotheses:
        rule = _stops(rules, hypothesis, found)
        found[hypothesis.id] = (
            judge(hypothesis) if rule is None else NotExamined.of(hypothesis, _because(rule, found), by_rule=True)
        )
    return tuple(found.values())


def _because(rule: StoppingRule, found: Mapping[str, Examined]) -> str:
    first = found[rule.after]
    return f"{rule.after} was not examined" if isinstance(first, NotExamined) else rule.because


def _stops(rules: Sequence[StoppingRule], hypothesis: Hypothesis, found: Mapping[str, Examined]) -> StoppingRule | None:
    for rule in rules:
        known = hypothesis.id in rule.skip and rule.after in found
        if known and supported(found[rule.after]) == (rule.when == "supported"):
            return rule
    return None


def judge_variance(hypothesis: Hypothesis, nest: Nest, *, seed: int) -> Examined:
    """The conditions' share of the variance within seeds, ICC(3,1), p by shuffling whole pipelines within each seed.

    Pipelines of one seed share base, orders and adapters in all conditions, so the seed is a block. Where conditions do not
    have the same seeds, or too few for any small p within them: ICC(1), shuffled over all.

    Raises:
        InputError: conditions cannot be told from pipelines in this design.
    """
    blocked = shares_seeds(nest)
    shuffled = blocked_permutation(nest, seed=seed) if blocked else condition_permutation(nest, seed=seed)
    if blocked and shuffled.smallest_p > hypothesis.alpha:
        blocked, shuffled = False, condition_permutation(nest, seed=seed)
    if shuffled.smallest_p > hypothesis.alpha:
        return NotExamined.of(
            hypothesis,
            f"this design cannot tell: no p below {shuffled.smallest_p:.2g} exists, and {hypothesis.alpha:g} was registered; run"
            " more pipeline seeds",
        )
    icc = two_way(nest).icc_mixed if blocked else one_way(nest).icc
    if isinstance(icc, Undefined):
        return NotExamined.of(hypothesis, icc.reason)
    words = "ICC(3,1), seeds as blocks" if blocked else "ICC(1)"
    note = "; ".join(filter(None, [words, icc.note]))
    fields = {**icc.as_dict(), "metric": hypothesis.metric, "note": note}
    return judge_gate(hypothesis, Effect(**fields), shuffled.p)


def shares_seeds(nest: Nest) -> bool:
    """Whether every pipeline seed stands in every condition."""
    try:
        crossed(nest)
    except InputError:
        require_pipelines(nest)
        return False
    return True
