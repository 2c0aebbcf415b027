"""A study from start to report: what `imprint run` and `imprint demo` share."""

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

from imprint.cli.output import print_json, print_lines
from imprint.cli.progress import TerminalReporter
from imprint.corpus.clusters import SHEET_CSV, SHEET_HTML, SHEET_KEY
from imprint.report import (
    ReportData,
    Result,
    emergence_report,
    evidence,
    load_report_data,
    perturbation_report,
    report_data,
    save_report_data,
    susceptibility_report,
    write_evidence,
    write_report,
)
from imprint.runs import Executor, read_json, write_bytes_atomic
from imprint.studies import (
    EmergenceResult,
    EmergenceStudy,
    MechanismResult,
    MechanismStudy,
    PerturbationResult,
    Study,
    SusceptibilityResult,
    SusceptibilityStudy,
    run_emergence_study,
    run_mechanism_study,
    run_perturbation_study,
    run_susceptibility_study,
)
from imprint.studies.registration import DESIGN_FILE


def conduct(study: Study, out: Path, *, executor: Executor, as_json: bool) -> Result:
    """Run a study of any kind into a folder, write report and evidence, and tell the answer."""
    result = _run(study, out, executor, TerminalReporter())
    page = conclude(result, out)
    if as_json:
        print_json(evidence(result))
    else:
        print_lines([*load_report_data(out / "report.json").answer_lines, f"Report: {page}"])
    return result


def conclude(result: Result, out: Path) -> Path:
    """Write the report and the evidence of a finished study; the path of the page."""
    command = shlex.join(["imprint", *sys.argv[1:]])
    data = _report(result, out, command, datetime.now(UTC).isoformat(timespec="seconds"))
    save_report_data(data, out / "report.json")
    shown = load_report_data(out / "report.json")  # as read back, so that `imprint report` gives the same bytes
    page = write_report(shown, out)
    write_evidence(result, out, command=command)
    if isinstance(result, PerturbationResult):
        _hand_over_sheet(result, out)
    return page


def _hand_over_sheet(result: PerturbationResult, out: Path) -> None:
    """Put the annotation sheet beside the report; one that is there may have been filled in, so it stays."""
    for name in (SHEET_CSV, SHEET_HTML, SHEET_KEY):
        if not (out / name).exists():
            write_bytes_atomic(out / name, (result.sheet / name).read_bytes())


def _run(study: Study, out: Path, executor: Executor, reporter: TerminalReporter) -> Result:
    if isinstance(study, MechanismStudy):
        return run_mechanism_study(study, out, executor=executor, reporter=reporter)
    if isinstance(study, SusceptibilityStudy):
        return run_susceptibility_study(study, out, executor=executor, reporter=reporter)
    if isinstance(study, EmergenceStudy):
        return run_emergence_study(study, out, executor=executor, reporter=reporter)
    return run_perturbation_study(study, out, executor=executor, reporter=reporter)


def _report(result: Result, out: Path, command: str, created: str) -> ReportData:
    if isinstance(result, MechanismResult):
        return report_data(result, command=command, created=created)
    if isinstance(result, SusceptibilityResult):
        registered = read_json(out / DESIGN_FILE)["digest"]
        return susceptibility_report(result, design=registered, command=command, created=created)
    if isinstance(result, EmergenceResult):
        return emergence_report(result, command=command, created=created)
    return perturbation_report(result, command=command, created=created)
