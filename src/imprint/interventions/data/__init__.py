"""Interventions on training data: explicit edits of the ordered stream, and matched controls."""

from imprint.interventions.data.controls import (
    CONTROL_KINDS,
    ControlKind,
    category_matched_rows,
    random_rows,
    value_matched_rows,
)
from imprint.interventions.data.plans import Budget, Window, delete, duplicate, occurrences, replace
from imprint.interventions.data.steps import ROWS_FILE, ControlRows, EditedStream, EditKind, PartRows, load_rows

__all__ = [
    "CONTROL_KINDS",
    "ROWS_FILE",
    "Budget",
    "ControlKind",
    "ControlRows",
    "EditKind",
    "EditedStream",
    "PartRows",
    "Window",
    "category_matched_rows",
    "delete",
    "duplicate",
    "load_rows",
    "occurrences",
    "random_rows",
    "replace",
    "value_matched_rows",
]
