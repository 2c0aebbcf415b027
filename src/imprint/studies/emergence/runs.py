"""The runs of an emergence study: every scale under every arm with every seed, in pairs that differ in the arm only."""

from collections.abc import Sequence
from dataclasses import dataclass

from imprint.corpus import AbilityRows, ShuffledStream
from imprint.emergence.graph import CONTROL
from imprint.models import Train
from imprint.studies.emergence.config import EmergenceStudy
from imprint.studies.emergence.mixtures import changed_mixture
from imprint.studies.emergence.options import Arm, Scale
from imprint.studies.emergence.sizes import architecture_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One training run and where it stands in the design."""

    scale: Scale
    arm: str
    seed: int
    train: Train

    @property
    def name(self) -> str:
        """Scale, arm and seed."""
        return f"{self.scale.name} / {self.arm} / seed {self.seed}"

    @property
    def params(self) -> int:
        """Parameters of the model."""
        return self.train.architecture.parameters


def trained_runs(study: EmergenceStudy) -> list[Run]:
    """The runs at the trained scales, untouched ones first."""
    return _runs(study, study.scales, study.run_seeds)


def held_out_runs(study: EmergenceStudy) -> list[Run]:
    """The runs at the held-out scale; none where nothing is predicted."""
    if study.held_out is None:
        return []
    seeds = study.run_seeds[: study.held_out.seeds]
    return _runs(study, [study.held_out.scale], seeds)


def _runs(study: EmergenceStudy, scales: Sequence[Scale], seeds: Sequence[int]) -> list[Run]:
    arms: list[Arm | None] = [None, *study.interventions]
    return [run_of(study, scale, arm, seed) for arm in arms for scale in scales for seed in seeds]


def run_of(study: EmergenceStudy, scale: Scale, arm: Arm | None, seed: int) -> Run:
    """One run; without an arm the untouched one.

    Runs of one seed share initial weights (by scale) and, where they train on one mixture, rows and order.
    """
    training = study.training
    world = study.world if arm is None or not arm.shares else changed_mixture(study.world, arm)
    rows = AbilityRows(world=world, rows=training.steps * training.batch, seed=1)
    plain = Train(
        architecture=architecture_of(scale, study.world.context),
        optimisation=training.optimisation,
        packed=rows,
        stream=ShuffledStream(packed=rows, steps=training.steps, batch=training.batch, seed=seed),
        seed=seed,
        checkpoint_every=training.every,
        device=training.device,
        keep_moments=False,
        last_step=training.steps,
    )
    if arm is None:
        return Run(scale=scale, arm=CONTROL, seed=seed, train=plain)
    return Run(scale=scale, arm=arm.name, seed=seed, train=arm.applied(plain))


def setting(study: EmergenceStudy, arm: Arm, node: str) -> float:
    """What an arm makes of a node that it sets, as a multiple of the untouched runs' value (which is 1).

    Ablated and clamped units count as gone, scaled ones by their factor; shares and optimiser settings by their ratio. Of
    several components the first edit sets the first, and so on.
    """
    kinds = {one.name: one.kind for one in study.causal_graph.nodes}
    if kinds[node] == "component":
        edit = arm.edits[[name for name in arm.sets if kinds[name] == "component"].index(node)]
        return 1.0 - edit.share if edit.action in ("ablate", "clamp") else 1.0 + edit.share * (edit.factor - 1.0)
    if kinds[node] == "data":
        share = next(share for kind, share in arm.shares.items() if kind == node)
        return _ratio(share, next((old for kind, old in study.world.shares.items() if kind == node), 0.0))
    name, value = next(iter(arm.optimisation.items()))
    return _ratio(value, float(getattr(study.training.optimisation, name)))


def _ratio(new: float, old: float) -> float:
    return new / old if old else 1.0 + new
