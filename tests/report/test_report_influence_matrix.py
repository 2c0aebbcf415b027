"""The matrix on the page: its order, what stands out, and each cell in words."""

import pytest
from influence_samples import ABILITIES, CLUSTERS, STRENGTH, study

from imprint.report import CellRecord, InfluenceRecord
from imprint.report.influence_matrix import matrix, reading, stands_out


def record(*cells: CellRecord) -> InfluenceRecord:
    return InfluenceRecord(model="m", site="s", abilities=(), clusters=(), cells=cells)


def cell(cluster: str = "a", ability: str = "b", phi: float = 0.1, **fields) -> CellRecord:
    return CellRecord(cluster=cluster, ability=ability, phi=phi, **fields)


def test_rows_and_columns_follow_the_study_not_the_cells():
    whole = study()
    grid = matrix(whole.model_copy(update={"cells": whole.cells[::-1]}))
    assert [row.cluster for row in grid.rows] == list(CLUSTERS)
    assert [column.ability for column in grid.columns] == list(ABILITIES)
    assert [column.control for column in grid.columns] == [False, False, False, True]
    assert [tile.cell.ability for tile in grid.rows[2].tiles] == list(ABILITIES)
    assert grid.rows[2].tiles[1].cell.phi == STRENGTH["arithmetic", "sums mod 5"]


def test_a_cell_that_was_not_measured_is_a_gap_and_undescribed_names_come_last():
    grid = matrix(record(cell("a", "x"), cell("b", "y")))
    assert [[tile is None for tile in row.tiles] for row in grid.rows] == [[False, True], [True, False]]
    assert [row.anchor for row in grid.rows] == ["", ""]
    assert len(grid.tiles) == 2


@pytest.mark.parametrize(("q", "out"), [(0.05, True), (0.0501, False), (0.0, True), (None, False)])
def test_only_a_tested_cell_stands_out(q: float | None, out: bool):
    assert stands_out(cell(q=q)) is out


def test_the_colour_is_symmetric_around_zero():
    tiles = matrix(record(cell("a", phi=0.4), cell("b", phi=-0.4), cell("c", phi=0.0), cell("d", phi=0.1))).tiles
    assert [tile.level for tile in tiles] == [6, 0, 3, 4]


@pytest.mark.parametrize(
    ("phi", "text"), [(0.4449, "+0.44"), (0.0312, "+0.031"), (31.2, "+31"), (-2.04, "−2.0"), (0.0, "0.0")]
)
def test_every_number_has_two_digits_of_the_largest(phi: float, text: str):
    assert matrix(record(cell(phi=phi))).tiles[0].value == text


def test_small_numbers_share_the_decimals_of_the_largest():
    tiles = matrix(record(cell("a", phi=0.44, low=0.4, high=0.5), cell("b", phi=-0.0004))).tiles
    assert [tile.value for tile in tiles] == ["+0.44", "0.00"]
    assert [tile.spread for tile in tiles] == ["[+0.40, +0.50]", ""]


def test_a_cell_in_words_says_direction_size_and_surety():
    words = reading(cell("code", "COPA", 0.21, low=0.16, high=0.26, q=0.002))
    assert words == (
        "Perturbing what belongs to 'code' costs 'COPA' 0.210 nats an item against the matched controls "
        "(Φ +0.210 [0.160, 0.260]): stands out, q\u00a0=\u00a00.002."
    )
    assert "helps 'b' 0.200 nats" in reading(cell(phi=-0.2, q=0.4))
    assert "not told apart from the controls" in reading(cell(phi=-0.2, q=0.4))
    assert "was not tested" in reading(cell())


def test_the_summary_counts_losses_gains_and_what_was_not_tested():
    cells = (cell("a", phi=0.2, q=0.01), cell("b", phi=-0.2, q=0.01), cell("c", q=0.5), cell("d"))
    assert matrix(record(*cells)).summary == (
        "2 of 4 cells stand out at q ≤ .05: 1 loss, 1 gain; 1 cell not tested."
    )  # fmt: skip
    assert matrix(record(cell(q=0.9))).summary == "0 of 1 cell stand out at q ≤ .05."
