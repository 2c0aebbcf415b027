"""The arms of every model of a study, and their retraining: each seed of each arm branched at its window's start."""

from collections.abc import Sequence
from dataclasses import dataclass

from imprint.mechanisms import Trajectory
from imprint.runs import Executor, Reporter, Store
from imprint.studies.mechanism.arms import Arm, branches, measured, plan_arms, seeds, untouched_run
from imprint.studies.mechanism.attributed import AttributedHead, Runs, train_and_measure
from imprint.studies.mechanism.metrics import KEEP
from imprint.studies.mechanism.scales import at_scale, smallest_arms
from imprint.studies.mechanism.synthesis import Synthesis, read_motifs, synthesis, synthetic_arms


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The arms of one model, under the names that they have in the whole study."""

    at: AttributedHead
    arms: list[Arm]
    written: Synthesis | None
    own: bool
    """Whether this is the study's own model; the arms of others end in `@` and their name."""

    @property
    def keep(self) -> str:
        """The name of the untouched arm."""
        return KEEP if self.own else f"{KEEP}@{self.at.study.scale}"

    def runs(self, store: Store) -> dict[tuple[str, int], Trajectory]:
        """Every arm but the untouched one, by (arm, seed)."""
        return branches(self.at.study, self.arms, self.at.data, self.at.window, store)

    def kept(self) -> dict[tuple[str, int], Trajectory]:
        """The untouched runs, by (arm, seed)."""
        study, data = self.at.study, self.at.data
        return {
            (self.keep, seed): measured(study, untouched_run(study, data.train, seed), data) for seed in seeds(study)
        }


def plan_all(heads: Sequence[AttributedHead], store: Store) -> list[Plan]:
    """The arms of every model, the study's own one first; what they need of rows and text is made now.

    Raises:
        ConfigError: highest-ranked documents share no structure, so no synthetic text can be written from them.
    """
    written = [_synthesis(one, store) for one in heads]
    place = min(range(len(heads)), key=lambda index: heads[index].parameters)
    plans = []
    for index, one in enumerate(heads):
        arms, mine = plan_arms(one.study, one.attribution, one.data), written[index]
        if mine is not None:
            arms += synthetic_arms(one.study, mine, one.data)
        if index != place:
            arms += smallest_arms(one, heads[place], written[place])
        own = index == 0
        named = arms if own else [at_scale(arm, one.study.scale) for arm in arms]
        plans.append(Plan(at=one, arms=named, written=mine, own=own))
    for plan in plans:
        for arm in plan.arms:
            store.get(arm.rows)
    return plans


def _synthesis(one: AttributedHead, store: Store) -> Synthesis | None:
    if one.study.augmentation is None:
        return None
    found = synthesis(one.study, one.attribution, one.data)
    for name, motifs in found.motifs.items():
        read_motifs(motifs, store, of=f"documents for '{name}' of {one.head}")
    return found


def retrain_all(plans: Sequence[Plan], store: Store, executor: Executor, reporter: Reporter) -> Runs:
    """Every run of every arm, trained and measured; the untouched ones, which have been, among them."""
    edited = {key: run for plan in plans for key, run in plan.runs(store).items()}
    retrained = train_and_measure(edited, "intervene: retrain the arms", store, executor, reporter)
    kept = {key: store.get(run) for plan in plans for key, run in plan.kept().items()}
    return kept | retrained
