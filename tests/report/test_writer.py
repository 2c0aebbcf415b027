"""The report's files: both there, whole, or not at all."""

import errno
from pathlib import Path

import pytest
from report_samples import empty, slim

from imprint.errors import OutputError
from imprint.report import render_html, render_markdown, write_report, writer


def test_both_files_are_written_and_the_html_is_returned(tmp_path: Path):
    path = write_report(slim(), tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "report.html"
    assert path.read_text(encoding="utf-8") == render_html(slim())
    assert (path.parent / "report.md").read_text(encoding="utf-8") == render_markdown(slim())
    assert sorted(file.name for file in path.parent.iterdir()) == ["report.html", "report.md"]


def test_a_file_in_the_way_is_an_output_error(tmp_path: Path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OutputError, match="taken"):
        write_report(empty(), tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_failure_to_write_is_an_output_error_and_keeps_the_old_report(code, tmp_path: Path, monkeypatch):
    write_report(empty(), tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def fail(path: Path, data: bytes) -> int:
        raise OSError(code, "no luck", str(path))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OutputError):
        write_report(empty().model_copy(update={"title": "new"}), tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_rendering_that_fails_writes_nothing(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(writer, "render_html", lambda data: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(empty(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
