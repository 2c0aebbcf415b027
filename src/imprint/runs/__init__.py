"""Steps, their recipes, the store of their results, and who computes them.

A `Step` is one kind of computation with its hyper-parameters. Its key commits to everything that the result depends
on: fields with defaults, the steps it builds on, source code, library versions. A `Store` keeps one folder a key.

>>> class Square(Step):
...     number: int
...
...     def execute(self, folder: Path, context: Context) -> None:
...         write_json(folder / "square.json", self.number**2)
>>> folder = Store(Path("runs")).get(Square(number=3))  # doctest: +SKIP
"""

from imprint.runs.code import source_digest, source_digests
from imprint.runs.digests import canonical_json, content_digest, digest, file_digest, tree_digest
from imprint.runs.executor import Executor, LocalExecutor, compute
from imprint.runs.files import atomic_file, read_json, write_bytes_atomic, write_json, writing
from imprint.runs.manifest import Entry, FileRecord, Manifest, Problem
from imprint.runs.progress import Reporter, silent
from imprint.runs.ray_executor import RayExecutor
from imprint.runs.recipe import Step, versions
from imprint.runs.seeds import derive
from imprint.runs.store import Context, Store

__all__ = [
    "Context",
    "Entry",
    "Executor",
    "FileRecord",
    "LocalExecutor",
    "Manifest",
    "Problem",
    "RayExecutor",
    "Reporter",
    "Step",
    "Store",
    "atomic_file",
    "canonical_json",
    "compute",
    "content_digest",
    "derive",
    "digest",
    "file_digest",
    "read_json",
    "silent",
    "source_digest",
    "source_digests",
    "tree_digest",
    "versions",
    "write_bytes_atomic",
    "write_json",
    "writing",
]
