"""`imprint allocate`: policies replayed on a table of runs, `--live` training of arms, `--mixtures` from small proxies."""

from pathlib import Path
from typing import Any, Literal

from imprint.cli.arguments import Count
from imprint.cli.output import print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.errors import ConfigError


def allocate(
    *,
    history: Path | None = None,
    live: Path | None = None,
    mixtures: Path | None = None,
    arm: tuple[str, ...] = ("model",),
    where: tuple[str, ...] = (),
    task: tuple[str, ...] = (),
    share: tuple[float, ...] = (0.35, 0.6, 0.85),
    target: float | None = None,
    budget: float = 1.0,
    replications: Count = 10,
    prior: Literal["learned", "default"] = "learned",
    audit: Path | None = None,
    mixture: tuple[str, ...] = (),
    loss: tuple[str, ...] = (),
    candidates: Path | None = None,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Which run to train further so that an ability emerges for the least compute, and when to stop.

    With `--history`, every policy is replayed on recorded runs with the same budget, probing included, and the answer says
    who needs less compute. With `--live`, freeze-thaw allocation trains the arms of a study; the same command resumes it.
    With `--mixtures`, small proxies say which data mixture to train on.

    Args:
        history: A Parquet or CSV table with a row an arm, task and checkpoint: task, score, chance, model, params, tokens.
        live: A YAML file of arms to train.
        mixtures: A Parquet or CSV table with a row a proxy: shares of the training data, and losses.
        arm: The columns that tell arms apart.
        where: COLUMN=VALUE: keep only these rows of the table.
        task: Keep only these tasks.
        share: Targets, as shares of the best chance-corrected score on record.
        target: One target as a chance-corrected score, instead of shares.
        budget: The budget as a share of what training every arm to its end costs.
        replications: Replays of every problem; after the first, on random parts of the arms in random order.
        prior: Whether freeze-thaw learns from the other tasks of the table, never the one that it allocates for.
        audit: A JSONL file for freeze-thaw's decisions on all arms, one line each.
        mixture: Columns of shares, for `--mixtures`; `*` stands for anything.
        loss: Columns of losses, for `--mixtures`; their mean is made small.
        candidates: A table of mixtures to choose from; by default 1000 between those of the proxies.
        out: Folder for the results of `--live`; by default `runs/<name of the file>`.
        json: Print the result as JSON on standard output and nothing else.
    """
    if sum(one is not None for one in (history, live, mixtures)) != 1:
        raise ConfigError(
            "give either --history TABLE to replay recorded runs, --live STUDY to train arms, or --mixtures TABLE of proxies"
        )
    if mixtures is not None:
        from imprint.cli.allocate_mixtures import allocate_mixtures

        return allocate_mixtures(mixtures, mixture, loss, candidates, where, json=json)
    if mixture or loss or candidates is not None:
        raise ConfigError(
            "--mixture, --loss and --candidates describe a table of proxies: give it with --mixtures TABLE"
        )
    if live is not None:
        from imprint.cli.allocate_live import allocate_live

        return allocate_live(live, out, json=json)
    assert history is not None
    options = {"arm": arm, "where": where, "task": task, "share": share, "target": target, "prior": prior}
    found = _replayed(history, options, budget, int(replications), audit, quiet=json)
    if json:
        return print_json(found)
    _show(found)


def _replayed(
    history: Path, options: dict[str, Any], budget: float, replications: int, audit: Path | None, *, quiet: bool
) -> dict[str, Any]:
    from imprint.studies.replayed_allocation import replay_history

    reporter = TerminalReporter(quiet=quiet)
    return replay_history(
        history, **options, budget=budget, replications=replications, audit=audit, reporter=reporter
    ).as_dict()


def _show(found: dict[str, Any]) -> None:
    shares = ("reached", "abstained", "distrusted")
    columns = ("policy", "compute / oracle", "low", "high", "reached", "abstained", "fell back to uniform")
    rows = [
        (one["policy"], *(one["ratio"][end] for end in ("estimate", "low", "high")), *(one[name] for name in shares))
        for one in found["policies"]
    ]
    print_table(
        f"{found['problems']} targets on {found['tasks']} tasks, {found['replications']} replications", columns, rows
    )
    print_lines([found["ranks"], *[one["sentence"] for one in found["comparisons"]], *found["notes"]])
