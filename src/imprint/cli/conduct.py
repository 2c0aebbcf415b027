"""A study from start to report: what `imprint run` and `imprint demo` share."""

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

from imprint.cli.output import print_json, print_lines
from imprint.cli.progress import TerminalReporter
from imprint.report import evidence, load_report_data, report_data, save_report_data, write_evidence, write_report
from imprint.runs import LocalExecutor
from imprint.studies import MechanismResult, MechanismStudy, run_mechanism_study, workers


def conduct(study: MechanismStudy, out: Path, *, processes: int | None, as_json: bool) -> MechanismResult:
    """Run a study into a folder, write report and evidence, and tell the answer."""
    executor = LocalExecutor(workers=processes or workers())
    result = run_mechanism_study(study, out, executor=executor, reporter=TerminalReporter())
    command = shlex.join(["imprint", *sys.argv[1:]])
    data = report_data(result, command=command, created=datetime.now(UTC).isoformat(timespec="seconds"))
    save_report_data(data, out / "report.json")
    shown = load_report_data(out / "report.json")  # as read back, so that `imprint report` gives the same bytes
    page = write_report(shown, out)
    write_evidence(result, out, command=command)
    if as_json:
        print_json(evidence(result))
    else:
        print_lines([*data.answer_lines, f"Report: {page}"])
    return result
