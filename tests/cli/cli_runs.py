"""The command line in this process: exit code, standard output, standard error."""

import json
from dataclasses import dataclass

import pytest

from imprint.cli import main


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)

    def complaint(self) -> str:
        """The one sentence on standard error of a command that failed without any output."""
        assert self.code != 0
        assert self.out == ""
        *progress, sentence = self.err.splitlines()
        assert all(line.endswith((" ...", " s")) for line in progress), self.err
        assert sentence.startswith("imprint: ")
        return sentence.removeprefix("imprint: ")


@pytest.fixture
def imprint(capsys):
    """Call it as the shell would."""

    def call(*arguments) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Answer(code=caught.value.code, out=said.out, err=said.err)

    return call
