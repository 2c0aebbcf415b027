"""A perturbation study on the page: what its sections read, from the matrix down to one dose curve."""

from collections.abc import Sequence
from dataclasses import dataclass

from imprint.report import dose_curves, variations
from imprint.report.charts import Figure
from imprint.report.influence_matrix import Matrix, Row, Tile, matrix
from imprint.report.influence_records import CellRecord, ClusterRecord, FamilyRecord, InfluenceRecord, ValidationRecord
from imprint.report.records import EffectRecord
from imprint.report.wording import count


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """What stands behind one cell: each family with its dose curve, and how its perturbations did in validation."""

    tile: Tile
    families: tuple[tuple[FamilyRecord, Figure | None], ...]
    validation: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterPage:
    """One cluster with its row of the matrix; `span` is what the small plots of its distances must all cover.

    Traits go by name, distances by the order of the matrix: a file does not keep the order of names.
    """

    cluster: ClusterRecord
    row: Row
    traits: tuple[tuple[str, float], ...]
    distances: tuple[tuple[str, EffectRecord], ...]
    span: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class InfluenceView:
    """All that the templates of a perturbation study read; `lazy` charts are drawn when their panel opens."""

    matrix: Matrix
    panels: tuple[Panel, ...]
    pages: tuple[ClusterPage, ...]
    phi_span: tuple[float, ...]
    checks: str
    loss_span: tuple[float, ...]
    variations: tuple[Figure, ...]

    @property
    def lazy(self) -> list[Figure]:
        """The dose curves of every cell."""
        return [figure for panel in self.panels for _, figure in panel.families if figure]


def influence_view(record: InfluenceRecord) -> InfluenceView:
    """The record as the page shows it."""
    grid = matrix(record)
    return InfluenceView(
        matrix=grid,
        panels=tuple(_panel(tile, record.validation) for tile in grid.tiles),
        pages=cluster_pages(record, grid),
        phi_span=_phi_span(record.cells),
        checks=passed_words(record.validation),
        loss_span=_loss_span(record.validation),
        variations=tuple(variations.figures(record.variations)),
    )


def passed_words(checks: Sequence[ValidationRecord]) -> str:
    """How many perturbations hit what they aimed at ("14 of 16 perturbations passed"), or nothing without a check."""
    judged = [check for check in checks if check.passed is not None]
    if not checks:
        return ""
    if not judged:
        return f"{count(len(checks), 'perturbation')} measured, none judged"
    words = f"{sum(bool(check.passed) for check in judged)} of {count(len(judged), 'perturbation')} passed"
    unjudged = len(checks) - len(judged)
    return f"{words}, {unjudged} not judged" if unjudged else words


def _panel(tile: Tile, checks: Sequence[ValidationRecord]) -> Panel:
    """The evidence of one cell."""
    curves = dose_curves.figures(tile.cell, tile.anchor)
    return Panel(
        tile=tile,
        families=tuple(zip(tile.cell.families, curves, strict=True)),
        validation=passed_words([check for check in checks if check.cluster == tile.cell.cluster]),
    )


def cluster_pages(record: InfluenceRecord, grid: Matrix) -> tuple[ClusterPage, ...]:
    """One page a cluster that the record describes, in its order."""
    rows = {row.cluster: row for row in grid.rows}
    return tuple(_page(cluster, rows[cluster.name], grid) for cluster in record.clusters)


def _page(cluster: ClusterRecord, row: Row, grid: Matrix) -> ClusterPage:
    """The page of one cluster."""
    order = [column.ability for column in grid.columns]
    names = sorted(cluster.distances, key=lambda name: (order.index(name) if name in order else len(order), name))
    return ClusterPage(
        cluster=cluster,
        row=row,
        traits=tuple(sorted(cluster.traits.items())),
        distances=tuple((name, cluster.distances[name]) for name in names),
        span=_span(list(cluster.distances.values())),
    )


def _phi_span(cells: Sequence[CellRecord]) -> tuple[float, ...]:
    """The lowest and highest end of an interval of Φ, so that the rows of the table compare by eye."""
    ends = [end for cell in cells for end in (cell.low, cell.phi, cell.high) if end is not None]
    return (min(ends), max(ends)) if ends else ()


def _span(effects: Sequence[EffectRecord]) -> tuple[float, ...]:
    """Every end of every interval."""
    ends = [end for effect in effects for end in (effect.low, effect.estimate, effect.high)]
    return tuple(end for end in ends if end is not None)


def _loss_span(checks: Sequence[ValidationRecord]) -> tuple[float, ...]:
    """The lowest and highest change of a loss, so that cluster and general text compare by eye over the whole table."""
    ends = _span([effect for check in checks for effect in (check.perplexity_cluster, check.perplexity_general)])
    return (min(ends), max(ends)) if ends else ()
