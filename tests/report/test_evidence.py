import json

import polars as pl
import pytest
from mechanism_results import mechanism_result

from imprint.errors import OutputError
from imprint.report import evidence, write_evidence
from imprint.runs import file_digest
from imprint.stats import Claim


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return mechanism_result(tmp_path_factory.mktemp("result"))


def test_evidence_is_claims_verdicts_and_seconds(result):
    found = evidence(result)
    assert set(found) == {"claims", "hypotheses", "registration", "seconds"}
    assert [Claim.from_dict(claim) for claim in found["claims"]] == result.claims
    assert found["hypotheses"] == [verdict.as_dict() for verdict in result.verdicts]
    assert found["seconds"] == {"corpus": 1.5, "train": 60.0}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_manifest_names_the_files_that_are_there(result, tmp_path):
    (tmp_path / "report.html").write_text("<p>a page</p>")
    write_evidence(result, tmp_path, command="imprint run made-up.yaml")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert set(manifest["files"]) == {"report.html", "evidence.json", "trajectories.parquet"}
    for name, digest in manifest["files"].items():
        assert file_digest(tmp_path / name) == digest
    assert manifest["study"] == result.study.model_dump(mode="json")
    assert (manifest["head"], manifest["transition_step"], manifest["window"]) == ("L1.H1", 800, [600, 2000])
    assert manifest["command"] == "imprint run made-up.yaml"
    assert manifest["warnings"] == ["one domain is missing"]
    assert {"python", "torch", "transformers"} <= set(manifest["versions"])
    assert pl.read_parquet(tmp_path / "trajectories.parquet").equals(result.trajectories)


def test_the_same_result_gives_the_same_bytes(result, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_evidence(result, tmp_path / name, command="imprint run")
    for name in ("evidence.json", "trajectories.parquet", "manifest.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_folder_that_cannot_be_written_leaves_nothing(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write to"):
        write_evidence(result, tmp_path / "file" / "run", command="imprint run")
    assert (tmp_path / "file").read_text() == ""


def test_a_full_disk_leaves_no_half_written_table(result, tmp_path, monkeypatch):
    def full(self, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write_evidence(result, tmp_path, command="imprint run")
    assert {path.name for path in tmp_path.iterdir()} == {"evidence.json"}
