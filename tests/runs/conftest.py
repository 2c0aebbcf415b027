"""Temporary modules of a user: written, imported, edited and imported again as a fresh process would."""

import importlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest


class UserCode:
    """A folder on sys.path in which a test writes modules."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> Path:
        path = self.folder / (name.replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def load(self, name: str) -> ModuleType:
        """Import as if for the first time in a new process."""
        self.forget()
        return importlib.import_module(name)

    def forget(self) -> None:
        importlib.invalidate_caches()
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(self.folder)):
                del sys.modules[name]

    def start(self, script: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        """Run a script of this folder in a process of its own, with its own process group."""
        command = [sys.executable, "-B", str(self.folder / script), *map(str, arguments)]
        return subprocess.Popen(
            command,
            env={**os.environ, **environment},
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, *arguments: object, **environment: str) -> str:
        """The script's output; the test fails if the script does."""
        process = self.start(script, *arguments, **environment)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return output


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserCode]:
    folder = tmp_path / "user code"
    folder.mkdir()
    # An edit within one second that keeps the size would be hidden by Python's own .pyc cache.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.syspath_prepend(str(folder))
    code = UserCode(folder)
    yield code
    code.forget()


@pytest.fixture
def snapshot() -> Callable[[Path], dict[str, bytes]]:
    """All result files of a folder as bytes; the manifest holds times, so it is left out."""

    def read(folder: Path) -> dict[str, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    return read
