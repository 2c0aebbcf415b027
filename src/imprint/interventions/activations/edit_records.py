"""An edit as a mapping of plain words and numbers, its tensors by name, and back."""

import difflib
import types
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from torch import Tensor

from imprint.errors import ConfigError
from imprint.interventions.activations.ablations import Affine, Mean, Patch, Resample, Zero
from imprint.interventions.activations.edit import Edit
from imprint.interventions.activations.injections import Combined, Noise, RandomSign, Shift, Sign, Swap
from imprint.interventions.activations.subspace import Subspace

KINDS: Mapping[str, type[Edit]] = {
    "zero": Zero,
    "mean": Mean,
    "resample": Resample,
    "noise": Noise,
    "shift": Shift,
    "sign": Sign,
    "random_sign": RandomSign,
    "swap": Swap,
    "patch": Patch,
    "affine": Affine,
    "combined": Combined,
}
"""The word for each kind of edit in a file."""
_WORDS = {kind: word for word, kind in KINDS.items()}


def store(tensor: Tensor, name: str, tensors: dict[str, Tensor]) -> str:
    """Put a tensor among those to be written; you get its name."""
    tensors[name] = tensor.detach().cpu().contiguous().clone()
    return name


def written(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """A field as JSON: tensors by name, edits and subspaces as mappings."""
    if isinstance(value, Tensor):
        return store(value, name, tensors)
    if isinstance(value, tuple):
        return [written(one, f"{name}.{index}", tensors) for index, one in enumerate(value)]
    if isinstance(value, Edit | Subspace):
        kind = {} if isinstance(value, Subspace) else {"kind": _WORDS[type(value)]}
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        return kind | {key: written(part, f"{name}.{key}", tensors) for key, part in parts.items()}
    return value


def check_keys(content: Mapping[Any, Any], allowed: Collection[str], where: str) -> None:
    """Refuse an unknown key, with "did you mean"."""
    for key in content:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), list(allowed), n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(allowed)}."
            raise ConfigError(f"{where}: '{key}' is unknown; {hint}")


def read_edit(content: Any, tensors: Mapping[str, Tensor], where: str) -> Edit:
    """The edit that a mapping describes; `where` is how an error names the place."""
    if not isinstance(content, dict) or "kind" not in content:
        raise ConfigError(f"{where}: an edit is a mapping with the key 'kind', one of {', '.join(KINDS)}.")
    check_keys({content["kind"]: None}, KINDS, f"{where}, kind of edit")
    made = _made(
        KINDS[content["kind"]], {key: value for key, value in content.items() if key != "kind"}, tensors, where
    )
    assert isinstance(made, Edit)
    return made


def _made(cls: type, content: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> Any:
    """An instance of an edit or a subspace from its mapping."""
    hints = get_type_hints(cls)
    names = [field.name for field in fields(cls)]
    check_keys(content, names, f"{where}, {cls.__name__.lower()}")
    values = {key: _read(hints[key], value, tensors, f"{where}, {key}") for key, value in content.items()}
    try:
        return cls(**values)
    except TypeError as error:
        missing = [name for name in names if name not in content]
        raise ConfigError(f"{where}: {cls.__name__} needs {', '.join(missing)} as well.") from error


def _read(hint: Any, value: Any, tensors: Mapping[str, Tensor], where: str) -> Any:
    """A field's value by its declared type."""
    options = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    if Tensor in options:
        return named(value, tensors, where)
    if Subspace in options and isinstance(value, dict):
        return _made(Subspace, value, tensors, where)
    if isinstance(value, list):
        return tuple(
            read_edit(one, tensors, where) if isinstance(one, dict) else _number(float, one, where) for one in value
        )
    return _number(int if int in options else float, value, where)


def _number(kind: type, value: Any, where: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        raise ConfigError(f"{where} must be a number ({kind.__name__}); it is {value!r}.")
    return kind(value)


def named(name: Any, tensors: Mapping[str, Tensor], where: str) -> Tensor:
    """The tensor of a name."""
    if name not in tensors:
        raise ConfigError(
            f"{where}: there is no tensor {name!r} in the safetensors file; it holds {', '.join(tensors)}."
        )
    return tensors[name]
