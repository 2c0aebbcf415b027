"""The manifest beside every result: what made it, from what, when, and the digest of every file."""

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imprint.errors import ImprintError, InputError, IntegrityError
from imprint.runs.digests import digest, file_digest
from imprint.runs.files import is_temporary, read_json, write_json

MANIFEST = "manifest.json"
SCRATCH = "scratch"


class FileRecord(BaseModel):
    """Size and digest of one result file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sha256: str
    bytes: int


class Manifest(BaseModel):
    """What is written as manifest.json, the last file of a result; it holds no path of the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    key: str
    step: str
    """module.Class of the step."""
    recipe: dict[str, Any]
    """`Step.recipe()`, whose digest is the key."""
    upstream: tuple[str, ...]
    """Keys of the results that this one was made from."""
    files: dict[str, FileRecord]
    """Relative path to size and digest; all files but this one."""
    seconds: float
    """Wall time of the attempt that finished, without that of other steps it had to compute."""
    cpu_seconds: float
    """CPU time likewise, of the process, all its threads and its finished children."""
    resumed: bool
    """Whether an earlier attempt was interrupted, so that `seconds` is not the whole cost."""
    created: str
    """UTC, ISO 8601."""
    versions: dict[str, str]
    warnings: tuple[str, ...] = ()
    """What the step skipped or doubted, one sentence each."""
    sha256: str = Field(default="", repr=False)
    """Digest of all the above."""

    def sealed(self) -> "Manifest":
        """The same manifest with its own digest filled in."""
        return self.model_copy(update={"sha256": self._seal()})

    def is_sealed(self) -> bool:
        """Whether nothing in it changed since it was sealed."""
        return self.sha256 == self._seal() and digest(self.recipe) == self.key

    def _seal(self) -> str:
        return digest(self.model_dump(mode="json", exclude={"sha256"}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One finished result in a store."""

    folder: Path
    manifest: Manifest

    @property
    def key(self) -> str:
        """The 64 characters that name the result."""
        return self.manifest.key

    @property
    def step(self) -> str:
        """module.Class of the step."""
        return self.manifest.step

    @property
    def bytes(self) -> int:
        """Size of all result files together."""
        return sum(record.bytes for record in self.manifest.files.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that `verify` found wrong."""

    key: str
    file: str
    """Relative to the result's folder."""
    what: str
    """One sentence."""


def seal_folder(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json for the result files that lie in `folder`."""
    files = {name: _record(folder / name) for name in result_files(folder)}
    sealed = manifest.model_copy(update={"files": files}).sealed()
    write_json(folder / MANIFEST, sealed.model_dump(mode="json"))


def read_manifest(folder: Path, key: str) -> Manifest:
    """The manifest of a result; IntegrityError if it is missing, damaged, or of another key."""
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate(read_json(path))
    except (ValidationError, InputError) as error:
        raise IntegrityError(
            f"{path}: missing or not a manifest; the result will not be used: compute it again"
        ) from error
    if manifest.key != key or not manifest.is_sealed():
        raise IntegrityError(f"{path}: damaged or of another step; the result will not be used: compute it again")
    return manifest


def looks_complete(folder: Path, key: str) -> bool:
    """Whether the manifest is sound and every file is there in its recorded size; nothing is hashed, so it is quick."""
    try:
        files = read_manifest(folder, key).files
    except IntegrityError:
        return False
    return all(_size(folder / name) == record.bytes for name, record in files.items())


def check_folder(folder: Path, key: str) -> list[Problem]:
    """Re-hash a result and list every missing, changed or unexpected file."""
    try:
        manifest = read_manifest(folder, key)
    except IntegrityError as error:
        return [Problem(key=key, file=MANIFEST, what=str(error))]
    found = {name: _what_changed(folder / name, record) for name, record in manifest.files.items()}
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    found |= {name: "not in the manifest: it was put there later" for name in present - {*manifest.files, MANIFEST}}
    return [Problem(key=key, file=name, what=what) for name, what in sorted(found.items()) if what]


def result_files(folder: Path) -> Iterator[str]:
    """Relative names of the files that a step left, in order, without scratch and leftovers; raises on links."""
    for parent, folders, names in os.walk(folder):
        if Path(parent) == folder:
            folders[:] = [name for name in folders if name != SCRATCH]
        for path in (Path(parent, name) for name in sorted([*folders, *names])):
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise ImprintError(f"the step left {path.name!r}, a link or device: write regular files only")
            if stat.S_ISREG(mode) and not is_temporary(path) and path != folder / MANIFEST:
                yield path.relative_to(folder).as_posix()


def remove_leftovers(folder: Path) -> None:
    """Delete what a crash in the middle of `atomic_file` left behind."""
    for path in [path for path in folder.rglob(".*") if is_temporary(path) and path.is_file()]:
        path.unlink()


def remove_scratch(folder: Path) -> None:
    """Delete the files that only an unfinished step needs."""
    if (folder / SCRATCH).is_dir():
        shutil.rmtree(folder / SCRATCH)


def _record(path: Path) -> FileRecord:
    return FileRecord(sha256=file_digest(path), bytes=path.stat().st_size)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _what_changed(path: Path, record: FileRecord) -> str:
    if _size(path) is None:
        return "missing"
    if _size(path) != record.bytes:
        return f"has {_size(path)} bytes instead of {record.bytes}"
    return "" if file_digest(path) == record.sha256 else f"its bytes changed: sha256 is not {record.sha256[:12]}…"
