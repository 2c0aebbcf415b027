import errno
import importlib
import subprocess
import sys
from importlib.metadata import version
from typing import get_args

import pytest

from imprint.attribution import HeadParts
from imprint.attribution.head import HeadMechanism
from imprint.cli.attribute import attribute
from imprint.cli.retrain import retrain
from imprint.errors import ConfigError, ImprintError, IntegrityError
from imprint.interventions.data import EditKind

application = importlib.import_module("imprint.cli.app")  # the package's own `app` is the application in it
VERBS = (
    "demo", "run", "train", "cluster", "locate", "evaluate", "perturb", "attribute", "retrain", "calibrate",
    "variance", "gates", "report", "runs",
)  # fmt: skip
SUBVERBS = ("list", "show", "verify", "prune")
HEAVY = ("torch", "transformers", "numpy", "scipy", "polars", "sklearn", "altair")
HELP = f"""
import sys
from imprint.cli import main

def ask(*words):
    try:
        main([*words, "--help"])
    except SystemExit as end:
        assert end.code == 0, words

ask()
for verb in {VERBS!r}:
    ask(verb)
for verb in {SUBVERBS!r}:
    ask("runs", verb)
sys.stderr.write(" ".join(name for name in {HEAVY!r} if name in sys.modules))
"""


@pytest.fixture(scope="module")
def help_texts():
    return subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True, timeout=60)


def test_help_imports_nothing_heavy(help_texts):
    """So every --help answers at once; importing torch and transformers takes seconds."""
    assert help_texts.stderr == ""


def test_every_verb_explains_itself(help_texts):
    for verb in VERBS:
        assert f"Usage: imprint {verb}" in help_texts.stdout
    for verb in SUBVERBS:
        assert f"Usage: imprint runs {verb}" in help_texts.stdout
    assert help_texts.stdout.count("--json") >= len(VERBS) - 2


def test_no_arguments_give_the_help(imprint):
    answer = imprint()
    assert answer.code == 0
    assert all(verb in answer.out for verb in VERBS)


def test_version(imprint):
    assert imprint("--version").out.strip() == version("imprint")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["locat"], 'Unknown command "locat". Did you mean "locate"?'),
        (["run"], 'Command "run" parameter STUDY requires an argument.'),
        (["run", "a.yaml", "--outt", "x"], "Unknown option: --outt."),
        (["run", "a.yaml", "b.yaml"], "Unused Tokens: ['b.yaml']."),
        (["demo", "--seeds", "many"], 'Invalid value for --seeds: unable to convert "many" into int.'),
        (["demo", "--controls", "some"], 'Invalid value "some" for --controls. Choose from: "random", "all".'),
        (["demo", "--seeds", "1"], "--seeds 1 leaves no interval; ask for at least 2, better 5"),
        (["run", "a.yaml", "--processes", "0"], 'Invalid value "0" for --processes. Must be >= 1.'),
        (["locate", "m", "--rows", "0"], 'Invalid value "0" for --rows. Must be >= 4.'),
        (["locate", "m", "--context", "2"], 'Invalid value "2" for --context. Must be >= 8.'),
        (["attribute", "m", "--data", "d", "--head", "L0.H0", "--factor-rows", "1"], "--factor-rows. Must be >= 4."),
        (["attribute", "m", "--data", "d", "--head", "L0.H0", "--damping", "-1"], "--damping. Must be >= 0."),
        (["attribute", "m", "--data", "d", "--head", "L0.H0", "--context", "4"], "--context. Must be >= 8."),
        (["attribute", "m", "--data", "d"], "nothing was asked about: give --head L1.H2"),
        (["retrain", "a.yaml"], "--documents requires an argument"),
        (["runs", "shw", "x"], 'Unknown command "shw"'),
    ],
)
def test_wrong_arguments(imprint, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = imprint(*arguments)
    assert answer.code == 2
    assert message in answer.complaint()
    assert list(tmp_path.iterdir()) == []


class Verb:
    """The application, replaced by something that fails."""

    def __init__(self, error):
        self.error = error

    def __call__(self, *arguments, **options):
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (ImprintError("it failed\nwith details"), 1, "it failed"),
        (IntegrityError("3 problems"), 1, "3 problems"),
        (ConfigError("no such key"), 2, "no such key"),
        (ImprintError(""), 1, "ImprintError"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 2, "/x/y: No space left on device"),
        (OSError(errno.EROFS, "Read-only file system"), 2, "a file: Read-only file system"),
        (KeyboardInterrupt(), 130, "interrupted; the same command goes on where it stopped"),
    ],
)
def test_failures_become_a_sentence_and_an_exit_code(imprint, monkeypatch, error, code, sentence):
    monkeypatch.setattr(application, "app", Verb(error))
    answer = imprint("anything")
    assert (answer.code, answer.complaint()) == (code, sentence)


def test_a_defect_is_not_dressed_up(monkeypatch):
    """What the program did wrong itself keeps its traceback."""
    monkeypatch.setattr(application, "app", Verb(ZeroDivisionError("a defect")))
    with pytest.raises(ZeroDivisionError):
        application.main([])


def test_a_reader_that_went_away_is_no_failure():
    script = "from imprint.cli import main; main(['--help'])"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=60) in (0, 1, 120)
    assert "Traceback" not in errors


def test_choices_are_those_of_the_library():
    """They are written out again because importing them would make --help slow."""
    assert attribute.__annotations__["parts"] == HeadParts
    assert attribute.__annotations__["mechanism"] == HeadMechanism
    assert get_args(retrain.__annotations__["kind"]) == get_args(EditKind)
