"""Report data: what they refuse, what they accept from the other rooms, and the round trip through a file."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from report_samples import HOSTILE, empty, full, hostile

from imprint.errors import ConfigError, OutputError
from imprint.report import (
    ClaimRecord,
    ConcentrationRecord,
    HeadRecord,
    HypothesisRecord,
    ProvenanceRecord,
    ReportData,
    load_report_data,
    save_report_data,
)
from imprint.stats.claims import Claim, Evidence
from imprint.stats.effects import Effect
from imprint.stats.hypotheses import Hypothesis, judge
from imprint.stats.power_law import concentration


@pytest.mark.parametrize("make", [full, hostile, empty])
def test_a_saved_report_comes_back_equal(make, tmp_path: Path):
    data = make()
    save_report_data(data, tmp_path / "deep" / "report.json")
    assert load_report_data(tmp_path / "deep" / "report.json") == data


def test_the_order_of_stages_survives_a_file_with_sorted_keys(tmp_path: Path):
    data = ReportData(title="t", question="q", provenance=ProvenanceRecord(seconds={"train": 2.0, "corpus": 1.0}))
    save_report_data(data, tmp_path / "report.json")
    loaded = load_report_data(tmp_path / "report.json")
    assert [stage.stage for stage in loaded.provenance.seconds] == ["train", "corpus"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_refused(value: float):
    with pytest.raises(ValidationError, match="finite"):
        HeadRecord(metric="m", layer=0, head=0, value=value)


def test_numbers_of_numpy_are_taken():
    assert HeadRecord(metric="m", layer=0, head=0, value=np.float32(0.5), null=np.float64(0.25)).value == 0.5


def test_unknown_keys_and_changes_are_refused():
    with pytest.raises(ValidationError, match="Extra inputs"):
        ReportData(title="t", question="q", hypothesis=())
    with pytest.raises(ValidationError, match="frozen"):
        full().title = "other"


@pytest.mark.parametrize("rung", [-1, 6])
def test_a_rung_off_the_ladder_is_refused(rung: int):
    with pytest.raises(ValidationError):
        ClaimRecord(data="d", mechanism="m", capability="c", rung=rung)


def test_what_stats_writes_is_what_the_report_reads():
    effect = Effect(estimate=0.4, low=0.3, high=0.5, n=5, unit="pipeline seed", control="random", metric="m")
    claim = Claim(
        data="d", mechanism="m", capability="c", evidence=(Evidence(rung=1, name="e", effect=effect, passed=True),)
    )
    record = ClaimRecord.model_validate(claim.as_dict())
    assert (record.rung, record.shown, record.evidence[0].effect.estimate) == (1, (1,), 0.4)
    hypothesis = Hypothesis(id="H1", statement="s", metric="m", threshold=0.1, direction="greater", test="t")
    assert HypothesisRecord.model_validate(judge(hypothesis, effect, 0.01).as_dict()).verdict == "supported"
    tail = concentration(np.random.default_rng(0).pareto(1.4, 400), seed=0, draws=20)
    assert ConcentrationRecord.model_validate(tail.as_dict()).tail.count == tail.tail.count


@pytest.mark.parametrize(
    ("text", "message"), [("{", "JSON"), ('{"title": "t"}', "question"), ('{"title":"t","question":"q","x":1}', "x")]
)
def test_a_broken_file_is_one_sentence(text: str, message: str, tmp_path: Path):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_report_data(tmp_path / "report.json")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "report.json") in str(caught.value)


def test_a_missing_file_is_a_config_error(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"none\.json"):
        load_report_data(tmp_path / "none.json")


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        save_report_data(empty(), tmp_path / "file" / "report.json")


def test_hostile_text_is_kept_as_it_is(tmp_path: Path):
    save_report_data(hostile(), tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["limits"][0].endswith(HOSTILE)
