"""A training run under edits as a content-addressed step."""

from contextlib import AbstractContextManager

from pydantic import Field
from transformers import PreTrainedModel

from imprint.interventions.training.edit import TrainingEdit
from imprint.interventions.training.effect import edited
from imprint.models import Train


class TrainEdited(Train):
    """A training run in which components are edited in every forward pass of the edits' updates.

    Data order, initial weights and seeds are those of the run without edits, so the two are a pair.
    """

    edits: tuple[TrainingEdit, ...] = Field(min_length=1)

    def around(self, model: PreTrainedModel, update: int) -> AbstractContextManager[None]:
        """The model under the edits that hold in this update."""
        return edited(model, self.edits, update=update, seed=self.seed)
