"""Hypotheses about what causes abilities, read from a YAML file."""

from pathlib import Path

import yaml

from imprint.emergence.graph.causal_graph import CausalGraph
from imprint.errors import ConfigError


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
        return CausalGraph.from_dict(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
