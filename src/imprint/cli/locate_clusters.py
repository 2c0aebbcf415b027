"""`imprint locate MODEL --corpus TEXT --site L20.resid_post`: what belongs to each cluster of text at one site."""

import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imprint.cli.output import output_folder, print_json, print_table
from imprint.cli.progress import TerminalReporter
from imprint.errors import ConfigError
from imprint.runs import Store, write_json
from imprint.studies.perturbation import (
    ClusterOptions,
    ModelOptions,
    PerturbationOptions,
    Space,
    cluster_space,
    texts,
)


def locate_clusters(
    model: dict[str, Any], text: dict[str, Any], site: str, dimensions: int, out: Path | None, *, json: bool
) -> None:
    """Find, keep (with an output folder) and show what belongs to each cluster."""
    if not text["paths"] or not site:
        raise ConfigError(
            "locating clusters needs both: --corpus with text and --site with an address such as L20.resid_post"
        )
    try:
        options = PerturbationOptions(site=site, dimensions=dimensions, families=("ablation",))
        read = texts(ModelOptions.model_validate(model), ClusterOptions.model_validate(text))
    except ValidationError as error:
        raise ConfigError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from error
    if out is not None:
        return _show(_found(output_folder(out) / "store", read, options, site, json), out, json=json)
    with tempfile.TemporaryDirectory() as folder:
        _show(_found(Path(folder) / "store", read, options, site, json), None, json=json)


def _found(root: Path, read: Any, options: PerturbationOptions, site: str, json: bool) -> Space:
    reporter, store = TerminalReporter(quiet=json), Store(root)
    with reporter.stage("find what belongs to each cluster", None):
        return Space.load(store.get(cluster_space(read, options, site), progress=reporter))


def _show(space: Space, out: Path | None, *, json: bool) -> None:
    dims = {name: chosen.tolist() for name, chosen in zip(space.clusters, space.dims, strict=True)}
    facts = {name: space.summary[name] | {"dims": dims[name]} for name in space.clusters}
    if out is not None:
        write_json(out / "clusters.json", {"site": space.site, "clusters": facts})
    if json:
        return print_json({"site": space.site, "clusters": facts})
    rows = [(name, one["tokens"], one["dimensions"], _strongest(one), one["explained"]) for name, one in facts.items()]
    columns = ("cluster", "tokens", "dimensions", "strongest (Cohen's d)", "variance in its first directions")
    print_table(f"What belongs to each cluster at {space.site}", columns, rows)
    probe, selective = (next(iter(facts.values()))[name] for name in ("probe", "selectivity"))
    measured = [
        (name, one["estimate"], one["low"], one["high"])
        for name, one in (("accuracy", probe), ("selectivity", selective))
    ]
    print_table(
        "A linear probe for the cluster, on documents it has not seen", ("measure", "value", "low", "high"), measured
    )


def _strongest(facts: dict[str, Any]) -> str:
    return ", ".join(f"{dim} ({d:+.1f})" for dim, d in facts["strongest"][:4]) or "none"
