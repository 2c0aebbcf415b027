"""`imprint run study.yaml`: a whole study, resumable, ending in a report."""

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

from imprint.cli.output import output_folder, print_json, print_lines
from imprint.cli.progress import TerminalReporter
from imprint.report import evidence, report_data, save_report_data, write_evidence, write_report
from imprint.runs import LocalExecutor, Reporter
from imprint.studies import MechanismResult, MechanismStudy, load_study, run_mechanism_study, workers


def run(study: Path, /, *, out: Path | None = None, processes: int | None = None, json: bool = False) -> None:
    """Run a study file; the same command resumes it after any crash.

    Args:
        study: The YAML file that describes the study.
        out: Folder for results and report; by default `runs/<name of the study file>`.
        processes: Training processes at a time; by default one a core.
        json: Print the evidence as JSON on standard output and nothing else.
    """
    described = load_study(study)
    folder = output_folder(out or Path("runs") / study.stem)
    conduct(described, folder, processes=processes, as_json=json)


def conduct(study: MechanismStudy, out: Path, *, processes: int | None, as_json: bool) -> MechanismResult:
    """Run a study into a folder, write report and evidence, and tell the answer."""
    reporter: Reporter = TerminalReporter()
    executor = LocalExecutor(workers=processes or workers())
    result = run_mechanism_study(study, out, executor=executor, reporter=reporter)
    command = shlex.join(["imprint", *sys.argv[1:]])
    data = report_data(result, command=command, created=datetime.now(UTC).isoformat(timespec="seconds"))
    save_report_data(data, out / "report.json")
    page = write_report(data, out)
    write_evidence(result, out, command=command)
    if as_json:
        print_json(evidence(result))
    else:
        print_lines([*data.answer_lines, f"Report: {page}"])
    return result
