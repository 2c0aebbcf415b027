"""The machine-readable result of a study: `evidence.json` (claims, verdicts, seconds) and `manifest.json` (provenance)."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from imprint.runs import atomic_file, file_digest, versions, write_json
from imprint.studies import MechanismResult, PerturbationResult

_FILES = (
    "report.html",
    "report.md",
    "report.json",
    "evidence.json",
    "registration.json",
    "trajectories.parquet",
    "influence.json",
)


def evidence(result: MechanismResult | PerturbationResult) -> dict[str, Any]:
    """Claims with their evidence, hypotheses with their verdicts, and wall-clock seconds by stage."""
    found = {
        "claims": [claim.as_dict() for claim in result.claims],
        "hypotheses": [verdict.as_dict() for verdict in result.verdicts],
        "registration": result.registration,
        "seconds": result.seconds,
    }
    return found if isinstance(result, MechanismResult) else found | {"influence": result.matrix.as_dict()}


def manifest(result: MechanismResult | PerturbationResult, folder: Path, command: str) -> dict[str, Any]:
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


def _particulars(result: MechanismResult | PerturbationResult) -> dict[str, Any]:
    if isinstance(result, PerturbationResult):
        return {"clusters": list(result.clusters), "site": result.space.site}
    return {
        "head": result.head,
        "transition_step": result.transition,
        "window": list(result.window),
        "treated_rows": result.treated_rows,
    }


def write_evidence(result: MechanismResult | PerturbationResult, folder: Path, *, command: str) -> None:
    """Write `evidence.json`, the numbers behind it (`trajectories.parquet` or `influence.json`) and, last, `manifest.json`."""
    write_json(folder / "evidence.json", evidence(result))
    if isinstance(result, MechanismResult):
        with atomic_file(folder / "trajectories.parquet") as partial:
            result.trajectories.write_parquet(partial)
    else:
        write_json(folder / "influence.json", result.matrix.as_dict())
    write_json(folder / "manifest.json", manifest(result, folder, command))
