"""A planted world whose effects across two stages are known in closed form: linear regression, then a second regression."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from imprint.attribution.engine.ekfac import BlockFactors
from imprint.attribution.engine.queries import Query
from imprint.attribution.engine.subspace import Block, Subspace
from imprint.attribution.unrolled.optimisers import Sgd
from imprint.attribution.unrolled.parameters import parameters_of
from imprint.attribution.unrolled.source import source_scores
from imprint.attribution.unrolled.stages import Stage
from imprint.attribution.unrolled.training import Training
from imprint.attribution.unrolled.transport import tracin_scores

RIDGE, RATE1, STEPS1, RATE2 = 0.1, 0.5, 100, 0.05


class LinearModel(PreTrainedModel):  # type: ignore[no-untyped-call]  # its __init_subclass__ has no types
    """y = W x, so that everything about its training is known exactly."""

    config_class = PreTrainedConfig

    def __init__(self, inputs: int, outputs: int) -> None:
        """W is 0."""
        super().__init__(PreTrainedConfig())
        self.map = nn.Linear(inputs, outputs, bias=False, dtype=torch.float64)
        nn.init.zeros_(self.map.weight)

    def forward(self, inputs: Float[Tensor, "row in"]) -> Float[Tensor, "row out"]:
        """The predictions."""
        predictions: Tensor = self.map(inputs)
        return predictions


@dataclass(frozen=True, kw_only=True, slots=True)
class SquaredError:
    """Half the squared distance of each example's prediction to its target."""

    inputs: Float[Tensor, "row in"]
    targets: Float[Tensor, "row out"]

    @property
    def sizes(self) -> Float[Tensor, "row"]:
        """One an example."""
        return torch.ones(len(self.inputs))

    def anchor(self, model: PreTrainedModel, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch k"]:
        """Nothing is remembered."""
        return torch.zeros(len(rows), 0)

    def losses(
        self, model: PreTrainedModel, rows: Int[Tensor, "batch"], anchor: Float[Tensor, "batch k"]
    ) -> Float[Tensor, "batch"]:
        """The loss of each example."""
        residuals: Tensor = model(self.inputs[rows]) - self.targets[rows]
        return residuals.square().sum(1) / 2

    def second_moment(self) -> Float[Tensor, "in in"]:
        """The Hessian of the mean loss in any row of W."""
        return self.inputs.T @ self.inputs / len(self.inputs)


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearWorld:
    """Stage 1 runs ridge regression to its minimum; stage 2 makes a few steps of full-batch descent on other data."""

    first: SquaredError
    second: SquaredError
    probes: Float[Tensor, "query in"]
    readouts: Float[Tensor, "query out"]

    def queries(self) -> tuple[Query, ...]:
        """Projections of predictions, linear in W."""
        pairs = zip(self.readouts, self.probes, strict=True)
        return tuple(
            Query(name=f"prediction {number}", measure=lambda model, u=u, x=x: u @ model(x[None])[0])  # type: ignore[misc]
            for number, (u, x) in enumerate(pairs)
        )

    def training(self, steps: int) -> Training:
        """The run whose second stage makes `steps` updates."""
        model = LinearModel(self.first.inputs.shape[1], self.first.targets.shape[1])
        ridge = Sgd(learning_rate=RATE1, weight_decay=RIDGE)
        stages = (
            Stage(name="ridge", objective=self.first, batches=_all(self.first, STEPS1), optimiser=ridge),
            Stage(
                name="descent",
                objective=self.second,
                batches=_all(self.second, steps),
                optimiser=Sgd(learning_rate=RATE2),
            ),
        )
        return Training(model=model, initial=parameters_of(model), stages=stages)

    def minimum(self) -> Float[Tensor, "out in"]:
        """W after stage 1: the ridge solution."""
        cross = self.first.targets.T @ self.first.inputs / len(self.first.inputs)
        solution: Tensor = torch.linalg.solve(self._hessian(), cross, left=False)
        return solution

    def effects(self, steps: int) -> Float[Tensor, "query row"]:
        """The exact derivative of every query in the weight of every stage-1 example: - (I - rate H2)^k H1^-1 g / n."""
        inputs = self.first.inputs
        residuals = inputs @ self.minimum().T - self.first.targets
        kept = torch.eye(inputs.shape[1], dtype=inputs.dtype) - RATE2 * self.second.second_moment()
        carried = self.probes @ torch.linalg.matrix_power(kept, steps) @ torch.linalg.inv(self._hessian())
        effects: Tensor = -(self.readouts @ residuals.T) * (carried @ inputs.T) / len(inputs)
        return effects

    def _hessian(self) -> Float[Tensor, "in in"]:
        moment = self.first.second_moment()
        return moment + RIDGE * torch.eye(len(moment), dtype=moment.dtype)


def _all(data: SquaredError, steps: int) -> Int[Tensor, "step batch"]:
    return torch.arange(len(data.inputs)).expand(steps, -1)


def linear_world(*, seed: int, rows: int = 24, inputs: int = 4, outputs: int = 3, queries: int = 3) -> LinearWorld:
    """Two regressions on the same inputs' scale with unrelated targets, in float64."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    first, second = (SquaredError(inputs=draw(rows, inputs), targets=draw(rows, outputs)) for _ in range(2))
    return LinearWorld(first=first, second=second, probes=draw(queries, inputs), readouts=draw(queries, outputs))


@dataclass(frozen=True, kw_only=True, slots=True)
class TransportErrors:
    """Relative errors |estimate - exact| / |exact| of the effects of stage-1 examples, by length of stage 2."""

    steps: tuple[int, ...]
    """Updates of stage 2."""
    metagradient: tuple[float, ...]
    source: tuple[float, ...]
    identity: tuple[float, ...]
    """The exact effect on the model after stage 1, carried over as it is: the error is the missing Jacobian alone."""
    tracin: tuple[float, ...]
    """TracIn over checkpoints 5 updates apart with the final model's query gradient."""


def transport_errors(*, seed: int, steps: Sequence[int] = (1, 2, 4, 8, 16, 32)) -> TransportErrors:
    """How wrong each way of attributing across two stages is in the linear world (AT-IF-7).

    Trust: the world is linear, so curvature is constant and SOURCE is at its best; only identity transport is tested hard.
    """
    world = linear_world(seed=seed)
    errors: dict[str, list[float]] = {"metagradient": [], "source": [], "identity": [], "tracin": []}
    for count in steps:
        exact, training, queries = world.effects(count), world.training(count), world.queries()
        found = {
            "metagradient": training.metagradients(queries)[0],
            "source": _source(training, queries),
            "identity": world.effects(0),
            "tracin": tracin_scores(training, queries, every=5)[0],
        }
        for name, estimate in found.items():
            errors[name].append(float((estimate - exact).norm() / exact.norm()))
    return TransportErrors(steps=tuple(steps), **{name: tuple(values) for name, values in errors.items()})


def _source(training: Training, queries: Sequence[Query]) -> Float[Tensor, "query row"]:
    """SOURCE with one segment a stage and the exact curvature, H x I."""
    block = Block(name="map", outputs=(("map", None),))
    subspace = Subspace(name="map", blocks=(block,), modules={"map": training.model.get_submodule("map")})
    return source_scores(training, queries, subspace, segments=1, curvature=_exact_curvature)[0]


def _exact_curvature(model: PreTrainedModel, stage: Stage) -> list[BlockFactors]:
    assert isinstance(stage.objective, SquaredError)
    values, basis = torch.linalg.eigh(stage.objective.second_moment())
    outputs = stage.objective.targets.shape[1]
    identity = torch.eye(outputs, dtype=basis.dtype)
    return [
        BlockFactors(
            output_basis=identity,
            input_basis=basis,
            eigenvalues=values.expand(outputs, -1),
            damping_relative=0.0,
            damping_floor=0.0,
        )
    ]
