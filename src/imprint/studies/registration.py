"""The record of registered hypotheses, written before anything is trained; it may not change afterwards."""

from collections.abc import Sequence
from pathlib import Path

from imprint.errors import ConfigError
from imprint.runs import read_json, write_json
from imprint.stats import Hypothesis, registration_digest


def register(hypotheses: Sequence[Hypothesis], out: Path) -> str:
    """Write the hypotheses before anything is trained; their digest.

    Raises:
        ConfigError: other hypotheses were registered in this folder before.
    """
    digest = check_registered(hypotheses, out)
    record = {"digest": digest, "hypotheses": [hypothesis.model_dump(mode="json") for hypothesis in hypotheses]}
    if not (out / "registration.json").exists():
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "registration.json", record)
    return digest


def check_registered(hypotheses: Sequence[Hypothesis], out: Path) -> str:
    """The digest of the hypotheses; ConfigError if the folder holds a registration of others."""
    digest = registration_digest(hypotheses)
    registered = out / "registration.json"
    if registered.exists() and read_json(registered)["digest"] != digest:
        raise ConfigError(
            f"'{out.name}' was registered with other hypotheses; choose another --out folder, because a hypothesis that is"
            " changed after the run has begun is no longer registered before it"
        )
    return digest
