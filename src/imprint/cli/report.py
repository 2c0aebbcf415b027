"""`imprint report RUN`: render a finished run's report again."""

from pathlib import Path

from imprint.cli.output import output_folder, print_lines
from imprint.errors import ConfigError, OutputError
from imprint.runs import write_bytes_atomic


def report(folder: Path, /, *, out: Path | None = None) -> None:
    """Render a finished run's report again from its stored numbers.

    Args:
        folder: The run's folder (the --out of `imprint run` or `imprint demo`).
        out: The HTML file to write; by default report.html and report.md in the run's folder.
    """
    stored = folder / "report.json"
    if not stored.exists():
        raise ConfigError(f"'{folder}' holds no finished run (report.json is missing); run the study to its end first")
    from imprint.report import load_report_data, render_html, write_report

    data = load_report_data(stored)
    if out is None:
        page = write_report(data, folder)
    elif out.is_dir():
        raise OutputError(f"--out '{out}' is a folder; name the HTML file to write")
    else:
        output_folder(out.parent)
        write_bytes_atomic(out, render_html(data).encode("utf-8"))
        page = out
    print_lines([f"Report: {page}"])
