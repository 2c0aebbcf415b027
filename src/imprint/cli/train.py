"""`imprint train study.yaml`: the untouched runs of a study."""

from pathlib import Path

from imprint.cli.arguments import Count
from imprint.cli.executors import ExecutorName, chosen_executor
from imprint.cli.output import output_folder, print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter


def train(
    study: Path,
    /,
    *,
    out: Path | None = None,
    processes: Count | None = None,
    executor: ExecutorName = "local",
    address: str | None = None,
    json: bool = False,
) -> None:
    """Train the untouched runs of a study and say when the mechanism emerged in each.

    `imprint run` with the same study and folder goes on from here without training again.

    Args:
        study: The YAML file that describes the study.
        out: Folder for results; by default `runs/<name of the study file>`.
        processes: Training processes at a time; by default one a core.
        executor: "local": processes of this machine; "ray": a Ray cluster (`pip install 'imprint[ray]'`).
        address: HOST:PORT of a running Ray cluster that shares the output folder; by default one is started here.
        json: Print the runs as JSON on standard output and nothing else.
    """
    from imprint.studies import load_mechanism_study, train_untouched

    described = load_mechanism_study(study)
    folder = output_folder(out or Path("runs") / study.stem)
    with chosen_executor(executor, address, processes) as chosen:
        runs = train_untouched(described, folder, executor=chosen, reporter=TerminalReporter(quiet=json))
    if json:
        return print_json([run.as_dict() for run in runs])
    rows = [(run.seed, run.onset, "no" if run.emerged else "yes", run.strength, run.copy_accuracy) for run in runs]
    columns = ("seed", "emergence step", "ended before", "final prefix matching", "final copy accuracy")
    print_table(described.title, columns, rows)
    print_lines([f"Checkpoints of seed {run.seed}: {run.folder}" for run in runs])
