import json

import pytest

from imprint.errors import ConfigError
from imprint.runs import read_json
from imprint.stats import Hypothesis, registration_digest
from imprint.studies.registration import check_registered, register


def about(metric, **changes):
    fields = {"id": "X", "statement": "It does.", "threshold": 0.0, "direction": "greater", "test": "sign flips"}
    return Hypothesis.model_validate({**fields, "metric": metric, **changes})


def test_a_registration_is_written_once_and_never_changed(tmp_path):
    hypotheses = [about("onset.delete_top_vs_keep"), about("icl.mda.delete_top_vs_keep", id="Y")]
    digest = register(hypotheses, tmp_path)
    assert digest == registration_digest(hypotheses)
    written = (tmp_path / "registration.json").read_bytes()
    record = json.loads(written)
    assert record["digest"] == digest
    assert [Hypothesis.model_validate(item) for item in record["hypotheses"]] == hypotheses
    assert register(list(reversed(hypotheses)), tmp_path) == digest
    assert (tmp_path / "registration.json").read_bytes() == written
    for changed in (
        [hypotheses[0]],
        [hypotheses[0], about("icl.mda.delete_top_vs_keep", id="Y", threshold=0.01)],
        [hypotheses[0], about("icl.mda.delete_top_vs_keep", id="Y", statement="It may.")],
    ):
        with pytest.raises(ConfigError, match=r"was registered with other hypotheses; choose another --out folder"):
            register(changed, tmp_path)
    assert (tmp_path / "registration.json").read_bytes() == written


def test_checking_writes_nothing(tmp_path):
    check_registered([about("onset.delete_top_vs_keep")], tmp_path)
    assert list(tmp_path.iterdir()) == []
    register([about("onset.delete_top_vs_keep")], tmp_path)
    with pytest.raises(ConfigError, match="other hypotheses"):
        check_registered([about("onset.delete_top_vs_keep", alpha=0.01)], tmp_path)
    assert read_json(tmp_path / "registration.json")["hypotheses"][0]["alpha"] == 0.05
