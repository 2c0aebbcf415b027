"""The exact derivative of a pipeline's outcome in the weight of every row of one of its stages."""

from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from imprint.attribution.stages.outcome import MeanMargin
from imprint.attribution.stages.recorded import Recorded, recorded
from imprint.attribution.stages.scores import StageScores
from imprint.attribution.unrolled.adjoint import Tape, pull_back, record
from imprint.errors import SelfCheckFailed
from imprint.models import Device
from imprint.models.finetuning import FineTuning
from imprint.runs import Context, Step

REPLAY_TOLERANCE = 0.02
"""The distance that a replayed stage may end from the recorded one, as a share of what the stage moved its parameters by."""


class StageMetagradient(Step):
    """d f / d w of every row's weight w at the weight it was trained with, through that stage and all later ones; exact.

    f is the mean over the pairs of log p(chosen) - log p(rejected) of the final model, in nats; positive: training on the row
    raises it. Later SFT, DPO (its reference moves with the model that it starts from) and LoRA stages are differentiated
    through, every AdamW update included. Each stage is replayed from its recorded start, the last one first, with about
    2 sqrt(updates) states alive; its end must be the recorded one up to REPLAY_TOLERANCE (`checks` says how near it came).
    Cost: about four to five times the training of the stages from `back` on, and some ten times the memory of an update.
    Source: Ilyas and Engstrom 2025 (MAGIC). Trust: for small models. Exact as a derivative; as a prediction of leaving a row
    out it is as good as the run is smooth in the weights, which AdamW is only where gradients are not close to 0: leave a few
    rows out (`without`) to see. Dropout and stages that ran on another device are refused or show in the self-check.

    Raises:
        ConfigError: a stage that cannot be repeated.
        SelfCheckFailed: a replay ends somewhere else than the recorded stage, or diverges.
    """

    final: FineTuning
    back: int = Field(ge=0)
    """How many stages before the last one the scored rows were trained on."""
    pairs: Step
    """`RenderedPreferences` of the outcome."""
    batch: int = Field(default=32, ge=1)
    """Items of the outcome that go through the model at once."""
    device: Device = "cpu"

    def execute(self, folder: Path, context: Context) -> None:
        """Go back stage by stage and save `StageScores`; progress counts updates, each twice."""
        torch.set_num_threads(1)
        outcome = MeanMargin.load(context.get(self.pairs), batch=self.batch)
        checks = dict[str, float]()
        adjoint: Tensor | None = None
        for back in range(self.back + 1):
            stage = recorded(self.final, back, context, device=self.device)
            if adjoint is None:
                adjoint = outcome.gradient(stage.model, stage.last())
            tape = record(stage.course(), advance=context.advance)
            checks[f"replay of {stage.stage.name}"] = _checked(tape, stage)
            [(adjoint, weights)] = pull_back(tape, [adjoint], advance=context.advance)
        values = weights.double().cpu().numpy()
        StageScores(ids=stage.ids, values=values, method="metagradient", checks=checks).save(folder)


def _checked(tape: Tape, stage: Recorded) -> float:
    """How far the replay ends from the recorded end, as a share of the way."""
    course = tape.course
    replayed, after = (course.base_layout.pack(params) for params in (course.assembled(tape.last), stage.last()))
    away = float((replayed - after).norm() / (after - course.base).norm())
    if not away <= REPLAY_TOLERANCE:
        raise SelfCheckFailed(
            f"the replay of {stage.stage.name} ends {away:.3g} of the stage's way from the recorded model, more than"
            f" {REPLAY_TOLERANCE}: was it trained on another device, or by other code? Train it again on this one"
        )
    return away
