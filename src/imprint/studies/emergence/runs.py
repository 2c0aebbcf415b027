"""The runs of an emergence study: every scale under every arm with every seed, in pairs that differ in the arm only."""

from collections.abc import Sequence
from dataclasses import dataclass

from imprint.corpus import AbilitiesWorld, AbilityRows, RowKind, ShuffledStream
from imprint.corpus.abilities import BOS, VOCABULARY
from imprint.emergence.graph import CONTROL
from imprint.errors import ConfigError
from imprint.models import Architecture, Train
from imprint.studies.emergence.config import EmergenceStudy
from imprint.studies.emergence.options import Arm, Scale


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
    """One run; without an arm the untouched one. Runs of one seed share initial weights (by scale) and the draw of rows."""
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


def architecture_of(scale: Scale, context: int) -> Architecture:
    """The model's class and sizes, without dropout."""
    neurons = scale.neurons or 2 * scale.width
    sizes: dict[str, int | float | bool | str] = {
        "vocab_size": VOCABULARY,
        "max_position_embeddings": context,
        "hidden_size": scale.width,
        "num_hidden_layers": scale.layers,
        "num_attention_heads": scale.heads,
        "bos_token_id": BOS,
        "eos_token_id": BOS,
        "tie_word_embeddings": False,
    }
    if scale.model_type != "gpt2":
        return Architecture(model_type=scale.model_type, config=sizes | {"intermediate_size": neurons})
    still: dict[str, int | float | bool | str] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return Architecture(model_type="gpt2", config=sizes | still | {"n_inner": neurons, "initializer_range": 0.125})


def changed_mixture(world: AbilitiesWorld, arm: Arm) -> AbilitiesWorld:
    """The world in the arm's mixture: the shares that it names, and the others in their old proportions.

    Raises:
        ConfigError: the named shares leave a rest, and no other kind of row to fill it.
    """
    others = {kind: share for kind, share in world.shares.items() if kind not in arm.shares and share > 0}
    rest = 1.0 - sum(arm.shares.values())
    if not others and rest > 1e-9:
        raise ConfigError(f"intervention '{arm.name}': its shares add to {1 - rest:g} and no other kind is left")
    scale = rest / sum(others.values()) if others else 0.0
    shares: dict[RowKind, float] = {**{kind: share * scale for kind, share in others.items()}, **arm.shares}
    return world.model_copy(update={"shares": shares})


def setting(study: EmergenceStudy, arm: Arm, node: str) -> float:
    """What an arm makes of a node that it sets, as a multiple of the untouched runs' value (which is 1).

    Ablated and clamped units count as gone, scaled ones by their factor; shares and optimiser settings by their ratio. A joint
    arm sets its nodes in the order in which its edits, shares and optimiser settings are written.
    """
    levels = [
        *(1.0 - edit.share if edit.action in ("ablate", "clamp") else edit.factor for edit in arm.edits),
        *(_ratio(share, study.world.shares.get(kind, 0.0)) for kind, share in arm.shares.items()),
        *(_ratio(value, float(getattr(study.training.optimisation, name))) for name, value in arm.optimisation.items()),
    ]
    return levels[min(arm.sets.index(node), len(levels) - 1)]


def _ratio(new: float, old: float) -> float:
    return new / old if old else 1.0 + new
