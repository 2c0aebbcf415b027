"""`imprint allocate --mixtures TABLE`: the data mixture that small proxies speak for."""

from pathlib import Path

from imprint.cli.output import print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter


def allocate_mixtures(
    table: Path,
    mixture: tuple[str, ...],
    loss: tuple[str, ...],
    candidates: Path | None,
    where: tuple[str, ...],
    *,
    json: bool,
) -> None:
    """Say which mixture to train on, what it is predicted to lose, and how well such predictions ranked held-out proxies."""
    from imprint.studies.mixture_allocation import allocate_mixture
    from imprint.studies.replayed_allocation import conditions

    found = allocate_mixture(
        table,
        mixture=mixture,
        loss=loss,
        candidates=candidates,
        where=conditions(where),
        reporter=TerminalReporter(quiet=json),
    ).as_dict()
    if json:
        return print_json(found)
    shares = sorted(found["shares"].items(), key=lambda one: -one[1])
    print_table("the mixture to train on", ("domain", "share"), shares)
    rows = [
        (one["loss"], one["estimate"], one["low"], one["high"], one["held-out spearman"]["estimate"])
        for one in (found["mean loss"], *found["losses"])
    ]
    print_table("predicted at the proxies' scale", ("loss", "predicted", "low", "high", "held-out Spearman"), rows)
    print_lines(
        [
            f"The best of {found['candidates']} candidates by {found['proxies']} proxies, whose own best mean loss is"
            f" {found['best proxy']:.4f}. It holds at a larger scale only if mixtures rank alike there.",
        ]
    )
