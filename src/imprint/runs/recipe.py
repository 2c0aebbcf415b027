"""A step of an experiment: its hyper-parameters, what it builds on, and the key that names its result."""

import dataclasses
import math
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from enum import Enum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict

from imprint.errors import ConfigError
from imprint.runs.code import source_digest
from imprint.runs.digests import canonical_json, content_digest, digest

if TYPE_CHECKING:
    from imprint.runs.store import Context

_Step = TypeVar("_Step", bound="Step")

_SEEN: ContextVar[dict[int | str, Any]] = ContextVar("_SEEN")
"""Steps (by identity) and modules that the recipe being written has described already; it lives for one `recipe()`."""

_NUMERIC = ("numpy", "scikit-learn", "scipy", "tokenizers", "torch", "transformers")


class Step(BaseModel, ABC):
    """One kind of step: the fields are its hyper-parameters and the steps that it builds on.

    A field may be JSON-able, an enum, a dataclass or pydantic model of such, a Step, or a list, tuple or dict of Steps.
    A field of type Path is an input file or folder and counts by its name and content, not by where it lies.

    Trust: the key covers fields, code (see `imprint.runs.code`) and library versions. It does not cover the machine,
    the number of threads, environment variables or the network: a step that reads those must have them as fields.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)

    @abstractmethod
    def execute(self, folder: Path, context: "Context") -> None:
        """Write the result files into `folder`.

        The folder may hold files of an attempt that was killed: continue from them, or overwrite them. What lies in
        `folder / "scratch"` is kept for the next attempt and deleted once the step is done.
        """

    @property
    def key(self) -> str:
        """The name of the result: 64 hexadecimal characters, the digest of `recipe()`."""
        return digest(self.recipe())

    @property
    def name(self) -> str:
        """The kind of step, "module.Class"; ConfigError if no other process could import it under that name."""
        kind = type(self)
        if kind.__module__ in ("__main__", "__mp_main__") or "<locals>" in kind.__qualname__:
            place = "inside a function" if "<locals>" in kind.__qualname__ else "in the script that is run (__main__)"
            raise ConfigError(
                f"step {kind.__qualname__} is defined {place}, where other processes cannot import it: "
                "define it at the top level of a module of its own, such as steps.py, and import it from there"
            )
        return f"{kind.__module__}.{kind.__qualname__}"

    def recipe(self) -> dict[str, Any]:
        """All that the result depends on, JSON-able: step, fields with defaults, code, library versions; nested."""
        outermost = _SEEN.set({})
        try:
            return {**self._described(), "versions": versions()}
        finally:
            _SEEN.reset(outermost)

    def upstream(self) -> list["Step"]:
        """The steps found in the fields, in their order; not the steps that those build on."""
        return [step for field in type(self).model_fields for step in _steps_in(getattr(self, field))]

    # A type variable, not Self: beartype cannot check Self on a method.
    def model_copy(self: _Step, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> _Step:
        """The same step with some fields changed; unlike pydantic's, the new fields are validated."""
        fields = {field: getattr(self, field) for field in type(self).model_fields}
        return type(self).model_validate({**fields, **(update or {})})

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Read the source while it is what this process runs: it may be edited before the key is asked for."""
        super().__pydantic_init_subclass__(**kwargs)
        assert not cls.__private_attributes__, f"{cls.__qualname__}: private attributes would not count in the key"
        with suppress(ConfigError):  # said again, to the user, when the key is asked for
            source_digest(cls.__module__)

    def _described(self) -> dict[str, Any]:
        """The step without versions; a step that several others build on is described once in a recipe."""
        seen = _SEEN.get()
        if id(self) not in seen:
            name, module = self.name, type(self).__module__
            if module not in seen:
                seen[module] = source_digest(module)
            seen[id(self)] = {"step": name, "code": seen[module], "fields": _fields(self, name)}
        described: dict[str, Any] = seen[id(self)]
        return described


@cache
def versions() -> dict[str, str]:
    """The versions that may change numbers: Python (minor) and the numeric libraries, "absent" if not installed."""
    return {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        **{name: _version(name) for name in _NUMERIC},
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


def _fields(record: Any, where: str) -> dict[str, Any]:
    return {name: _plain(value, f"{where}.{name}") for name, value in _items(record)}


def _items(record: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of the fields of a pydantic model or a dataclass."""
    kind = type(record)
    names = kind.model_fields if isinstance(record, BaseModel) else [field.name for field in dataclasses.fields(record)]
    yield from ((name, getattr(record, name)) for name in names)


def _is_record(value: Any) -> bool:
    return isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def _steps_in(value: Any) -> Iterator[Step]:
    if isinstance(value, Step):
        yield value
    elif isinstance(value, Mapping):
        yield from (step for child in value.values() for step in _steps_in(child))
    elif isinstance(value, list | tuple):
        yield from (step for child in value for step in _steps_in(child))
    elif _is_record(value):
        yield from (step for _, child in _items(value) for step in _steps_in(child))


def _plain(value: Any, where: str) -> Any:
    """A field's value as JSON; ConfigError with the field's name for what has no exact JSON."""
    match value:
        case Step():
            return value._described()
        case Enum():
            return _plain(value.value, where)
        case Path():
            return _input(value, where)
        case None | bool() | int() | float() | str():
            return _scalar(value, where)
        case Mapping():
            return {_name(name, where): _plain(child, f"{where}.{name}") for name, child in value.items()}
        case list() | tuple():
            return [_plain(child, f"{where}[{index}]") for index, child in enumerate(value)]
        case set() | frozenset():
            return sorted((_plain(child, where) for child in value), key=canonical_json)
        case _ if _is_record(value):
            kind = type(value)
            name = f"{kind.__module__}.{kind.__qualname__}"
            return {"type": name, "code": source_digest(kind.__module__), "fields": _fields(value, where)}
    raise ConfigError(
        f"{where} is a {type(value).__name__}, which a recipe cannot name exactly: use numbers, text, lists, dicts, "
        "paths, dataclasses or steps"
    )


def _scalar(value: int | float | str | None, where: str) -> int | float | str | None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} is {value!r}: give a finite number, or None for no limit")
    if isinstance(value, str) and len(value) > 1 and os.path.isabs(value) and os.path.exists(value):
        raise ConfigError(
            f"{where} is the text {value!r}, a path on this machine whose content would not count: "
            "declare the field as a Path"
        )
    return value


def _input(path: Path, where: str) -> dict[str, str]:
    if not path.exists():
        raise ConfigError(f"{where} is {str(path)!r}, and there is no such file or folder: check the path")
    return {"input": os.path.basename(os.path.abspath(path)), "sha256": content_digest(path)}


def _name(name: Any, where: str) -> str:
    if not isinstance(name, str | int):
        raise ConfigError(f"{where} has the key {name!r}: a recipe's keys are text or whole numbers")
    return str(name)
