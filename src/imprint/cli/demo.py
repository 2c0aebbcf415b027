"""`imprint demo`: the whole story on real text found on this machine."""

from pathlib import Path
from typing import Literal

from imprint.cli.arguments import Count
from imprint.cli.executors import ExecutorName, chosen_executor
from imprint.cli.output import output_folder
from imprint.errors import ConfigError


def demo(
    *,
    out: Path = Path("imprint-demo"),
    seeds: int = 5,
    controls: Literal["random", "all"] = "random",
    processes: Count | None = None,
    executor: ExecutorName = "local",
    address: str | None = None,
    json: bool = False,
) -> None:
    """Collect text, train, locate the head, attribute it, retrain without its data, and report: about nine minutes.

    Args:
        out: Folder for results and report; the same folder resumes an interrupted demo.
        seeds: Pipeline seeds an arm; below five no registered hypothesis can be supported.
        controls: "random", or "all" for the whole ladder (random, loss, length and domain matched).
        processes: Training processes at a time; by default one a core.
        executor: "local": processes of this machine; "ray": a Ray cluster (`pip install 'imprint[ray]'`).
        address: HOST:PORT of a running Ray cluster that shares the output folder; by default one is started here.
        json: Print the evidence as JSON on standard output and nothing else.
    """
    if seeds < 2:
        raise ConfigError(f"--seeds {seeds} leaves no interval; ask for at least 2, better 5")
    from imprint.cli.conduct import conduct
    from imprint.interventions.data import CONTROL_KINDS
    from imprint.studies import InterventionOptions, MechanismStudy, TrainingOptions

    kinds = CONTROL_KINDS if controls == "all" else ("random",)
    study = MechanismStudy(training=TrainingOptions(seeds=seeds), interventions=InterventionOptions(controls=kinds))
    with chosen_executor(executor, address, processes) as chosen:
        conduct(study, output_folder(out), executor=chosen, as_json=json)
