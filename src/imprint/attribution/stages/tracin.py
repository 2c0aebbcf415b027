"""TracIn-CP on one stage of a pipeline: gradient products at that stage's own checkpoints."""

from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Float64
from pydantic import Field
from torch import Tensor

from imprint.attribution.stages.outcome import MeanMargin
from imprint.attribution.stages.question import StageQuestion
from imprint.attribution.stages.recorded import recorded
from imprint.attribution.stages.scores import StageScores
from imprint.attribution.unrolled.replay import Course
from imprint.attribution.unrolled.slopes import slopes
from imprint.models import Device
from imprint.runs import Context


class StageTracIn(StageQuestion):
    """For each row of a stage the sum over its checkpoints of rate x (- grad of the row's loss . grad of the mean margin).

    Positive: training on the row raises f, the mean over the pairs of log p(chosen) - log p(rejected). Unit: nats, if every
    visit of a row were a step of plain gradient descent on its summed loss; times the row's mean weight in the stage's order,
    so 0 for a row that is never drawn. The rate is that of the update that a checkpoint ends with.
    Source: Pruthi et al. 2020, equation 3.
    Trust: it assumes that every later stage carries the change of the parameters on unchanged (identity transport), and takes
    AdamW for gradient descent. The same product over the last stage's checkpoints would rank that stage's rows, which is
    another question than what an earlier stage's rows did to the last one's outcome: choose `back` for the rows you ask about.
    `StageMetagradient` is exact where it can be afforded: in four pipelines of SFT, DPO and LoRA (2 layers, d 64, 120 rows) the
    rank correlation with leaving one row out (20 rows) was .59 to .70 here and .97 or more there, except for one with .48.
    """

    query_at: Literal["checkpoint", "final"] = "checkpoint"
    """Take grad f at each checkpoint itself, or once at the pipeline's final model."""
    batch: int = Field(default=8, ge=1)
    """Rows, or items, that go through the model at once."""
    device: Device = "cpu"

    def execute(self, folder: Path, context: Context) -> None:
        """Score every row and save `StageScores`; progress counts the step itself."""
        torch.set_num_threads(1)
        stage = recorded(self.final, self.back, context, device=self.device)
        outcome = MeanMargin.load(context.get(self.pairs), batch=self.batch)
        course, final = stage.course(), None
        if self.query_at == "final":
            final = outcome.gradient(stage.model, recorded(self.final, 0, context, device=self.device).last())
        total = torch.zeros(stage.stage.rows, dtype=torch.float64)
        for updates in stage.checkpoints():
            direction = outcome.gradient(stage.model, stage.after(updates)) if final is None else final
            rate = stage.stage.optimiser.rate(max(0, updates - 1))
            variables = course.layout.pack(stage.variables(updates))
            total -= rate * self._slopes(course, variables, direction)
        context.advance(1)
        values = (total * stage.mean_weights()).numpy()
        checks = {"checkpoints": float(len(stage.checkpoints()))}
        method = f"TracIn-CP, query at the {self.query_at}"
        StageScores(ids=stage.ids, values=values, method=method, checks=checks).save(folder)

    def _slopes(
        self, course: Course, variables: Float[Tensor, "n"], direction: Float[Tensor, "base"]
    ) -> Float64[Tensor, "row"]:
        """How fast every row's loss rises along the direction."""
        parts = torch.split(torch.arange(course.stage.rows), self.batch)
        return torch.cat([slopes(course, variables, [direction], rows)[0].double().cpu() for rows in parts])
