"""Which source code a step depends on, and its digest: a changed constant in a helper changes the step's key.

The closure starts at the module that defines the step and follows every import statement in it, also those inside
functions and under `TYPE_CHECKING`, through the project's own modules: `imprint`, and the user's modules outside
site-packages. A module brings the packages that hold it, so whatever a package's `__init__` imports counts too:
too much rather than too little. Only imprint's own front door is not followed when it is merely passed through;
`from imprint import name` follows the module that defines `name`. Installed third-party code is named by its version.

Trust: data read from disk count if they lie inside an imprint package or are declared as a `Path` field of the step.
A module imported under a name computed at run time, and a value changed in memory (monkeypatching), are not seen.
"""

import ast
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from imprint.errors import ConfigError
from imprint.runs.digests import digest, file_digest

_DOOR = "imprint"
_WHOLE_DOOR = "imprint.*"
_STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"]
_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """One module as this process loaded it, or will load it."""

    origin: Path | None
    signature: tuple[int, int] | None
    sha256: str
    imports: frozenset[str]
    data: dict[str, str]
    """Digests of the other files in an imprint package."""


_sources: dict[str, tuple[ModuleSpec | None, _Source | None]] = {}


def source_digest(module_name: str) -> str:
    """The digest of the source of a module and of all the project's own modules that it imports, transitively.

    A loaded module is read when first asked for (imprint asks when a step class is defined) and again only after it
    was reloaded, so the digest names the code that runs, also when the file is edited during a long run.
    Raises ConfigError for code that no file holds (`__main__`, a notebook, `exec`).
    """
    return digest(source_digests(module_name))


def source_digests(module_name: str) -> dict[str, str]:
    """The closure behind `source_digest`: module name (or `package/data file`) to sha256."""
    found: dict[str, str] = {}
    waiting = {module_name, *_ancestors(module_name)}
    while waiting:
        name = waiting.pop()
        source = None if name in found or not _is_own(name, module_name) else _source(name)
        if source is not None:
            found |= {name: source.sha256, **source.data}
            waiting |= _followed(name, source)
    if module_name not in found:
        raise ConfigError(
            f"the code of module {module_name!r} is in no file that can be found, so its results cannot be named: "
            "define the step in a .py file that can be imported"
        )
    return found


def _followed(name: str, source: _Source) -> set[str]:
    if name == _DOOR:
        return set()
    if _WHOLE_DOOR in source.imports:
        return {*source.imports, *_whole_package()} - {_WHOLE_DOOR}
    return set(source.imports)


def _source(name: str) -> _Source | None:
    loaded = getattr(sys.modules.get(name), "__spec__", None)
    if name not in _sources or _sources[name][0] is not loaded or (loaded is None and _was_edited(_sources[name][1])):
        _sources[name] = (loaded, _read(name))
    return _sources[name][1]


def _was_edited(source: _Source | None) -> bool:
    return source is not None and _signature(source.origin) != source.signature


def _signature(path: Path | None) -> tuple[int, int] | None:
    status = path.stat() if path is not None and path.is_file() else None
    return None if status is None else (status.st_mtime_ns, status.st_size)


def _read(name: str) -> _Source | None:
    spec = _find(name)
    if spec is None or name == "__main__":
        return None
    origin = Path(spec.origin) if spec.has_location and spec.origin is not None else None
    signature = _signature(origin)
    text = b"" if origin is None else origin.read_bytes()
    locations = spec.submodule_search_locations
    if origin is None and locations is None:
        return None
    is_python = origin is not None and origin.suffix == ".py"
    return _Source(
        origin=origin,
        signature=signature,
        sha256=hashlib.sha256(text).hexdigest(),
        imports=frozenset(_imports(name, text, is_package=locations is not None) if is_python else ()),
        data=_data_digests(name, [Path(location) for location in locations or ()]),
    )


def _find(name: str) -> ModuleSpec | None:
    """Where a module is, without importing anything."""
    loaded = getattr(sys.modules.get(name), "__spec__", None)
    if isinstance(loaded, ModuleSpec):
        return loaded
    parent, _, _ = name.rpartition(".")
    if not parent:
        return None if name in sys.modules else importlib.util.find_spec(name)
    package = _find(parent)
    locations = package.submodule_search_locations if package is not None else None
    return PathFinder.find_spec(name, locations) if locations else None


