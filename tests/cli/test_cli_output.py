import io
import json
import os

import pytest

from imprint.cli import output, progress
from imprint.cli.output import output_folder, print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.errors import OutputError


def test_one_json_document(capsys):
    print_json([{"a": 1.5, "b": None}])
    assert json.loads(capsys.readouterr().out) == [{"a": 1.5, "b": None}]
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json(float("nan"))


def test_lines_are_printed_as_they_are(capsys):
    print_lines(["[bold]no markup[/bold]", "x" * 300])
    assert capsys.readouterr().out == "[bold]no markup[/bold]\n" + "x" * 300 + "\n"


def test_a_table_shows_three_decimals_and_dashes(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    print_table("Title", ("name", "value", "count"), [("[x]", 0.12345, 3), ("b", None, 10)])
    said = capsys.readouterr().out
    assert "Title" in said
    for cell in ("[x]", "0.123", "-", "10"):
        assert cell in said


def test_a_table_without_rows(capsys):
    print_table("Nothing", ("a", "b"), [])
    assert "Nothing" in capsys.readouterr().out


def test_the_folder_is_made_and_left_empty(tmp_path):
    folder = output_folder(tmp_path / "a" / "b")
    assert folder == tmp_path / "a" / "b"
    assert list(folder.iterdir()) == []
    assert output_folder(folder) == folder


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("text")
    for place in ("file", "file/below"):
        with pytest.raises(
            OutputError, match=r"output folder '.*' cannot be written \(.*\); choose another with --out"
        ):
            output_folder(tmp_path / place)
    assert (tmp_path / "file").read_text() == "text"


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    def refuse(self, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(tmp_path), "touch", refuse)
    with pytest.raises(OutputError, match="Permission denied"):
        output_folder(tmp_path / "new")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        output_folder(tmp_path)
    tmp_path.chmod(0o700)


def test_progress_goes_to_standard_error(capsys):
    reporter = TerminalReporter()
    with reporter.stage("train", 10) as advance:
        advance(10)
    reporter.message("[a] sentence")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["train ...", "train: done in 0 s", "[a] sentence"]


def test_quiet_says_nothing(capsys):
    reporter = TerminalReporter(quiet=True)
    with reporter.stage("train", None) as advance:
        advance(1)
    reporter.message("a sentence")
    said = capsys.readouterr()
    assert said.out + said.err == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A standard error that is a terminal of eighty columns."""
    screen = Terminal()
    monkeypatch.setattr(
        progress, "Console", lambda **options: output.Console(file=screen, width=120, force_terminal=True)
    )
    return screen


def test_a_terminal_shows_a_bar_with_its_end(terminal):
    reporter = TerminalReporter()
    with reporter.stage("train: untouched runs", 10) as advance:
        advance(4)
        with reporter.stage("inner", None) as inside:
            inside(1)
        advance(6)
    shown = terminal.getvalue()
    for words in ("train: untouched runs", "10/10", "eta", "inner", "1/1"):
        assert words in shown


def test_a_stage_that_fails_leaves_the_terminal_in_order(terminal):
    reporter = TerminalReporter()
    with pytest.raises(RuntimeError), reporter.stage("train", 10):
        raise RuntimeError
    with reporter.stage("again", 1) as advance:
        advance(1)
    assert "again" in terminal.getvalue()
