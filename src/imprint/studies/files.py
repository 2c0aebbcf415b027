"""A study file to the study that it describes: YAML in, unknown keys refused with "did you mean"."""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from imprint.errors import ConfigError, InputError
from imprint.studies.emergence import EmergenceStudy
from imprint.studies.mechanism.config import MechanismStudy
from imprint.studies.perturbation import PerturbationStudy
from imprint.studies.susceptibility import SusceptibilityStudy

Study = MechanismStudy | PerturbationStudy | SusceptibilityStudy | EmergenceStudy
STUDIES: Mapping[str, type[Study]] = {
    "mechanism": MechanismStudy,
    "perturbation": PerturbationStudy,
    "susceptibility": SusceptibilityStudy,
    "emergence": EmergenceStudy,
}
"""What `kind` may say."""
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


def study_schema() -> dict[str, Any]:
    """The JSON Schema of study files of every kind."""
    return TypeAdapter(Study).json_schema()


def load_study(path: Path) -> Study:
    """The study that a YAML file describes; `${NAME}` and `${NAME:-default}` stand for environment variables.

    Raises:
        ConfigError: the file is missing, is not YAML, has an unknown key (with "did you mean"), a bad value, or
            an environment variable that is not set.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"study file '{path}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"study file '{path}' is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"study file '{path}' holds {type(content).__name__}, not a mapping of keys to values")
    return parse_study(content, where=str(path))


def parse_study(content: dict[Any, Any], *, where: str) -> Study:
    """The study that a mapping describes; `where` names it in error messages."""
    kind = content.get("kind", "mechanism")
    if kind not in STUDIES:
        raise ConfigError(f"{where}: kind '{kind}' is not a study; the kinds are: {', '.join(STUDIES)}")
    try:
        return STUDIES[kind].model_validate(_with_environment(content))
    except ValidationError as error:
        raise ConfigError(f"{where}: {_explain(error, STUDIES[kind])}") from error
    except InputError as error:
        raise ConfigError(f"{where}: {error}") from error


def _with_environment(value: Any) -> Any:
    """The content with environment variables put in, in every text."""
    if isinstance(value, dict):
        return {key: _with_environment(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_with_environment(child) for child in value]
    return _VARIABLE.sub(_variable, value) if isinstance(value, str) else value


def _variable(found: re.Match[str]) -> str:
    value = os.environ.get(found["name"], found["default"])
    if value is None:
        raise ConfigError(f"the environment variable {found['name']} is not set; set it, or write the path itself")
    return value


def _explain(error: ValidationError, study: type[BaseModel]) -> str:
    """One problem of a validation error as one sentence: a misspelt key, with a suggestion, before all else."""
    problems = error.errors()
    problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _known_keys(study, problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
        return f"unknown key '{place}'; {hint}"
    message = problem["msg"].removeprefix("Value error, ")
    if isinstance(problem["input"], str | int | float | None):
        message += f" (it is {problem['input']!r})"
    return f"{place}: {message}" if place else message


def _known_keys(study: type[BaseModel], parents: tuple[int | str, ...]) -> list[str]:
    """The keys of the model found at a place; an item of a tuple is of its first type, one of several kinds goes by its name."""
    model: Any = study
    for parent in parents:
        kinds = _models(model)
        if isinstance(parent, int):
            model = next((get_args(one)[0] for one in (model, *get_args(model)) if get_origin(one) is tuple), None)
        elif any(one.model_fields["kind"].default == parent for one in kinds if "kind" in one.model_fields):
            model = next(
                one for one in kinds if "kind" in one.model_fields and one.model_fields["kind"].default == parent
            )
        else:
            model = next((one.model_fields[parent].annotation for one in kinds if parent in one.model_fields), None)
    return [name for one in _models(model) for name in one.model_fields]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models that an annotation speaks of: itself, those of a union, those behind Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return [model for one in get_args(annotation) for model in _models(one)]
    return []


def load_mechanism_study(path: Path) -> MechanismStudy:
    """The mechanism study that a YAML file describes; ConfigError if it describes another kind of study."""
    study = load_study(path)
    if not isinstance(study, MechanismStudy):
        raise ConfigError(
            f"study file '{path}' is of kind '{study.kind}', but this verb retrains models: give a mechanism study"
        )
    return study
