"""`imprint variance TABLE`: do conditions differ beyond their pipelines?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from imprint.cli.output import output_folder, print_json, print_lines
from imprint.cli.variance_tables import show_finding
from imprint.errors import ConfigError
from imprint.runs import write_bytes_atomic, write_json

if TYPE_CHECKING:
    from imprint.studies.variance import VarianceFinding


def variance(
    table: Path,
    /,
    *,
    metric: list[str] | None = None,
    published: Path | None = None,
    wide: bool = False,
    alpha: float = 0.05,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Say whether training conditions differ in an outcome beyond the noise of their pipelines.

    TABLE (CSV, TSV, JSON Lines, Parquet) has columns condition and pipeline (the seed of the whole pipeline), where they apply
    stage_seed and sample (one more evaluation of the same model) or item (questions that all models answer), and one column a
    metric, or columns metric and value. Last-stage seeds of one pipeline are not independent: such a table is told what
    design would answer.

    Args:
        table: CSV, TSV, JSON Lines or Parquet with columns condition, pipeline (seed of the whole pipeline), where they apply
            stage_seed and sample or item, and one column a metric (or columns metric and value).
        metric: Metric to analyse (repeat for several); by default all.
        published: YAML or JSON with printed summaries by metric (within_sd, median, ends, range, ratio), to be checked.
        wide: The table has one row a condition and one column a pipeline seed.
        alpha: Level of the permutation test that decides.
        seed: Seed of the permutations.
        out: Folder for variance.json and variance.html.
        json: Print JSON and nothing else.
    """
    if not 0 < alpha < 1:
        raise ConfigError(f"--alpha {alpha:g} must lie strictly between 0 and 1; 0.05 is usual")
    from imprint.studies.variance import analyse, read_outcomes, read_published, require_known

    outcomes = read_outcomes(table, metrics=metric or (), wide=wide)
    printed = {} if published is None else read_published(published)
    if not metric:
        require_known(printed, outcomes.metrics, outcomes.source)
    findings = [
        analyse(outcomes, name, seed=seed, alpha=alpha, published=printed.get(name)) for name in outcomes.metrics
    ]
    document = {"table": outcomes.source, "alpha": alpha, "findings": [finding.as_dict() for finding in findings]}
    if out is not None:
        _write(output_folder(out), document, findings, outcomes.source)
    if json:
        return print_json(document)
    for finding in findings:
        show_finding(finding)
    print_lines(_closing(findings, alpha, out))


def _write(folder: Path, document: dict[str, Any], findings: "list[VarianceFinding]", source: str) -> None:
    from imprint.report.variance_page import render_variance

    write_json(folder / "variance.json", document)
    write_bytes_atomic(folder / "variance.html", render_variance(findings, source=source).encode("utf-8"))


def _closing(findings: "list[VarianceFinding]", alpha: float, out: Path | None) -> list[str]:
    lines = []
    if len(findings) > 1:
        chance = 100 * (1 - (1 - alpha) ** len(findings))
        lines.append(
            f"{len(findings)} metrics were asked about: at alpha = {alpha:g} the chance of a false 'differ' in at least one is "
            f"up to {chance:.2g} % if they are independent."
        )
    return lines if out is None else [*lines, f"Written: {out / 'variance.json'} and {out / 'variance.html'}"]
