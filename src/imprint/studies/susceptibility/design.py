"""What a susceptibility study is going to do, to be registered: stages, seeds, scalars, order, stopping rules."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imprint.runs import file_digest
from imprint.studies.susceptibility.config import SusceptibilityStudy


def design_of(study: SusceptibilityStudy) -> dict[str, Any]:
    """The design, but for the title and for deviations that are told later."""
    design: dict[str, Any] = _plain(study.model_dump(exclude={"title", "deviations", "hypotheses"}))
    if study.base.model is not None and Path(study.base.model).exists():
        design["base"]["model"] = Path(study.base.model).name
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
