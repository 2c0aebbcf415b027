"""The audit log: one line of JSON a decision, appended as soon as it has been carried out."""

import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from imprint.emergence.allocation.replay import AuditRow
from imprint.errors import ConfigError

_ROW = TypeAdapter(AuditRow)


class AuditLog:
    """Appends audit rows to a JSONL file; a new log replaces an old one."""

    def __init__(self, path: Path) -> None:
        """Begin an empty log."""
        self.path = path
        path.write_text("", encoding="utf-8")

    def __call__(self, row: AuditRow) -> None:
        """Write one row."""
        with self.path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(row.as_dict(), allow_nan=False) + "\n")


def read_audit(path: Path) -> list[AuditRow]:
    """The rows of a log.

    Raises:
        ConfigError: a line is not an audit row.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            rows.append(_ROW.validate_json(line))
        except ValidationError as error:
            problem = error.errors()[0]
            raise ConfigError(f"line {number} of '{path.name}' is not an audit row: {problem['msg']}") from error
    return rows
