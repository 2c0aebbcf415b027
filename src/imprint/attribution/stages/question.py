"""What every method here is asked: which rows of one stage moved the outcome after the last one."""

from abc import ABC

from pydantic import Field, model_validator

from imprint.attribution.stages.pipeline import stage_back
from imprint.models.finetuning import FineTuning
from imprint.runs import Step


class StageQuestion(Step, ABC):
    """A pipeline that has run, the stage whose rows are scored, and the preference pairs of the outcome.

    The outcome f is the mean over the pairs of log p(chosen) - log p(rejected) of a model, in nats.

    Raises:
        ConfigError: the pipeline has no such stage.
    """

    final: FineTuning
    """The last stage; its last checkpoint is the model that the outcome is measured on."""
    back: int = Field(ge=0)
    """How many stages before the last one the scored rows were trained on (0: in the last one itself)."""
    pairs: Step
    """`RenderedPreferences` of the outcome."""

    @model_validator(mode="after")
    def _stage_is_there(self) -> "StageQuestion":
        stage_back(self.final, self.back)
        return self
