"""How models are trained in a planted world, for the scorecard."""

from dataclasses import dataclass

from imprint.corpus import PlantedWorld, ShuffledStream, WorldRows, planted_world
from imprint.mechanisms import ProbeOptions, Trajectory
from imprint.models import Architecture, Optimisation, Train
from imprint.studies.mechanism.options import default_architecture


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantedTraining:
    """A planted world, the demo's model in it, and how long it is trained."""

    world: PlantedWorld
    name: str
    steps: int
    checkpoint_every: int
    batch: int = 64

    @staticmethod
    def of(preset: str, *, steps: int, checkpoint_every: int) -> "PlantedTraining":
        """The training of a preset world, with a BOS."""
        world = planted_world(preset, seed=0).model_copy(update={"bos": True})
        return PlantedTraining(world=world, name=preset, steps=steps, checkpoint_every=checkpoint_every)

    @property
    def rows(self) -> WorldRows:
        """Every row is new: one epoch."""
        return WorldRows(world=self.world, rows=self.steps * self.batch, seed=1)

    @property
    def probe(self) -> ProbeOptions:
        """Repeated random sequences of all content tokens."""
        return ProbeOptions(alphabet=tuple(range(1, self.world.vocabulary + 1)))

    def run(self, seed: int) -> Train:
        """The untouched run of one seed."""
        config = {**default_architecture().config, "vocab_size": self.world.token_ids}
        return Train(
            architecture=Architecture(model_type="gpt2", config=config),
            optimisation=Optimisation(),
            packed=self.rows,
            stream=ShuffledStream(packed=self.rows, steps=self.steps, batch=self.batch, seed=seed),
            seed=seed,
            checkpoint_every=self.checkpoint_every,
            last_step=self.steps,
        )

    def measured(self, run: Train) -> Trajectory:
        """A run with every metric at every checkpoint."""
        return Trajectory(run=run, heldout=WorldRows(world=self.world, rows=256, seed=99), probe=self.probe)
