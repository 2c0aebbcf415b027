"""The hypotheses of a perturbation study: its defaults, the metrics that can be registered, and what they mean."""

from collections.abc import Collection, Sequence
from pathlib import Path

from pydantic import BaseModel

from imprint.errors import ConfigError
from imprint.runs import read_json, write_json
from imprint.stats import Hypothesis, registration_digest

OWN_TEXT = "specificity.text"
"""Loss that a perturbation adds on its own cluster's held-out text, minus on other text (nats a token)."""
TARGETED = "harm.targeted"
"""Harm to the abilities minus that of the matched random perturbation, mean over all cells (nats an item)."""
MARGIN = 0.05
"""Nats an item within which a control ability counts as untouched."""
SIGN_FLIP = "paired sign-flip permutation"


def harm_metric(ability: str, cluster: str | None = None) -> str:
    """The name of the harm to one ability, by one cluster or over all of them, as hypotheses write it."""
    return f"harm.{ability}" if cluster is None else f"harm.{ability}.{cluster}"


def parse_harm(metric: str) -> tuple[str, str | None]:
    """Ability and cluster (None: all) of `harm.ability` or `harm.ability.cluster`.

    Raises:
        ConfigError: the metric is not written so.
    """
    word, _, rest = metric.partition(".")
    ability, _, cluster = rest.partition(".")
    if word != "harm" or not ability:
        raise ConfigError(
            f"hypothesis metric '{metric}' is not known; write {OWN_TEXT}, {TARGETED}, harm.ABILITY or"
            " harm.ABILITY.CLUSTER"
        )
    return ability, cluster or None


def default_hypotheses(controls: Sequence[str]) -> tuple[Hypothesis, ...]:
    """What a study claims before it has seen anything."""
    fixed = (
        Hypothesis(
            id="P1",
            statement="Perturbing what belongs to a cluster harms the cluster's own text more than other text.",
            metric=OWN_TEXT,
            threshold=0.0,
            direction="greater",
            test=SIGN_FLIP,
        ),
        Hypothesis(
            id="P2",
            statement="Perturbing what belongs to a cluster harms abilities more than a matched random perturbation does.",
            metric=TARGETED,
            threshold=0.0,
            direction="greater",
            test=SIGN_FLIP,
        ),
    )
    return fixed + tuple(
        Hypothesis(
            id=f"P{number}",
            statement=f"The control ability {name} is harmed no more than by a matched random perturbation.",
            metric=harm_metric(name),
            threshold=MARGIN,
            direction="absolute-less",
            test="two one-sided sign-flip permutations",
        )
        for number, name in enumerate(controls, start=3)
    )


def check_hypotheses(
    hypotheses: Sequence[Hypothesis], abilities: Collection[str], clusters: Collection[str] | None = None
) -> None:
    """Refuse, before anything runs, what the study could not judge at its end; clusters are checked once they are known.

    Raises:
        ConfigError: a metric, an ability or a cluster is not known.
        InputError: two hypotheses share an id.
    """
    registration_digest(hypotheses)
    for hypothesis in hypotheses:
        if hypothesis.metric in (OWN_TEXT, TARGETED):
            continue
        ability, cluster = parse_harm(hypothesis.metric)
        if ability not in abilities:
            raise ConfigError(
                f"hypothesis {hypothesis.id} cannot be judged: the study has no ability '{ability}'; its abilities are"
                f" {', '.join(abilities)}"
            )
        if cluster is not None and clusters is not None and cluster not in clusters:
            raise ConfigError(
                f"hypothesis {hypothesis.id} cannot be judged: the study has no cluster '{cluster}'; its clusters are"
                f" {', '.join(clusters)}"
            )


def register_design(study: BaseModel, out: Path) -> None:
    """Write what is to be done before anything is measured, but for titles and places of files.

    Raises:
        ConfigError: another design was begun in this folder: sites, doses or seeds that are changed after the numbers were
            seen are no longer chosen before.
    """
    design = study.model_dump(
        mode="json", exclude={"title": True, "hypotheses": True, "clusters": {"paths"}, "abilities": {"data"}}
    )
    path = out / "design.json"
    if path.exists() and read_json(path) != design:
        before = read_json(path)
        changed = [name for name in design if before.get(name) != design[name]]
        raise ConfigError(
            f"'{out.name}' was begun with another design ({', '.join(changed)} changed); choose another --out folder"
        )
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, design)
