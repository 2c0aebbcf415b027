"""`imprint train study.yaml`: the untouched runs of a study, and with --intervene runs under interventions beside them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from imprint.cli.arguments import Count
from imprint.cli.executors import ExecutorName, chosen_executor
from imprint.cli.output import output_folder, print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.runs import Executor

if TYPE_CHECKING:
    from imprint.studies import MechanismStudy


def train(
    study: Path,
    /,
    *,
    intervene: Annotated[tuple[str, ...] | None, Parameter(consume_multiple=True)] = None,
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
        intervene: Train under interventions too. For an emergence study: names of its interventions (none named: all). For a
            mechanism study: a YAML file that lists interventions (name, edits, optimisation).
        out: Folder for results; by default `runs/<name of the study file>`.
        processes: Training processes at a time; by default one a core.
        executor: "local": processes of this machine; "ray": a Ray cluster (`pip install 'imprint[ray]'`).
        address: HOST:PORT of a running Ray cluster that shares the output folder; by default one is started here.
        json: Print the runs as JSON on standard output and nothing else.
    """
    from imprint.cli.train_under import train_emergence, train_mechanism
    from imprint.studies import EmergenceStudy, load_mechanism_study, load_study

    described = load_study(study)
    if not isinstance(described, EmergenceStudy):
        described = load_mechanism_study(study)
    folder = output_folder(out or Path("runs") / study.stem)
    with chosen_executor(executor, address, processes) as chosen:
        if isinstance(described, EmergenceStudy):
            return train_emergence(described, intervene, folder, chosen, json=json)
        if intervene is not None:
            return train_mechanism(described, intervene, folder, chosen, json=json)
        return _train_untouched(described, folder, chosen, json=json)


def _train_untouched(study: "MechanismStudy", folder: Path, executor: Executor, *, json: bool) -> None:
    from imprint.studies import train_untouched

    runs = train_untouched(study, folder, executor=executor, reporter=TerminalReporter(quiet=json))
    if json:
        return print_json([run.as_dict() for run in runs])
    rows = [(run.seed, run.onset, "no" if run.emerged else "yes", run.strength, run.copy_accuracy) for run in runs]
    columns = ("seed", "emergence step", "ended before", "final prefix matching", "final copy accuracy")
    print_table(study.title, columns, rows)
    print_lines([f"Checkpoints of seed {run.seed}: {run.folder}" for run in runs])
