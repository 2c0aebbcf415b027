"""The records of a perturbation study and the view on them."""

import json
from pathlib import Path

import pytest
from influence_samples import SAMPLES, influence_full, study
from pydantic import ValidationError
from report_samples import full

from imprint.errors import ConfigError
from imprint.report import (
    CellRecord,
    EffectRecord,
    InfluenceRecord,
    ValidationRecord,
    load_report_data,
    render_html,
    render_markdown,
    save_report_data,
)
from imprint.report.influence import influence_view, passed_words
from imprint.report.model import EffectRecord as EffectOfModel
from imprint.report.model import Record


def check(cluster: str = "a", passed: bool | None = None) -> ValidationRecord:
    loss = EffectRecord(estimate=0.1)
    return ValidationRecord(
        cluster=cluster, family="f", dose=1.0, perplexity_cluster=loss, perplexity_general=loss, passed=passed
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_a_saved_study_comes_back_equal_and_renders_to_the_same_bytes(name: str, tmp_path: Path):
    data = SAMPLES[name]()
    save_report_data(data, tmp_path / "report.json")
    loaded = load_report_data(tmp_path / "report.json")
    assert loaded == data
    assert render_markdown(loaded) == render_markdown(data)
    if name == "influence_bare":
        assert render_html(loaded) == render_html(data)


def test_a_report_saved_before_there_were_perturbation_studies_still_loads(tmp_path: Path):
    save_report_data(full(), tmp_path / "report.json")
    old = json.loads((tmp_path / "report.json").read_text())
    assert old.pop("influence") is None
    (tmp_path / "report.json").write_text(json.dumps(old))
    assert load_report_data(tmp_path / "report.json") == full()


def test_two_cells_for_one_pair_are_refused_by_name(tmp_path: Path):
    cells = (CellRecord(cluster="code", ability="COPA", phi=0.1),) * 2
    with pytest.raises(ValidationError, match="more than one cell for 'code' on 'COPA'"):
        InfluenceRecord(model="m", site="s", abilities=(), clusters=(), cells=cells)
    words = influence_full().model_dump(mode="json")
    words["influence"]["cells"].append(words["influence"]["cells"][0])
    (tmp_path / "report.json").write_text(json.dumps(words))
    with pytest.raises(ConfigError, match="more than one cell"):
        load_report_data(tmp_path / "report.json")


def test_the_common_records_keep_their_old_address():
    assert EffectOfModel is EffectRecord
    assert issubclass(CellRecord, Record)


def test_every_cell_has_a_panel_with_its_families_and_the_clusters_checks():
    view = influence_view(study())
    assert len(view.panels) == 20
    assert len(view.lazy) == 80
    assert all(len(panel.families) == 4 for panel in view.panels)
    words = {panel.tile.cell.cluster: panel.validation for panel in view.panels}
    assert words["code"] == "16 of 16 perturbations passed"
    assert words["dialogue"] == "11 of 16 perturbations passed"


def test_cluster_pages_lead_to_their_own_row():
    pages = influence_view(study()).pages
    assert [page.row.cluster for page in pages] == [page.cluster.name for page in pages]
    assert min(pages[0].span) == min(distance.low for distance in pages[0].cluster.distances.values())


def test_checks_in_words():
    assert passed_words([]) == ""
    assert passed_words([check()]) == "1 perturbation measured, none judged"
    assert passed_words([check(passed=True), check(passed=False)]) == "1 of 2 perturbations passed"
    assert passed_words([check(passed=True), check()]) == "1 of 1 perturbation passed, 1 not judged"
