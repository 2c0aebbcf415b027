"""Dose curves: what is drawn, on which axis, and what stands for the picture."""

from influence_samples import FAMILIES, STRENGTH, study

from imprint.report import CellRecord, DosePoint, EffectRecord, FamilyRecord
from imprint.report.charts import Figure
from imprint.report.dose_curves import figures

LAYERS = ("zero", "span", "half", "control band", "control line", "control points", "band", "line", "points")


def family(*points: DosePoint, **fields) -> FamilyRecord:
    return FamilyRecord(family="noise", points=points, harm=EffectRecord(estimate=0.1), **fields)


def point(dose: float, harm: float = 0.1, **fields) -> DosePoint:
    return DosePoint(dose=dose, harm=harm, low=harm - 0.05, high=harm + 0.05, **fields)


def drawn(*families: FamilyRecord) -> list[Figure | None]:
    return figures(CellRecord(cluster="code", ability="COPA", phi=0.1, families=families), "cell-code-copa")


def layers(figure: Figure | None) -> dict[str, list[dict]]:
    assert figure is not None
    assert [layer["data"]["name"] for layer in figure.spec["layer"]] == list(figure.spec["datasets"])
    return {LAYERS[int(name.removeprefix("layer-"))]: rows for name, rows in figure.spec["datasets"].items()}


def scale(figure: Figure) -> dict:
    return figure.spec["layer"][-1]["encoding"]["x"]["scale"]


def test_every_family_has_a_chart_of_its_own_numbers():
    cell = study().cells[0]
    made = figures(cell, "cell-code-copa")
    assert [figure.name for figure in made] == [f"cell-code-copa-dose-{place}" for place in range(len(FAMILIES))]
    for figure, one in zip(made, cell.families, strict=True):
        assert [row["value"] for row in layers(figure)["line"]] == [item.harm for item in one.points]
        assert [row["value"] for row in layers(figure)["control line"]] == [item.control for item in one.points]
    assert STRENGTH["code", "COPA"] > 0.1
    assert layers(made[0])["half"][0]["dose"] == 0.6


def test_doses_are_drawn_in_order():
    figure = drawn(family(point(2.0), point(-1.0), point(1.0)))[0]
    assert [row["dose"] for row in layers(figure)["line"]] == [-1.0, 1.0, 2.0]
    assert figure.alt.index("−1:") < figure.alt.index("1:", figure.alt.index("−1:") + 3) < figure.alt.index("2:")


def test_an_axis_is_logarithmic_only_over_more_than_twentyfold_positive_doses():
    wide, narrow, signed, zero = drawn(
        family(point(0.1), point(3.0)), family(point(0.5), point(4.0)), family(point(-1.0), point(40.0)),
        family(point(0.0), point(40.0)),
    )  # fmt: skip
    assert scale(wide)["type"] == "log"
    assert all("type" not in scale(figure) for figure in (narrow, signed, zero))


def test_families_of_a_cell_share_the_vertical_axis():
    made = drawn(family(point(1.0, 0.1)), family(point(1.0, 2.0, control=-1.0)))
    assert [layers(figure)["span"] for figure in made] == [[{"value": -1.0}, {"value": 2.05}]] * 2


def test_a_control_without_an_interval_has_no_band_and_none_at_all_no_line():
    with_line, without = drawn(family(point(1.0, control=0.02)), family(point(1.0)))
    assert layers(with_line)["control line"][0]["value"] == 0.02
    assert "control band" not in layers(with_line)
    assert "control line" not in layers(without)


def test_a_half_dose_beyond_the_doses_is_not_drawn():
    half = EffectRecord(estimate=9.0)
    beyond, among = drawn(
        family(point(1.0), point(2.0), half_dose=half), family(point(1.0), point(9.5), half_dose=half)
    )
    assert "half" not in layers(beyond)
    assert layers(among)["half"][0]["dose"] == 9.0
    assert (beyond.note, among.note) == ("", "dotted: half dose")


def test_a_family_without_a_dose_has_no_chart():
    assert drawn(family(), family(point(1.0)))[0] is None
    assert drawn() == []


def test_one_family_does_not_change_the_numbers_of_another():
    first = layers(drawn(family(point(1.0, 0.5)))[0])["line"]
    drawn(family(point(1.0, 0.7)))
    assert first[0]["value"] == 0.5
