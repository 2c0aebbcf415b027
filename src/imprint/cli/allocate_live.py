"""`imprint allocate --live STUDY`: freeze-thaw allocation drives the training of tiny arms."""

from pathlib import Path

from imprint.cli.output import output_folder, print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter


def allocate_live(study: Path, out: Path | None, *, json: bool) -> None:
    """Train where it pays, and say which arm reached the target; the same command resumes it."""
    from imprint.runs import read_json
    from imprint.studies.live_allocation import allocate_arms, load_live_allocation

    described = load_live_allocation(study)
    folder = output_folder(out or Path("runs") / study.stem)
    outcome = allocate_arms(described, folder, reporter=TerminalReporter(quiet=json))
    found = read_json(folder / "outcome.json")
    if json:
        return print_json(found)
    rows = [(arm.name, depth) for arm, depth in zip(described.arms, outcome.depths, strict=True)]
    print_table(described.title, ("arm", "checkpoints trained"), rows)
    ended = f"{outcome.arm} reached {described.target:g}" if outcome.crossed else "the target was not reached"
    if found["no arm will cross"]:
        ended = "no arm will cross within the budget"
    print_lines(
        [
            f"{ended}, for {found['share of all training']:.0%} of what training every arm costs.",
            f"Audit log: {folder / 'audit.jsonl'}",
        ]
    )
