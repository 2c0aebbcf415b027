"""A mechanism from a user's Python file: a function of attention patterns and tokens, or of the model."""

import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError, ImprintError
from imprint.mechanisms.head_table import HeadMechanism
from imprint.mechanisms.user_score import ModelScore, PatternScore
from imprint.models import Anatomy

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def user_function(address: str) -> Callable[..., Any]:
    """The function that an address FILE.py:function names; the file is run to get it.

    Raises:
        ConfigError: no such address, file or function, a file that fails, or a function of neither one nor two arguments.
    """
    place, separator, name = address.rpartition(":")
    if not separator or not place or not name.isidentifier():
        raise ConfigError(f"'{address}' does not name a function; write FILE.py:function")
    path = Path(place).expanduser()
    spec = importlib.util.spec_from_file_location(f"imprint_user_{path.stem}", path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise ConfigError(f"{place}: no such Python file; write FILE.py:function")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file may do
        raise ConfigError(f"{place} cannot be run: {_said(error)}") from error
    function = getattr(module, name, None)
    if not inspect.isfunction(function):
        known = [key for key, value in vars(module).items() if inspect.isfunction(value) and not key.startswith("_")]
        raise ConfigError(f"{place} has no function '{name}'; it has {', '.join(known) or 'none'}")
    if _arguments(function) not in (1, 2):
        raise ConfigError(
            f"{address} takes {_arguments(function)} arguments; write it of (patterns, tokens) or of (model)"
        )
    return function


def user_mechanism(function: Callable[..., Any], tokens: Int[Tensor, "row seq"]) -> HeadMechanism:
    """The function as a mechanism: of two arguments, patterns and tokens (`PatternScore`); of one, the model (`ModelScore`).

    Patterns are [layer, row, head, query, key] and the answer is one number a head, [layer, head]; a function of the model
    answers [layer, head, row]. What the function returns is checked when it is called.

    Raises:
        ConfigError: when scored, if the function fails or returns something else.
    """
    if _arguments(function) == 2:

        def by_patterns(patterns: Tensor, tokens: Tensor) -> Tensor:
            return _called(function, patterns, tokens)

        return PatternScore(name=function.__name__, score=by_patterns, tokens=tokens)

    def by_model(model: PreTrainedModel) -> Tensor:
        found, anatomy = _called(function, model), Anatomy(model)
        wanted = (anatomy.num_layers, anatomy.num_heads)
        if found.ndim != 3 or tuple(found.shape[:2]) != wanted or found.shape[2] < 2:
            raise ConfigError(
                f"{function.__name__} returned shape {tuple(found.shape)}; return a score of every head on at least two"
                f" rows, shape {wanted} and the rows"
            )
        return found

    return ModelScore(name=function.__name__, score=by_model)


def _called(function: Callable[..., Any], *arguments: Any) -> Tensor:
    try:
        found = function(*arguments)
    except ImprintError:
        raise
    except Exception as error:  # whatever the user's function may do
        raise ConfigError(f"{function.__name__} failed: {_said(error)}") from error
    if not isinstance(found, Tensor):
        raise ConfigError(f"{function.__name__} returned a {type(found).__name__}; return a torch tensor of scores")
    if not bool(torch.isfinite(found).all()):
        raise ConfigError(f"{function.__name__} returned numbers that are not finite; return a score for every head")
    return found.detach() if found.is_floating_point() else found.detach().float()


def _arguments(function: Callable[..., Any]) -> int:
    """How many arguments the function must be given."""
    parameters = inspect.signature(function).parameters.values()
    return sum(each.kind in _POSITIONAL and each.default is inspect.Parameter.empty for each in parameters)


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
