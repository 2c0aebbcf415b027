"""The record of what is to be done, written before anything is trained: stages, seeds, scalars, order, stopping rules."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imprint.errors import ConfigError
from imprint.runs import digest, file_digest, read_json, write_json
from imprint.studies.susceptibility.config import SusceptibilityStudy

DESIGN_FILE = "design.json"


def register_design(study: SusceptibilityStudy, out: Path) -> str:
    """Write the design, but for the title and for deviations that are told later; its digest.

    Raises:
        ConfigError: another design was begun in this folder.
    """
    design = check_design(study, out)
    if not (out / DESIGN_FILE).exists():
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / DESIGN_FILE, {"digest": digest(design), "design": design})
    return digest(design)


def check_design(study: SusceptibilityStudy, out: Path) -> dict[str, Any]:
    """The design; ConfigError if the folder holds another one."""
    design: dict[str, Any] = _plain(study.model_dump(exclude={"title", "deviations", "hypotheses"}))
    if study.base.model is not None and Path(study.base.model).exists():
        design["base"]["model"] = Path(study.base.model).name
    path = out / DESIGN_FILE
    if path.exists() and read_json(path)["design"] != design:
        before = read_json(path)["design"]
        changed = ", ".join(name for name in design if before.get(name) != design[name])
        raise ConfigError(
            f"'{out.name}' was begun with another design ({changed} changed); choose another --out folder, or put the old"
            " design back and tell what was done otherwise under 'deviations'"
        )
    return design


def _plain(value: Any) -> Any:
    """Ready for JSON; a file counts by its name and content, since where it lies is no part of the design."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if not isinstance(value, Path):
        return value
    return f"{value.name} {file_digest(value)}" if value.is_file() else value.name
