"""`imprint perturb MODEL`: one family of perturbation of every cluster's representation, with controls."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from imprint.cli.arguments import Count, Shots
from imprint.cli.output import output_folder, print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.runs import LocalExecutor

if TYPE_CHECKING:
    from imprint.studies import PerturbationResult

Passages = Annotated[int, Parameter(validator=Number(gte=20))]
"""Twenty passages are the fewest that a cluster's representation is estimated from."""
Length = Annotated[int, Parameter(validator=Number(gte=8))]


def perturb(
    model: str,
    /,
    *,
    corpus: list[Path],
    site: str,
    data: Path,
    suite: str,
    family: Literal["ablation", "noise", "shift", "erasure", "sign"] = "ablation",
    doses: tuple[float, ...] = (),
    controls: str = "",
    items: Passages = 200,
    fewshot: Shots | None = None,
    documents: Passages = 160,
    tokens: Length = 64,
    dimensions: Count = 32,
    domain_key: str | None = None,
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32",
    seed: int = 0,
    processes: Count | None = None,
    out: Path = Path("imprint-perturbation"),
    json: bool = False,
) -> None:
    """What perturbing the representation of each cluster of text does to each ability, beside matched random controls.

    Clusters are the corpus's domains. The folder keeps the report, the items, and for every cluster the perturbation at its
    largest dose (interventions/CLUSTER.json), which `imprint evaluate --interventions` takes. The same command resumes.

    Args:
        model: A hub name, the folder of a saved model, a .gguf file, or package:NAME/FILE.
        corpus: Text files, JSONL files or folders; each file's or folder's name is a cluster.
        site: Address of the states to perturb, such as L20.resid_post, L3.mlp or L3.H5.
        data: Folder of the benchmark files.
        suite: Suites, separated by commas; `imprint evaluate` lists them.
        family: ablation (mean of R_k), noise (in R_k), shift (along v_k), erasure (LEACE) or sign (gradient-sign injection).
        doses: Two or more, ascending; by default five that fit the family.
        controls: Suites among them that no cluster is expected to carry, separated by commas.
        items: Items of each suite.
        fewshot: Worked examples in each prompt; by default as many as the suite has.
        documents: Passages of each cluster.
        tokens: Tokens of each passage.
        dimensions: Most dimensions in R_k.
        domain_key: Key of the cluster in JSONL; by default the file's or folder's name.
        dtype: Precision of the model.
        seed: Seed of every draw.
        processes: Processes at a time; by default one a core.
        out: Folder for the results.
        json: Print the matrix and the evidence as JSON and nothing else.
    """
    from imprint.cli.conduct import conclude
    from imprint.interventions.activations import save_interventions
    from imprint.studies import parse_study, run_perturbation_study, workers
    from imprint.studies.perturbation import PerturbationStudy, family_seed, perturbation

    asked = {
        "kind": "perturbation",
        "title": f"{family} of each cluster's representation at {site}",
        "model": {"name": model, "dtype": dtype},
        "clusters": {"paths": corpus, "domain_key": domain_key, "documents": documents, "tokens": tokens, "seed": seed},
        "abilities": {
            "data": data,
            "suites": _listed(suite),
            "controls": _listed(controls),
            "items": items,
            "fewshot": fewshot,
            "seed": seed,
        },
        "perturbations": {
            "site": site,
            "dimensions": dimensions,
            "families": [family],
            "doses": {family: doses} if doses else {},
            "global_noise": False,
            "seed": seed,
        },
    }
    study = parse_study(asked, where="imprint perturb")
    assert isinstance(study, PerturbationStudy)
    folder = output_folder(out)
    executor = LocalExecutor(workers=processes or workers())
    result = run_perturbation_study(study, folder, executor=executor, reporter=TerminalReporter(quiet=json))
    page = conclude(result, folder)
    for cluster in result.clusters if family != "sign" else ():
        acting = perturbation(result.space, cluster, family, seed=family_seed(seed, cluster, family))
        if acting is not None:
            dose = study.perturbations.doses_of(family)[-1]
            save_interventions(folder / "interventions" / f"{cluster.replace('/', '_')}.json", [acting.at(dose)])
    if json:
        return print_json(result.matrix.as_dict())
    _show(result)
    print_lines([f"Report: {page}"])


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _show(result: "PerturbationResult") -> None:
    columns = ("cluster", "ability", "harm beyond control (nats)", "low", "high", "q", "accuracy lost")
    matrix = result.matrix
    rows = [
        (
            cell.cluster,
            cell.ability,
            cell.phi.estimate,
            cell.phi.low,
            cell.phi.high,
            float(matrix.q[matrix.clusters.index(cell.cluster), matrix.abilities.index(cell.ability)]),
            cell.families[0].impact.before - cell.families[0].impact.after,
        )
        for cell in result.cells
    ]
    print_table("Harm of each perturbation: median over doses; accuracy at the largest dose", columns, rows)
