"""Allocation: which arm to train further so that an ability emerges for the least compute, and when to stop.

arms          Arm, Reading, Environment and the Ledger of all that a policy may know
replay        Recorded worlds, decisions, audit rows, and the loop that pays for them
fixed_orders  uniform, random, greedy and by size
halving       successive halving, Hyperband, ASHA
curves        the curves that an arm may follow, on laws of size and data
belief        what other tasks have taught about curves
posterior     what one arm's scores say of all
learning      the prior from other tasks, by empirical Bayes
freeze_thaw   the index policy and its doubt of itself
giving_up     what must have been seen before saying that no arm will cross
forecasters   the oracle and noise
tables        worlds from a table of scores
planted       worlds whose best allocation is known
comparison    all policies on the same problems with the same budget
verdicts      who needs less, in words
audit         one line of JSON a decision
mixture       losses of data mixtures from small proxies
mixture_choice  the mixture to train on, with intervals and held-out ranks
"""

from imprint.emergence.allocation.arms import Arm, Environment, Ledger, Reading
from imprint.emergence.allocation.audit import AuditLog, read_audit
from imprint.emergence.allocation.comparison import (
    OURS,
    UNTAUGHT,
    Problem,
    contenders,
    over_oracle,
    problems,
    race,
    saving,
)
from imprint.emergence.allocation.fixed_orders import (
    by_size,
    greedy,
    random_arm,
    random_search,
    uniform_cost,
    uniform_exposure,
)
from imprint.emergence.allocation.forecasters import guesser, oracle
from imprint.emergence.allocation.freeze_thaw import Caution, Forecaster, freeze_thaw
from imprint.emergence.allocation.halving import asynchronous_halving, hyperband, rungs, successive_halving
from imprint.emergence.allocation.learning import History, history_of
from imprint.emergence.allocation.mixture import Proxies, best_mixtures, predict_losses, transfer
from imprint.emergence.allocation.mixture_choice import MixtureChoice, candidate_mixtures, choose_mixture
from imprint.emergence.allocation.planted import (
    crossing_world,
    flat_world,
    ordered_world,
    reversal_world,
    scaling_suite,
    scaling_world,
    sleeper_world,
)
from imprint.emergence.allocation.posterior import Posterior, Prior
from imprint.emergence.allocation.replay import AuditRow, Decision, Outcome, Policy, PolicyMaker, Recorded, allocate
from imprint.emergence.allocation.tables import TaskWorld, read_history, task_worlds
from imprint.emergence.allocation.verdicts import Comparison, compare, rank_sentence, rank_stability

__all__ = [
    "OURS",
    "UNTAUGHT",
    "Arm",
    "AuditLog",
    "AuditRow",
    "Caution",
    "Comparison",
    "Decision",
    "Environment",
    "Forecaster",
    "History",
    "Ledger",
    "MixtureChoice",
    "Outcome",
    "Policy",
    "PolicyMaker",
    "Posterior",
    "Prior",
    "Problem",
    "Proxies",
    "Reading",
    "Recorded",
    "TaskWorld",
    "allocate",
    "asynchronous_halving",
    "best_mixtures",
    "by_size",
    "candidate_mixtures",
    "choose_mixture",
    "compare",
    "contenders",
    "crossing_world",
    "flat_world",
    "freeze_thaw",
    "greedy",
    "guesser",
    "history_of",
    "hyperband",
    "oracle",
    "ordered_world",
    "over_oracle",
    "predict_losses",
    "problems",
    "race",
    "random_arm",
    "random_search",
    "rank_sentence",
    "rank_stability",
    "read_audit",
    "read_history",
    "reversal_world",
    "rungs",
    "saving",
    "scaling_suite",
    "scaling_world",
    "sleeper_world",
    "successive_halving",
    "task_worlds",
    "transfer",
    "uniform_cost",
    "uniform_exposure",
]
