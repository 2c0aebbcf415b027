"""The machine-readable result of a study: `evidence.json` (claims, verdicts, seconds) and `manifest.json` (provenance)."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from imprint.runs import atomic_file, file_digest, versions, write_json
from imprint.studies import MechanismResult


def evidence(result: MechanismResult) -> dict[str, Any]:
    """Claims with their evidence, hypotheses with their verdicts, and wall-clock seconds by stage."""
    return {
        "claims": [claim.as_dict() for claim in result.claims],
        "hypotheses": [verdict.as_dict() for verdict in result.verdicts],
        "registration": result.registration,
        "seconds": result.seconds,
    }


def manifest(result: MechanismResult, folder: Path, command: str) -> dict[str, Any]:
    """What was run, with which recipe and versions, and the digest of every file that it left."""
    files = ("report.html", "report.md", "report.json", "evidence.json", "registration.json", "trajectories.parquet")
    return {
        "imprint": version("imprint"),
        "command": command,
        "study": result.study.model_dump(mode="json"),
        "registration": result.registration,
        "head": result.head,
        "transition_step": result.transition,
        "window": list(result.window),
        "steps": result.keys,
        "treated_rows": result.treated_rows,
        "versions": versions(),
        "warnings": list(result.warnings),
        "files": {name: file_digest(folder / name) for name in files if (folder / name).exists()},
    }


def write_evidence(result: MechanismResult, folder: Path, *, command: str) -> None:
    """Write `evidence.json`, `trajectories.parquet` and, last, `manifest.json`."""
    write_json(folder / "evidence.json", evidence(result))
    with atomic_file(folder / "trajectories.parquet") as partial:
        result.trajectories.write_parquet(partial)
    write_json(folder / "manifest.json", manifest(result, folder, command))
