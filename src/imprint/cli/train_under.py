"""`imprint train --intervene`: runs under interventions on training, beside the untouched runs of the same seeds."""

from pathlib import Path

import polars as pl

from imprint.cli.output import print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.errors import ConfigError
from imprint.interventions.training import read_training_arms
from imprint.runs import Executor
from imprint.studies import EmergenceStudy, MechanismStudy, train_interventions, train_under

ALL = "all"


def train_emergence(
    study: EmergenceStudy, named: tuple[str, ...] | None, folder: Path, executor: Executor, *, json: bool
) -> None:
    """Train an emergence study's runs at its scales under the named interventions, and print where each score ended."""
    known = [arm.name for arm in study.interventions]
    wanted = [] if named is None else known if named in ((), (ALL,)) else list(named)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f"--intervene {unknown[0]}: the study has the interventions {', '.join(known)}; or say {ALL}")
    table = train_interventions(
        study, folder, arms=tuple(wanted), executor=executor, reporter=TerminalReporter(quiet=json)
    )
    last = table.filter(pl.col("step") == study.training.steps)
    if json:
        columns = ("scale", "params", "arm", "seed", "step", "node", "kind", "value", "chance", "n")
        return print_json(last.select(columns).to_dicts())
    means = last.group_by("params", "scale", "arm", "node", maintain_order=True).agg(pl.col("value").mean())
    wide = means.pivot("node", index=["params", "scale", "arm"], values="value", maintain_order=True).sort(
        "params", maintain_order=True
    )
    names = (*study.abilities, *study.dynamics)
    rows = [(row["arm"], row["scale"], *(row[name] for name in names)) for row in wide.iter_rows(named=True)]
    print_table(f"{study.title} (means over {study.seeds} seeds, last step)", ("arm", "scale", *names), rows)
    print_lines([f"`imprint run` with the same study and folder goes on from these runs: {folder}"])


def train_mechanism(
    study: MechanismStudy, named: tuple[str, ...], folder: Path, executor: Executor, *, json: bool
) -> None:
    """Train a mechanism study's seeds under the interventions of a file, and print what each did to every metric."""
    if len(named) != 1 or named == (ALL,):
        raise ConfigError(
            "--intervene: a mechanism study names no interventions on training; give one YAML file that lists them"
        )
    arms = read_training_arms(Path(named[0]))
    effects = train_under(study, arms, folder, executor=executor, reporter=TerminalReporter(quiet=json))
    if json:
        return print_json([one.as_dict() for one in effects])
    rows = []
    for one in effects:
        found, effect = one.found, one.found.effect
        rows.append(
            (found.arm, found.metric, effect.estimate, effect.low, effect.high, found.p, one.q, found.censored_arm)
        )
    columns = ("arm", "metric", "effect", "low", "high", "p", "q", "late")
    print_table("Interventions on training against the untouched runs", columns, rows)
    print_lines(
        [
            "onset is in log training steps (0.14 = 15 % later); other metrics are at the last checkpoint.",
            "q: Benjamini-Hochberg over this table. late: runs that ended before emergence, which leave only a bound.",
        ]
    )
