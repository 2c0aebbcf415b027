"""The Data Influence Matrix as a grid: clusters down, abilities across, one tile a cell that leads to its evidence."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imprint.report.anchors import anchors
from imprint.report.color_scale import ColorScale
from imprint.report.influence_records import CellRecord, InfluenceRecord
from imprint.report.wording import count, fixed, interval, number, p_words, signed

ALPHA = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """One cell: where its evidence stands on the page, the step of its colour, and what it says, short and long."""

    cell: CellRecord
    anchor: str
    level: int
    stands_out: bool
    value: str
    spread: str
    reading: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One cluster; `anchor` leads to its page ("" when it has none); None: this cell was not measured."""

    cluster: str
    anchor: str
    tiles: tuple[Tile | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One ability, and whether it is a control that no cluster should carry."""

    ability: str
    control: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """The grid with the colours of its key from lowest to highest; `summary` counts the cells that stand out.

    `decimals` are those of every number in it: two significant digits of the largest.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    key: tuple[str, ...]
    low: str
    high: str
    decimals: int
    summary: str

    @property
    def tiles(self) -> list[Tile]:
        """Every measured cell, row by row."""
        return [tile for row in self.rows for tile in row.tiles if tile]


def matrix(record: InfluenceRecord) -> Matrix:
    """The grid in the order of the record's clusters and abilities, then of its cells for names it does not describe."""
    pages, scale = cluster_anchors(record), ColorScale.around_zero([cell.phi for cell in record.cells])
    columns = _columns(record)
    decimals = _decimals(scale.high)
    tiles = _tiles(record.cells, scale, decimals)
    clusters = _ordered((cluster.name for cluster in record.clusters), (cell.cluster for cell in record.cells))
    rows = tuple(
        Row(
            cluster=cluster,
            anchor=pages.get(cluster, ""),
            tiles=tuple(tiles.get((cluster, column.ability)) for column in columns),
        )
        for cluster in clusters
    )
    return Matrix(
        columns=columns, rows=rows, key=scale.colors, low=fixed(scale.low, decimals), high=fixed(scale.high, decimals),
        decimals=decimals, summary=_summary(record.cells),
    )  # fmt: skip


def cluster_anchors(record: InfluenceRecord) -> dict[str, str]:
    """The id of each cluster's page by the cluster's name."""
    names = [cluster.name for cluster in record.clusters]
    return dict(zip(names, anchors("cluster", ((name,) for name in names)), strict=True))


def stands_out(cell: CellRecord) -> bool:
    """Whether q is at most .05; a cell that was not tested does not stand out."""
    return cell.q is not None and cell.q <= ALPHA


def reading(cell: CellRecord) -> str:
    """The cell in one plain sentence, with its interval and how sure it is."""
    verb = "costs" if cell.phi >= 0 else "helps"
    spread = f" {interval(cell.low, cell.high)}" if cell.low is not None and cell.high is not None else ""
    found = (
        f"Perturbing what belongs to '{cell.cluster}' {verb} '{cell.ability}' {number(abs(cell.phi))} nats an item"
        f" against the matched controls (\u03a6 {signed(cell.phi)}{spread})"
    )
    return f"{found}: {_surety(cell)}."


def _surety(cell: CellRecord) -> str:
    """What the test over the matrix says."""
    if cell.q is None:
        return "this cell was not tested"
    told = "stands out" if stands_out(cell) else "not told apart from the controls"
    return f"{told}, {p_words(cell.q, 'q')}"


def _columns(record: InfluenceRecord) -> tuple[Column, ...]:
    """The abilities, in order, each once."""
    controls = {ability.name for ability in record.abilities if ability.control}
    names = _ordered((ability.name for ability in record.abilities), (cell.ability for cell in record.cells))
    return tuple(Column(ability=name, control=name in controls) for name in names)


def _ordered(*groups: Iterable[str]) -> list[str]:
    """Every name once, in order of appearance."""
    return list(dict.fromkeys(name for group in groups for name in group))


def _decimals(largest: float) -> int:
    """How many decimals show two digits of the largest value."""
    return max(0, 1 - math.floor(math.log10(largest)))


def _spread(cell: CellRecord, decimals: int) -> str:
    """The interval in the grid's decimals, or nothing when none was computed."""
    if cell.low is None or cell.high is None:
        return ""
    return f"[{fixed(cell.low, decimals)}, {fixed(cell.high, decimals)}]"


def _tiles(cells: Sequence[CellRecord], scale: ColorScale, decimals: int) -> dict[tuple[str, str], Tile]:
    """Every cell's tile by cluster and ability."""
    pairs = [(cell.cluster, cell.ability) for cell in cells]
    return {
        pair: Tile(
            cell=cell,
            anchor=anchor,
            level=scale.level(cell.phi),
            stands_out=stands_out(cell),
            value=fixed(cell.phi, decimals),
            spread=_spread(cell, decimals),
            reading=reading(cell),
        )
        for pair, cell, anchor in zip(pairs, cells, anchors("cell", pairs), strict=True)
    }


def _summary(cells: Sequence[CellRecord]) -> str:
    """How many cells stand out, which way, and how many were not tested."""
    found = [cell for cell in cells if stands_out(cell)]
    untested = sum(cell.q is None for cell in cells)
    losses = sum(cell.phi > 0 for cell in found)
    words = f"{len(found)} of {count(len(cells), 'cell')} stand out at q \u2264 .05"
    if found:
        words += f": {count(losses, 'loss')}, {count(len(found) - losses, 'gain')}"
    return f"{words}; {count(untested, 'cell')} not tested." if untested else f"{words}."