def _is_own(name: str, root: str) -> bool:
    top = name.partition(".")[0]
    return top in (_DOOR, root.partition(".")[0]) or _is_users(top)


@cache
def _is_users(top: str) -> bool:
    """Whether a top-level module is neither built in, nor of the standard library, nor installed."""
    spec = _find(top)
    places = [] if spec is None else [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.origin else [])]
    paths = [Path(place) for place in places if place not in ("built-in", "frozen")]
    return bool(paths) and not any(
        path.is_relative_to(_STANDARD_LIBRARY) or any(part in _INSTALLED for part in path.parts) for path in paths
    )


def _ancestors(name: str) -> list[str]:
    """The packages that hold a module, but imprint's front door only when the module is the door itself."""
    parts = name.split(".")
    names = [".".join(parts[:length]) for length in range(1, len(parts))]
    return [ancestor for ancestor in names if ancestor != _DOOR]


def _imports(name: str, text: bytes, *, is_package: bool) -> Iterator[str]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # never imported, so it can import nothing; its bytes count all the same
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _named_module(alias)
        elif isinstance(node, ast.ImportFrom):
            yield from _named_objects(_absolute(node, name, is_package=is_package), node.names)
        elif isinstance(node, ast.Call):
            yield from _imported_by_call(node)


def _named_module(alias: ast.alias) -> Iterator[str]:
    yield from (alias.name, *_ancestors(alias.name))
    if alias.name.partition(".")[0] == _DOOR and (alias.asname is None or alias.name == _DOOR):
        yield _WHOLE_DOOR  # `import imprint` puts everything behind the door within reach


def _named_objects(module: str, aliases: list[ast.alias]) -> Iterator[str]:
    yield from (module, *_ancestors(module))
    for alias in aliases:
        if module != _DOOR:
            yield f"{module}.{alias.name}"  # in case it is a module; an attribute is found nowhere and ignored
        elif _find(f"{_DOOR}.{alias.name}") is not None:
            yield f"{_DOOR}.{alias.name}"
        else:
            yield from _behind_door(alias.name)


def _imported_by_call(node: ast.Call) -> Iterator[str]:
    function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    first = node.args[0] if node.args else None
    if function in ("import_module", "__import__") and isinstance(first, ast.Constant) and isinstance(first.value, str):
        yield from (first.value, *_ancestors(first.value))


def _absolute(node: ast.ImportFrom, name: str, *, is_package: bool) -> str:
    if node.level == 0:
        return node.module or ""
    parts = name.split(".")
    base = parts[: len(parts) - node.level + is_package]
    return ".".join([*base, *([node.module] if node.module else [])])


def _behind_door(wanted: str) -> Iterator[str]:
    """The module from which imprint's `__init__` takes a name; everything if the file does not show it."""
    spec = _find(_DOOR)
    assert spec is not None
    assert spec.origin is not None
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        if isinstance(node, ast.ImportFrom) and wanted in {alias.asname or alias.name for alias in node.names}:
            module = _absolute(node, _DOOR, is_package=True)
            yield from (module, *_ancestors(module))
            return
    yield _WHOLE_DOOR


def _whole_package() -> Iterator[str]:
    spec = _find(_DOOR)
    assert spec is not None
    for location in spec.submodule_search_locations or ():
        for path in Path(location).rglob("*.py"):
            parts = path.relative_to(location).with_suffix("").parts
            yield ".".join([_DOOR, *(part for part in parts if part != "__init__")])


def _data_digests(name: str, folders: list[Path]) -> dict[str, str]:
    """Files that are not code but lie in an imprint package, such as built-in task items."""
    if not name.startswith(f"{_DOOR}."):
        return {}
    files = ((folder, path) for folder in folders for path in folder.rglob("*") if path.is_file())
    return {
        f"{name}/{path.relative_to(folder).as_posix()}": file_digest(path)
        for folder, path in files
        if not _is_byproduct(path)
    }


def _is_byproduct(path: Path) -> bool:
    return path.suffix in (".py", ".pyc", ".pyi") or path.name.startswith(".") or path.name.endswith("~")
