import errno
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from imprint.errors import ImprintError, InputError, IntegrityError, OutputError
from imprint.runs import atomic_file, read_json, write_bytes_atomic, write_json, writing
from imprint.runs.files import is_temporary


def test_json_is_sorted_readable_and_exact(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": 0.1, "a": [1, None, "é"]})
    assert path.read_text() == '{\n  "a": [\n    1,\n    null,\n    "\\u00e9"\n  ],\n  "b": 0.1\n}\n'
    assert read_json(path) == {"a": [1, None, "é"], "b": 0.1}


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), {1: 2}, np.zeros(2), np.float32(1)])
def test_json_refuses_what_it_cannot_hold_and_writes_nothing(tmp_path, value):
    with pytest.raises(ImprintError, match=r"^a\.json"):
        write_json(tmp_path / "a.json", value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [('{\n"a":', r":2: not valid JSON"), ("[NaN]", "NaN is not JSON"), ("", ":1:"), ("\x80", "not v")],
)
def test_broken_json_is_named_with_file_and_line(tmp_path, text, words):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(IntegrityError, match=words) as error:
        read_json(path)
    assert str(path) in str(error.value)


def test_missing_json_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "none.json")


def test_atomic_file_keeps_the_suffix_and_the_old_file_until_the_end(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(b"old")
    with atomic_file(path) as temporary:
        assert temporary.suffix == ".npy"
        assert is_temporary(temporary)
        np.save(temporary, np.arange(3))
        assert path.read_bytes() == b"old"
    assert np.load(path).tolist() == [0, 1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["a.npy"]


def test_the_old_file_is_whole_until_the_new_one_takes_its_place(tmp_path, monkeypatch):
    path, seen = tmp_path / "a.json", []
    write_json(path, "old")
    replace = Path.replace

    def watched(self, target):
        seen.append((read_json(path), read_json(self)))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    write_json(path, "new")
    assert seen == [("old", "new")]
    assert read_json(path) == "new"


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail():
        with atomic_file(path) as temporary:
            temporary.write_bytes(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_a_kill_in_the_middle_leaves_the_old_file_and_a_known_leftover(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, 1)
    if (child := os.fork()) == 0:
        with atomic_file(path) as temporary:
            temporary.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert read_json(path) == 1
    leftovers = [file for file in tmp_path.iterdir() if file != path]
    assert len(leftovers) == 1
    assert is_temporary(leftovers[0])
    assert not is_temporary(path)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
    ],
)
def test_write_failures_become_one_sentence(tmp_path, monkeypatch, code, words):
    def fail(self, data):
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OutputError, match=words) as error:
        write_bytes_atomic(tmp_path / "a", b"x")
    assert str(tmp_path) in str(error.value)
    assert error.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_device_becomes_one_sentence(tmp_path):
    with pytest.raises(OutputError, match="disk is full"), writing(tmp_path):
        Path("/dev/full").write_bytes(b"x")


def test_a_full_disk_reported_by_a_foreign_writer_is_recognised(tmp_path):
    with pytest.raises(OutputError, match="disk is full"), writing(tmp_path):
        raise RuntimeError("I/O error: No space left on device (os error 28)")


def test_failures_that_are_not_about_the_output_pass_unchanged(tmp_path):
    with pytest.raises(PermissionError), writing(tmp_path):
        raise PermissionError(errno.EACCES, "no", "/elsewhere/secret")
    with pytest.raises(json.JSONDecodeError), writing(tmp_path):
        json.loads("")
