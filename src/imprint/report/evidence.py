"""The machine-readable result of a study: `evidence.json` (claims, verdicts, seconds) and `manifest.json` (provenance)."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from imprint.report.emergence_evidence import emergence_numbers
from imprint.report.susceptibility_evidence import susceptibility_numbers
from imprint.runs import atomic_file, file_digest, versions, write_json
from imprint.studies import EmergenceResult, MechanismResult, PerturbationResult, SusceptibilityResult
from imprint.studies.emergence import HISTORY_FILE
from imprint.studies.registration import DESIGN_FILE

Result = MechanismResult | PerturbationResult | SusceptibilityResult | EmergenceResult
"""What a study of any kind found."""

_FILES = (
    "report.html",
    "report.md",
    "report.json",
    "evidence.json",
    "registration.json",
    DESIGN_FILE,
    "trajectories.parquet",
    "influence.json",
    "outcomes.parquet",
    HISTORY_FILE,
)


def evidence(result: Result) -> dict[str, Any]:
    """Claims with their evidence, hypotheses with their verdicts, and wall-clock seconds by stage."""
    verdicts = result.examined if isinstance(result, SusceptibilityResult | EmergenceResult) else result.verdicts
    found = {
        "claims": [claim.as_dict() for claim in result.claims],
        "hypotheses": [verdict.as_dict() for verdict in verdicts],
        "registration": result.registration,
        "seconds": result.seconds,
    }
    if isinstance(result, SusceptibilityResult):
        return susceptibility_numbers(result) | found
    if isinstance(result, EmergenceResult):
        return emergence_numbers(result) | found
    return found if isinstance(result, MechanismResult) else found | {"influence": result.matrix.as_dict()}


def manifest(result: Result, folder: Path, command: str) -> dict[str, Any]:
    """What was run, with which recipe and versions, and the digest of every file that it left."""
    return {
        "imprint": version("imprint"),
        "command": command,
        "study": result.study.model_dump(mode="json"),
        "registration": result.registration,
        **_particulars(result),
        "steps": result.keys,
        "versions": versions(),
        "warnings": list(result.warnings),
        "files": {name: file_digest(folder / name) for name in _FILES if (folder / name).exists()},
    }


def _particulars(result: Result) -> dict[str, Any]:
    if isinstance(result, SusceptibilityResult):
        return {"explanation": result.explanation.named, "conditions": list(result.study.conditions)}
    if isinstance(result, EmergenceResult):
        return _emergence_particulars(result)
    if isinstance(result, PerturbationResult):
        return {"clusters": list(result.clusters), "site": result.space.site}
    return {
        "head": result.head,
        "transition_step": result.transition,
        "window": list(result.window),
        "treated_rows": result.treated_rows,
    }


def _emergence_particulars(result: EmergenceResult) -> dict[str, Any]:
    study = result.study
    return {
        "scales": [scale.name for scale in study.scales],
        "held_out": None if study.held_out is None else study.held_out.scale.name,
        "arms": [arm.name for arm in study.interventions],
        "design": result.design,
    }


def write_evidence(result: Result, folder: Path, *, command: str) -> None:
    """Write `evidence.json`, the table or matrix behind it and, last, `manifest.json`."""
    write_json(folder / "evidence.json", evidence(result))
    if isinstance(result, PerturbationResult):
        write_json(folder / "influence.json", result.matrix.as_dict())
    elif isinstance(result, MechanismResult):
        _write_table(result.trajectories, folder / "trajectories.parquet")
    else:
        _write_table(result.table, folder / "outcomes.parquet")
    write_json(folder / "manifest.json", manifest(result, folder, command))


def _write_table(table: pl.DataFrame, path: Path) -> None:
    with atomic_file(path) as partial:
        table.write_parquet(partial)
