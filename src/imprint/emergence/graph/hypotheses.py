"""Hypotheses about what causes abilities, read from a YAML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from imprint.emergence.graph.causal_graph import CausalGraph
from imprint.errors import ConfigError

KEYS = ("title", "tiers", "nodes", "edges")


def read_graph(path: Path) -> CausalGraph:
    """The causal graph of a YAML file with `title`, `tiers` (ordered names, earliest first), `nodes` and `edges`.

    Raises:
        ConfigError: there is no such file, it is no YAML, or it is no causal graph; the sentence begins with the path.
    """
    if not path.is_file():
        raise ConfigError(f"no such file: {path}; give the YAML file with the hypotheses")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as YAML ({str(error).splitlines()[0]})") from error
    try:
        return CausalGraph.of(**_graph_content(content))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _graph_content(content: object) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise ConfigError(f"not a causal graph: the top level must be a mapping with {', '.join(KEYS)}")
    if unknown := [key for key in content if key not in KEYS]:
        raise ConfigError(f"unknown key '{unknown[0]}': use {', '.join(KEYS)}")
    for key in KEYS[1:]:
        if not isinstance(content.get(key), list):
            raise ConfigError(f"'{key}' is missing or no list")
    for key in KEYS[2:]:
        if strays := [one for one in content[key] if not isinstance(one, Mapping)]:
            raise ConfigError(f"'{strays[0]}' under {key} is no mapping")
    return {
        "title": str(content.get("title") or ""),
        "tiers": [str(tier) for tier in content["tiers"]],
        "nodes": content["nodes"],
        "edges": content["edges"],
    }
