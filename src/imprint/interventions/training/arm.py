"""`TrainingArm`: a named intervention on training that does not touch the data: components, optimiser, or both."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from imprint.errors import ConfigError
from imprint.interventions.training.edit import TrainingEdit
from imprint.interventions.training.steps import TrainEdited
from imprint.models import Optimisation, Train

UNTOUCHED = ("control", "keep")
"""Names that mean the untouched runs."""


class TrainingArm(BaseModel):
    """One intervention on how a model is trained; a run under it is a pair with the untouched run of the same seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[A-Za-z0-9_. -]+$")
    edits: tuple[TrainingEdit, ...] = ()
    optimisation: Mapping[str, float] = Field(default_factory=dict)
    """Fields of the optimisation with other values."""

    @field_validator("name")
    @classmethod
    def _not_untouched(cls, name: str) -> str:
        if name in UNTOUCHED:
            raise ValueError(f"'{name}' means the untouched runs; give the intervention another name")
        return name

    @model_validator(mode="after")
    def _does_something(self) -> "TrainingArm":
        if not self.changes:
            raise ValueError(f"intervention '{self.name}' changes nothing; give {' or '.join(self.ways)}")
        unknown = sorted(set(self.optimisation) - set(Optimisation.model_fields))
        if unknown:
            known = ", ".join(Optimisation.model_fields)
            raise ValueError(f"intervention '{self.name}': the optimisation has no '{unknown[0]}'; it has {known}")
        try:
            Optimisation.model_validate(dict(self.optimisation))
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"intervention '{self.name}': {first['loc'][0]}: {first['msg']}") from error
        self._refuse_same_draws()
        return self

    def _refuse_same_draws(self) -> None:
        """Two edits of a share of one site would draw the same units, so one would undo or double the other."""
        drawn = [site for edit in self.edits if edit.share < 1 for site in edit.sites]
        twice = [site for site in drawn if drawn.count(site) > 1]
        if twice:
            raise ValueError(f"intervention '{self.name}': two edits draw units of '{twice[0]}'; make it one edit")

    @property
    def ways(self) -> tuple[str, ...]:
        """The fields by which it can change something."""
        return ("edits", "optimisation")

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return any(bool(getattr(self, way)) for way in self.ways)

    def applied(self, run: Train) -> Train:
        """The run under this intervention: same initial weights, rows and order.

        Raises:
            ConfigError: an edit begins after the run has ended.
        """
        late = [edit for edit in self.edits if edit.first >= run.last_step]
        if late:
            raise ConfigError(
                f"intervention '{self.name}': an edit begins at update {late[0].first} of {run.last_step}, so never"
            )
        recipe = Optimisation.model_validate({**run.optimisation.model_dump(), **self.optimisation})
        changed = run.model_copy(update={"optimisation": recipe})
        if not self.edits:
            return changed
        return TrainEdited(**{name: getattr(changed, name) for name in Train.model_fields}, edits=self.edits)


def read_training_arms(path: Path) -> tuple[TrainingArm, ...]:
    """The interventions that a YAML file lists, each with name, edits and optimisation.

    Raises:
        ConfigError: the file is missing, is not YAML, is no list, holds two of one name, or a value is wrong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"interventions '{path}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"interventions '{path}' are not valid YAML: {' '.join(str(error).split())}") from error
    listed = content.get("interventions") if isinstance(content, dict) else content
    try:
        arms = TypeAdapter(tuple[TrainingArm, ...]).validate_python(listed)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(f"{path}: {place}: {first['msg'].removeprefix('Value error, ')}") from error
    names = [arm.name for arm in arms]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"{path}: " + ("two interventions have the same name" if names else "lists no intervention"))
    return arms
