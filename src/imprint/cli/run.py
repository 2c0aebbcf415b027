"""`imprint run study.yaml`: a whole study, resumable, ending in a report."""

from pathlib import Path

from imprint.cli.arguments import Count
from imprint.cli.executors import ExecutorName, chosen_executor
from imprint.cli.output import output_folder


def run(
    study: Path,
    /,
    *,
    out: Path | None = None,
    processes: Count | None = None,
    executor: ExecutorName = "local",
    address: str | None = None,
    json: bool = False,
) -> None:
    """Run a study file; the same command resumes it after any crash.

    Args:
        study: The YAML file that describes the study.
        out: Folder for results and report; by default `runs/<name of the study file>`.
        processes: Training processes at a time; by default one a core.
        executor: "local": processes of this machine; "ray": a Ray cluster (`pip install 'imprint[ray]'`).
        address: HOST:PORT of a running Ray cluster that shares the output folder; by default one is started here.
        json: Print the evidence as JSON on standard output and nothing else.
    """
    from imprint.cli.conduct import conduct
    from imprint.studies import load_study

    described = load_study(study)
    folder = output_folder(out or Path("runs") / study.stem)
    with chosen_executor(executor, address, processes) as chosen:
        conduct(described, folder, executor=chosen, as_json=json)
