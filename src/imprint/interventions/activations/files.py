"""Interventions on disk: a JSON or YAML file to read, a safetensors file beside it with the numbers. Never a pickle."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from imprint.errors import ConfigError, InputError, IntegrityError
from imprint.interventions.activations.edit_records import check_keys, named, read_edit, store, written
from imprint.interventions.activations.intervention import Intervention
from imprint.interventions.activations.tokens import Phase
from imprint.runs.digests import file_digest
from imprint.runs.files import read_json, write_bytes_atomic, write_json, writing


class Record(BaseModel):
    """One intervention in a file; a text in place of a tensor is its name in the safetensors file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    site: str
    edit: dict[str, Any]
    dose: float | list[float] = 1.0
    tokens: str | None = None
    phase: Phase = "both"


class Document(BaseModel):
    """The file: its interventions in order, and which safetensors file (by name and digest) belongs to it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Literal[1] = 1
    tensors: str | None = None
    sha256: str | None = None
    interventions: list[Record]


def save_interventions(path: Path, interventions: Sequence[Intervention]) -> None:
    """Write `path` (.json, .yaml or .yml) and, if there are tensors, `path` with the suffix .safetensors beside it.

    Everything comes back exactly as it was. `ConfigError` for another suffix or no interventions.
    """
    _check_suffix(path)
    if not interventions:
        raise ConfigError(f"There are no interventions to write to {path}.")
    tensors: dict[str, Tensor] = {}
    records = [_record(item, str(index), tensors) for index, item in enumerate(interventions)]
    beside = path.with_suffix(".safetensors")
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        if tensors:
            write_bytes_atomic(beside, save(tensors))
        document = Document(
            tensors=beside.name if tensors else None,
            sha256=file_digest(beside) if tensors else None,
            interventions=records,
        )
        content = document.model_dump(mode="json")
        if path.suffix == ".json":
            write_json(path, content)
        else:
            write_bytes_atomic(path, yaml.safe_dump(content, sort_keys=False).encode())


def load_interventions(path: Path) -> list[Intervention]:
    """The interventions in a file, exactly as they were saved.

    `ConfigError` for an unknown key (with "did you mean") or a bad value, `InputError` if a file is missing,
    `IntegrityError` if the tensors are not those that were saved with it or cannot be read.
    """
    document = _document(path)
    tensors = _tensors(path, document)
    return [
        _intervention(record, tensors, f"{path}, intervention {n}") for n, record in enumerate(document.interventions)
    ]


def _check_suffix(path: Path) -> None:
    if path.suffix not in (".json", ".yaml", ".yml"):
        raise ConfigError(f"Interventions are stored as .json or .yaml, not as '{path.suffix}' ({path}).")


def _record(item: Intervention, name: str, tensors: dict[str, Tensor]) -> Record:
    return Record(
        site=item.site,
        edit=written(item.edit, f"{name}.edit", tensors),
        dose=list(item.dose) if isinstance(item.dose, tuple) else float(item.dose),
        tokens=None if item.tokens is None else store(item.tokens, f"{name}.tokens", tensors),
        phase=item.phase,
    )


def _document(path: Path) -> Document:
    _check_suffix(path)
    if not path.is_file():
        raise InputError(f"There is no file {path}; write one with save_interventions.")
    content = read_json(path) if path.suffix == ".json" else _yaml(path)
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path} must hold a mapping with the key 'interventions'; it holds a {type(content).__name__}."
        )
    check_keys(content, Document.model_fields, str(path))
    for number, record in enumerate(content.get("interventions") or []):
        if isinstance(record, dict):
            check_keys(record, Record.model_fields, f"{path}, intervention {number}")
    try:
        return Document.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise ConfigError(f"{path}, {place}: {problem['msg']} (it is {problem['input']!r}).") from error


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error


def _tensors(path: Path, document: Document) -> dict[str, Tensor]:
    if document.tensors is None:
        return {}
    beside = path.parent / document.tensors
    if beside.parent.resolve() != path.parent.resolve() or not beside.is_file():
        raise InputError(f"{path} needs the file '{document.tensors}' beside it; it is not there.")
    if file_digest(beside) != document.sha256:
        raise IntegrityError(
            f"{beside} is not the file that was saved with {path.name}; restore it or save both again."
        )
    try:
        return load_file(beside)
    except SafetensorError as error:
        raise IntegrityError(f"{beside} is not a safetensors file ({error}).") from error


def _intervention(record: Record, tensors: Mapping[str, Tensor], where: str) -> Intervention:
    return Intervention(
        site=record.site,
        edit=read_edit(record.edit, tensors, where),
        dose=tuple(record.dose) if isinstance(record.dose, list) else record.dose,
        tokens=None if record.tokens is None else named(record.tokens, tensors, f"{where}, tokens"),
        phase=record.phase,
    )
