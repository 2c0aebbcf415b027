"""The whole study on a tiny random model: complete, resumable to the same bytes, and honest about nothing."""

import json
import shutil
from functools import partial

import polars as pl
import pytest
import torch

from imprint.errors import ComponentNotFound, ConfigError, CorpusError, ModelError
from imprint.report import load_report_data, perturbation_report, save_report_data, write_evidence, write_report
from imprint.runs import LocalExecutor, Store
from imprint.studies import run_perturbation_study
from imprint.studies.perturbation import filtering, perturbation
from imprint.studies.perturbation.session import behind_the_first
from tiny_perturbation import tiny_study, write_world
from tiny_studies import bytes_of

HERE = LocalExecutor(workers=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def result(world, out):
    return run_perturbation_study(tiny_study(world), out, executor=HERE)


def test_every_cell_has_every_family_and_dose(result):
    assert {(cell.cluster, cell.ability) for cell in result.cells} == {
        (cluster, ability) for cluster in ("code", "prose") for ability in ("copa", "rte")
    }
    for cell in result.cells:
        assert [one.responses.family for one in cell.families] == ["ablation", "noise", "sign"]
        assert all(one.responses.control is not None for one in cell.families)
        assert [len(one.harm) for one in cell.families] == [2, 2, 2]
        assert cell.families[0].responses.control.shape[:2] == (4, 2)
        assert len(cell.families[0].responses.base_correct) == 20


def test_references_layers_and_shares_are_there(result):
    assert [one.responses.ability for one in result.everything] == ["copa", "rte"]
    assert {one.cluster for one in result.layers["embed"]} == {"code", "prose"}
    assert {one.doses for one in result.token_shares} == {(0.1, 0.5)}
    assert set(result.distances) == {"copa", "rte"}
    assert {(check.cluster, check.family) for check in result.checks} == {
        (cluster, family) for cluster in ("code", "prose") for family in ("ablation", "noise")
    }


def test_every_hypothesis_gets_a_verdict(result):
    assert [verdict.id for verdict in result.verdicts] == ["P1", "P2", "P3"]
    assert all(claim.rung is None or claim.rung < 4 for claim in result.claims)


def test_a_larger_dose_of_signs_harms_more(result):
    for cell in result.cells:
        sign = cell.families[2]
        assert sign.harm[1].estimate > sign.harm[0].estimate > 0


def test_the_same_command_gives_the_same_numbers_without_computing(result, world, out):
    before = bytes_of(out / "store")
    again = run_perturbation_study(tiny_study(world), out, executor=HERE)
    assert bytes_of(out / "store") == before
    assert again.matrix.as_dict() == result.matrix.as_dict()


def test_lost_results_are_computed_again_to_the_same_bytes(result, world, out, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    store = Store(copy / "store")
    lost = [entry for entry in store.list() if "PerturbedItems" in entry.step or "Space" in entry.step]
    assert len(lost) > 6
    for entry in lost[::2]:
        shutil.rmtree(entry.folder)
    run_perturbation_study(tiny_study(world), copy, executor=HERE)
    assert bytes_of(copy / "store") == bytes_of(out / "store")


def test_the_report_holds_what_was_found(result, out):
    data = perturbation_report(result, command="imprint run study.yaml", created="today")
    save_report_data(data, out / "report.json")
    assert load_report_data(out / "report.json") == data
    page = write_report(load_report_data(out / "report.json"), out).read_text(encoding="utf-8")
    write_evidence(result, out, command="imprint run study.yaml")
    assert len(data.answer_lines) == 5
    assert data.influence is not None
    assert len(data.influence.cells) == 4
    assert 'id="cell-code-copa"' in page
    evidence = json.loads((out / "evidence.json").read_text(encoding="utf-8"))
    assert evidence["influence"]["clusters"] == ["code", "prose"]
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["site"] == "L1.resid_post"


def test_perturbations_can_be_made_again_from_the_space(result):
    made = perturbation(result.space, "code", "shift", seed=0)
    assert made is not None
    assert made.site == "L1.resid_post"


def test_another_design_is_refused_in_the_same_folder(result, world, out):
    with pytest.raises(ConfigError, match="begun with another design"):
        run_perturbation_study(tiny_study(world, clusters={"seed": 5}), out, executor=HERE)


def test_the_first_token_is_never_edited():
    """The attention sink lies there."""
    mask = behind_the_first(torch.ones(3, 4, dtype=torch.bool))
    assert not mask[:, 0].any()
    assert mask[:, 1:].all()


def test_other_hypotheses_are_refused_in_the_same_folder(result, world, out):
    rule = {"id": "X", "statement": "s", "threshold": 0.1, "direction": "greater", "test": "t", "metric": "harm.rte"}
    with pytest.raises(ConfigError, match="registered with other hypotheses"):
        run_perturbation_study(tiny_study(world, hypotheses=[rule]), out, executor=HERE)


def test_a_cluster_of_three_documents_is_refused(world, tmp_path):
    text = tmp_path / "text"
    shutil.copytree(world / "text", text)
    few = (text / "code.jsonl").read_text(encoding="utf-8").splitlines()[:3]
    (text / "code.jsonl").write_text("\n".join(few) + "\n", encoding="utf-8")
    study = tiny_study(world, clusters={"paths": [str(text)]})
    with pytest.raises(CorpusError, match="cluster 'code' has 3 documents"):
        run_perturbation_study(study, tmp_path / "out", executor=HERE)


def test_a_model_without_a_tokenizer_is_refused(world, tmp_path):
    bare = tmp_path / "model"
    shutil.copytree(world / "model", bare)
    for path in bare.glob("tokenizer*"):
        path.unlink()
    for path in bare.glob("special*"):
        path.unlink()
    study = tiny_study(world, model={"name": str(bare)})
    with pytest.raises(ModelError, match="without a tokenizer"):
        run_perturbation_study(study, tmp_path / "out", executor=HERE)


SMALL = {
    "site": "L1.resid_post",
    "families": ["shift"],
    "doses": {"shift": [1.0, 4.0]},
    "layers": [],
    "token_shares": [],
    "global_noise": False,
}


def test_heads_that_are_active_nowhere_leave_no_cluster(world, tmp_path):
    study = tiny_study(world, clusters={"heads": ["L1.H1"]}, perturbations=SMALL, hypotheses=[])
    with pytest.raises(ConfigError, match=r"no cluster is left.*L1\.H1"):
        run_perturbation_study(study, tmp_path, executor=HERE)


def test_only_clusters_in_which_heads_are_active_are_perturbed(world, tmp_path, monkeypatch):
    """The evidence is that of a head which does differ, with any significance taken as enough."""
    monkeypatch.setattr(filtering, "filter_by_heads", partial(filtering.filter_by_heads, rate=0.999))
    study = tiny_study(world, clusters={"heads": ["L1.H0"]}, perturbations=SMALL, hypotheses=[])
    found = run_perturbation_study(study, tmp_path, executor=HERE)
    table = pl.read_parquet(next((tmp_path / "store").rglob("filter.parquet")))
    assert found.clusters == tuple(table.filter("kept")["name"])
    assert {cell.cluster for cell in found.cells} == set(found.clusters)


def test_a_head_that_the_model_lacks_is_refused(world, tmp_path):
    study = tiny_study(world, clusters={"heads": ["L0.H9"]})
    with pytest.raises(ComponentNotFound, match="heads 0 to 2"):
        run_perturbation_study(study, tmp_path, executor=HERE)
