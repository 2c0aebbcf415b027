"""`imprint allocate --live`, killed with SIGKILL in the middle: the same command ends with the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

STUDY = {
    "ability": "recall",
    "target": 0.99,
    "arms": [
        {"name": "small", "width": 8, "layers": 1, "heads": 1},
        {"name": "large", "width": 16, "layers": 1, "heads": 2},
    ],
    "steps": 24,
    "checkpoint_every": 2,
    "batch": 4,
    "items": 20,
    "abstain_below": 0.0,
    "budget_share": 0.5,
}
KILL_AFTER = 4
"""Decisions in the log when the process is killed."""


def start(study, folder):
    command = "from imprint.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", command, "allocate", "--live", str(study), "--out", str(folder), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def finished(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


def kill_in_the_middle(process, log):
    """Kill it once the log has enough lines; it must still have been at work."""
    until = time.monotonic() + 300
    while not log.is_file() or log.read_bytes().count(b"\n") < KILL_AFTER:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def steps_of(folder):
    """When each step's folder was made."""
    return {path: path.stat().st_mtime_ns for path in (folder / "store").rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_killed_allocation_ends_with_the_same_bytes(tmp_path):
    study = tmp_path / "study.yaml"
    study.write_text(json.dumps(STUDY))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    told = finished(start(study, whole))
    kill_in_the_middle(start(study, killed), killed / "audit.jsonl")
    before = (killed / "audit.jsonl").read_bytes()
    assert KILL_AFTER <= before.count(b"\n") < told["decisions"]
    assert not (killed / "outcome.json").exists()
    assert finished(start(study, killed)) == told
    for name in ("audit.jsonl", "outcome.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert (whole / "audit.jsonl").read_bytes().startswith(before[: before.rindex(b"\n")])
    after = steps_of(killed)
    assert finished(start(study, killed)) == told  # a third time: nothing is trained again
    assert steps_of(killed) == after
