"""Live allocation: tiny arms are trained where it pays; the same call goes on after a stop and pays for nothing twice."""

import json

import pytest

from imprint.emergence.allocation import read_audit
from imprint.errors import ConfigError
from imprint.models import Train
from imprint.runs import Store
from imprint.studies.live_allocation import LiveAllocation, LiveArms, allocate_arms, load_live_allocation

STUDY = {
    "ability": "recall",
    "target": 0.99,
    "arms": [
        {"name": "small", "width": 8, "layers": 1, "heads": 1},
        {"name": "large", "width": 16, "layers": 1, "heads": 2},
    ],
    "steps": 9,
    "checkpoint_every": 3,
    "batch": 4,
    "items": 20,
    "abstain_below": 0.0,
    "budget_share": 0.8,
}


def test_training_goes_on_from_the_checkpoint_before():
    study = LiveAllocation.model_validate(STUDY)
    run = study.run(study.arms[0], 3)
    assert (run.first_step, run.last_step) == (6, 9)
    assert isinstance(run.trunk, Train)
    assert (run.trunk.first_step, run.trunk.last_step, run.trunk.trunk.first_step) == (3, 6, 0)


def test_a_stopped_allocation_goes_on_and_is_paid_for_once(tmp_path, monkeypatch):
    study, trained = LiveAllocation.model_validate(STUDY), []
    execute = Train.execute

    def counted(self, folder, context):
        trained.append((self.architecture.config["n_embd"], self.last_step))
        if len(trained) == 3:
            raise KeyboardInterrupt
        execute(self, folder, context)

    monkeypatch.setattr(Train, "execute", counted)
    with pytest.raises(KeyboardInterrupt):
        allocate_arms(study, tmp_path)
    outcome = allocate_arms(study, tmp_path)
    assert trained[2] == trained[3]  # the one that was stopped
    assert len(trained) == len(set(trained)) + 1
    assert read_audit(tmp_path / "audit.jsonl") == list(outcome.audit)
    assert sum(outcome.depths) == len(set(trained)) == len(outcome.audit)
    found = json.loads((tmp_path / "outcome.json").read_text())
    assert found["checkpoints"] == dict(zip(("small", "large"), outcome.depths, strict=True))
    assert found["share of all training"] <= 0.8


def test_costs_are_six_n_d(tmp_path):
    study = LiveAllocation.model_validate(STUDY)
    small, large = LiveArms(study, Store(tmp_path)).arms
    assert small.exposure.tolist() == [3 * 4 * 64.0, 6 * 4 * 64.0, 9 * 4 * 64.0]
    assert small.cost[0] == 6 * study.arms[0].architecture.parameters * small.exposure[0]
    assert large.cost[0] > small.cost[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"checkpoint_every": 4}, "does not divide"),
        ({"arms": STUDY["arms"][:1]}, "at least 2"),
        ({"arms": [STUDY["arms"][0]] * 2}, "same name"),
        ({"arms": [{"name": "a", "width": 10, "heads": 3}, STUDY["arms"][1]]}, "not a multiple"),
        ({"arms": [{"name": "a", "shares": {"code": 0.5}}, STUDY["arms"][1]]}, "add to 1"),
        ({"budgets": 1}, "Extra inputs"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, change, says):
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(STUDY | change))
    with pytest.raises(ConfigError, match=says):
        load_live_allocation(file)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_live_allocation(tmp_path / "none.yaml")


def test_the_example_is_valid():
    from pathlib import Path

    assert len(load_live_allocation(Path(__file__).parents[2] / "examples" / "allocation/brackets.yaml").arms) == 6
