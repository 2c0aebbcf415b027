"""`imprint calibrate`: the scorecard of every method on planted worlds."""

from importlib.util import find_spec
from pathlib import Path

from imprint.cli.arguments import Count
from imprint.cli.output import output_folder, print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.errors import ConfigError, ImprintError
from imprint.runs import LocalExecutor, write_json


def calibrate(
    *,
    out: Path = Path("imprint-calibration"),
    retraining: bool = True,
    abilities: bool = True,
    attribution: bool = True,
    susceptibility: bool = True,
    graphs: bool = True,
    processes: Count | None = None,
    all_rows: bool = False,
    json: bool = False,
) -> None:
    """Run every method on planted worlds whose truth is known and print the trust scorecard.

    Exit code 1 when a gate is missed. The same folder resumes an interrupted calibration.

    Args:
        out: Folder for stored runs and `scorecard.json`.
        retraining: Also retrain without the planted cause (AT-MDA-5).
        abilities: Also train four abilities with four causes, without each cause, and perturb them (most of the time).
        attribution: Also judge every attribution method by retraining a small model on natural text (minutes).
        susceptibility: Also run the susceptibility study where surface, representation, ten examples or seeds decide.
        graphs: Also ask the graph network where only a graph helps, and where none does (needs `pip install 'imprint[graph]'`).
        processes: Training processes at a time; by default one a core.
        all_rows: Show the rows without a gate too.
        json: Print a JSON list of rows and nothing else.
    """
    from imprint.studies import workers
    from imprint.studies.calibration import CalibrationOptions
    from imprint.studies.calibration import calibrate as run_calibration

    if graphs and find_spec("torch_geometric") is None:
        raise ConfigError("the graph worlds need torch-geometric: pip install 'imprint[graph]', or say --no-graphs")
    folder = output_folder(out)
    executor = LocalExecutor(workers=processes or workers())
    options = CalibrationOptions(
        retraining=retraining,
        abilities=abilities,
        attribution=attribution,
        susceptibility=susceptibility,
        graphs=graphs,
    )
    scorecard = run_calibration(folder, options, executor=executor, reporter=TerminalReporter(quiet=json))
    rows = scorecard.rows
    write_json(folder / "scorecard.json", [row.as_dict() for row in rows])
    if json:
        print_json([row.as_dict() for row in rows])
    else:
        shown = [row for row in rows if all_rows or row.gate]
        table = [
            (row.world, row.method, row.question, row.metric, row.value, row.gate, _word(row.passed)) for row in shown
        ]
        for overview in scorecard.overviews:
            print_table(overview.title, overview.columns, overview.lines)
        print_table("Trust scorecard", ("world", "method", "question", "metric", "value", "gate", ""), table)
        print_lines([f"Scorecard: {folder / 'scorecard.json'}"])
    missed = [row for row in rows if row.passed is False]
    if missed:
        first = missed[0]
        raise ImprintError(f"{len(missed)} gates missed, first: {first.method}, {first.question} = {first.value:.3f}")


def _word(passed: bool | None) -> str:
    return {True: "pass", False: "MISSED", None: ""}[passed]
