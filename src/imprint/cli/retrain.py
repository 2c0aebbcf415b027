"""`imprint retrain study.yaml --documents ids.txt`: what training without (or with more of) them does."""

from pathlib import Path
from typing import Literal

from imprint.cli.arguments import Count
from imprint.cli.executors import ExecutorName, chosen_executor
from imprint.cli.output import output_folder, print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter


def retrain(
    study: Path,
    /,
    *,
    documents: Path,
    kind: Literal["delete", "replace", "duplicate"] = "delete",
    out: Path | None = None,
    processes: Count | None = None,
    executor: ExecutorName = "local",
    address: str | None = None,
    json: bool = False,
) -> None:
    """Train a study's seeds again without (or with more of) the documents that you name, beside matched controls.

    Use it to test any attribution, also one made by another tool.

    Args:
        study: The YAML file that describes corpus, model, training, seeds and controls.
        documents: A text file with one document id a line.
        kind: "delete" masks their loss, "replace" puts other documents in their place, "duplicate" shows them twice.
        out: Folder for results; by default `runs/<name of the study file>`, where finished training is reused.
        processes: Training processes at a time; by default one a core.
        executor: "local": processes of this machine; "ray": a Ray cluster (`pip install 'imprint[ray]'`).
        address: HOST:PORT of a running Ray cluster that shares the output folder; by default one is started here.
        json: Print the effects as JSON on standard output and nothing else.
    """
    from imprint.studies import load_mechanism_study
    from imprint.studies.mechanism.retraining import retrain_documents

    described = load_mechanism_study(study)
    folder = output_folder(out or Path("runs") / study.stem)
    reporter = TerminalReporter(quiet=json)
    with chosen_executor(executor, address, processes) as chosen:
        found = retrain_documents(described, documents, folder, kind=kind, executor=chosen, reporter=reporter)
    if json:
        effects = [
            {"arm": item.arm, "is_control": item.is_control, "p": item.p, "bound": item.note, **item.effect.as_dict()}
            for item in found.effects
        ]
        return print_json({"window": found.window, "rows": found.rows, "effects": effects})
    rows = [
        (
            item.arm,
            item.control,
            item.metric,
            item.effect.estimate,
            item.effect.low,
            item.effect.high,
            item.p,
            item.censored_arm,
            item.censored_control,
        )
        for item in found.effects
    ]
    columns = ("arm", "against", "metric", "effect", "low", "high", "p", "late", "control late")
    print_table(f"{found.rows} rows edited in steps {found.window[0]}..{found.window[1]}", columns, rows)
    print_lines(
        [
            "onset is in log training steps (0.14 = 15 % later); other metrics are at the last checkpoint.",
            "late: runs that ended before emergence, which leave only a bound on the shift.",
        ]
    )
