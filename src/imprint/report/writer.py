"""The report as files: `report.html` and `report.md`, each there as a whole or not at all."""

from pathlib import Path

from imprint.errors import OutputError
from imprint.report.html import render_html
from imprint.report.markdown import render_markdown
from imprint.report.model import ReportData, unwritable
from imprint.runs.files import write_bytes_atomic


def write_report(data: ReportData, folder: Path) -> Path:
    """Write `report.html` and `report.md` into the folder (made if absent) and give the path of the HTML file.

    Both are rendered before anything is written, and each replaces its file atomically.

    Raises:
        OutputError: the folder cannot be made or written (read-only, full disk, a file in its place).
    """
    files = {"report.md": render_markdown(data), "report.html": render_html(data)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_bytes_atomic(folder / name, text.encode("utf-8"))
    except OSError as error:
        raise OutputError(unwritable(folder, error)) from error
    return folder / "report.html"
