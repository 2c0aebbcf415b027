"""How models are trained in the four-abilities world: untouched, without one kind of row, or with another mixture."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Float

from imprint.capabilities.abilities import ability_answers, ability_panel
from imprint.corpus import ABILITIES, AbilitiesWorld, Ability, AbilityKind, AbilityRows, RowKind, ShuffledStream
from imprint.corpus.abilities import BOS, VOCABULARY
from imprint.errors import ConfigError
from imprint.interventions.data import EditedStream
from imprint.models import Architecture, Optimisation, Train, checkpoint_steps, open_checkpoint
from imprint.runs import Context, Step
from imprint.studies.planted_rows import KindRows

ANSWERS_FILE = "answers.parquet"


def abilities_architecture(
    *, width: int = 64, layers: int = 2, heads: int = 4, neurons: int | None = None, context: int = 64
) -> Architecture:
    """A plain GPT-2 for this world, without dropout; by default that of METHODS AT-E2E. MLPs have twice the width."""
    sizes: dict[str, int | float | bool | str]
    sizes = {"vocab_size": VOCABULARY, "n_positions": context, "n_embd": width, "n_layer": layers, "n_head": heads}
    sizes |= {"n_inner": neurons or 2 * width}
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "initializer_range": 0.125}
    names = {"bos_token_id": BOS, "eos_token_id": BOS, "tie_word_embeddings": False}
    return Architecture(model_type="gpt2", config=sizes | still | names)


class AbilityAnswers(Step):
    """Every checkpoint's answers to the held-out questions of all four abilities: `answers.parquet`."""

    run: Train
    world: AbilitiesWorld
    items: int
    """Questions for each ability."""
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Train (or reuse) the run and ask every checkpoint."""
        trained = context.get(self.run)
        torch.set_num_threads(1)
        panel = ability_panel(count=self.items, seed=self.seed, world=self.world)
        frames = []
        for step in checkpoint_steps(trained):
            model = open_checkpoint(trained, step)
            frames += [ability_answers(model, items).with_columns(step=pl.lit(step)) for items in panel]
            context.advance(1)
        pl.concat(frames).write_parquet(folder / ANSWERS_FILE)


@dataclass(frozen=True, kw_only=True, slots=True)
class AbilityTraining:
    """The four-abilities world, how long its models are trained, and how many questions they are asked."""

    steps: int = 2000
    checkpoint_every: int = 250
    world: AbilitiesWorld = field(default_factory=AbilitiesWorld)
    batch: int = 64
    items: int = 200

    def run(self, seed: int, shares: dict[RowKind, float] | None = None) -> Train:
        """The untouched run of one seed; with `shares`, in another mixture of as many rows."""
        world = self.world if shares is None else self.world.model_copy(update={"shares": shares})
        rows = AbilityRows(world=world, rows=self.steps * self.batch, seed=1)
        return Train(
            architecture=abilities_architecture(),
            optimisation=Optimisation(),
            packed=rows,
            stream=ShuffledStream(packed=rows, steps=self.steps, batch=self.batch, seed=seed),
            seed=seed,
            checkpoint_every=self.checkpoint_every,
            keep_moments=False,
            last_step=self.steps,
        )

    def without(self, kind: AbilityKind, seed: int) -> Train:
        """The same run with every row of one kind replaced by a row of another kind, from the first step on."""
        base = self.run(seed)
        rows = KindRows(packed=base.packed, kind=kind)
        stream = EditedStream(base=base.stream, rows=rows, kind="replace", first=0, last=self.steps, seed=seed)
        return base.model_copy(update={"stream": stream})

    def asked(self, run: Train) -> AbilityAnswers:
        """A run with its answers at every checkpoint."""
        return AbilityAnswers(run=run, world=self.world, items=self.items)


def shares_with(world: AbilitiesWorld, kind: AbilityKind, share: float) -> dict[RowKind, float]:
    """A mixture in which `kind` has `share` of the rows and all other kinds keep their proportions.

    Raises:
        ConfigError: the share is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"a share of {share} of '{kind}' is not between 0 and 1.")
    others = {name: part for name, part in world.shares.items() if name != kind}
    scale = (1.0 - share) / sum(others.values())
    return {**{name: part * scale for name, part in others.items()}, kind: share}


def answers_of(folder: Path, ability: Ability, *, step: int | None = None) -> pl.DataFrame:
    """The answers to one ability's questions at one checkpoint (the last by default), in item order."""
    table = pl.read_parquet(folder / ANSWERS_FILE)
    chosen = table["step"].max() if step is None else step
    found = table.filter(pl.col("task") == ability, pl.col("step") == chosen).sort("item")
    if found.is_empty():
        steps = ", ".join(map(str, sorted(set(table["step"]))))
        raise ConfigError(f"no answers for '{ability}' at step {step}; there are steps {steps}.")
    return found


def accuracies_of(folder: Path, *, step: int | None = None) -> Float[np.ndarray, "ability"]:
    """Accuracy in each ability at one checkpoint (the last by default)."""
    return np.array([answers_of(folder, ability, step=step)["correct"].to_numpy().mean() for ability in ABILITIES])
