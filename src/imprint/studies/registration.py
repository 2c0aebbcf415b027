"""The records of hypotheses and design, written before anything is trained; they may not change afterwards."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imprint.errors import ConfigError
from imprint.runs import digest, read_json, write_json
from imprint.stats import Hypothesis, registration_digest

DESIGN_FILE = "design.json"


def register(hypotheses: Sequence[Hypothesis], out: Path) -> str:
    """Write the hypotheses before anything is trained; their digest.

    Raises:
        ConfigError: other hypotheses were registered in this folder before.
    """
    found = check_registered(hypotheses, out)
    record = {"digest": found, "hypotheses": [hypothesis.model_dump(mode="json") for hypothesis in hypotheses]}
    if not (out / "registration.json").exists():
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "registration.json", record)
    return found


def check_registered(hypotheses: Sequence[Hypothesis], out: Path) -> str:
    """The digest of the hypotheses; ConfigError if the folder holds a registration of others."""
    found = registration_digest(hypotheses)
    registered = out / "registration.json"
    if registered.exists() and read_json(registered)["digest"] != found:
        raise ConfigError(
            f"'{out.name}' was registered with other hypotheses; choose another --out folder, because a hypothesis that is"
            " changed after the run has begun is no longer registered before it"
        )
    return found


def register_design(design: Mapping[str, Any], out: Path) -> str:
    """Write a design, ready for JSON, before anything is trained; its digest.

    Raises:
        ConfigError: another design was begun in this folder.
    """
    check_design(design, out)
    found = digest(design)
    if not (out / DESIGN_FILE).exists():
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / DESIGN_FILE, {"digest": found, "design": design})
    return found


def check_design(design: Mapping[str, Any], out: Path) -> None:
    """ConfigError if the folder holds another design."""
    path = out / DESIGN_FILE
    if path.exists() and read_json(path)["design"] != design:
        before = read_json(path)["design"]
        changed = ", ".join(name for name in design if before.get(name) != design[name])
        raise ConfigError(
            f"'{out.name}' was begun with another design ({changed} changed); choose another --out folder, or put the old"
            " design back and tell what was done otherwise under 'deviations'"
        )
