import hashlib
import itertools
import os
import random
import shutil
import time
from pathlib import Path

import pytest

from imprint.corpus import DOMAINS, collect_machine_text, machine_roots
from imprint.corpus import collect as collecting
from imprint.errors import ConfigError, CorpusError

WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "in",
    "silence",
    "near",
    "old",
    "quartz",
    "mines",
]


def prose(rng: random.Random, size: int) -> str:
    out = ""
    while len(out) < size:
        out += " ".join(rng.choices(WORDS, k=12)) + rng.choice([".\n", ".\n\n"])
    return out


def plant(root: Path, names: list[str], *, size: int = 3000) -> None:
    """Files of every natural domain below `root`, their text a function of their names alone."""
    for name in names:
        rng = random.Random(name)
        for suffix in ("h", "html", "json"):
            write(root / "pkg" / f"{name}.{suffix}", prose(rng, size))
        for part in range(4):  # half of the modules (by content) give code, the others docstrings
            write(root / "pkg" / f"{name}_{part}.py", f'"""{prose(rng, size)}"""\nx_{name} = {part}\n')
        write(root / f"{name}-1.dist-info" / "METADATA", f"Name: {name}\nVersion: 1\n\n{prose(rng, size)}")
        write(root / f"{name}-1.dist-info" / "licenses" / "LICENSE", prose(rng, size))


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def machine(tmp_path) -> Path:
    plant(tmp_path / "m", [f"n{index}" for index in range(8)])
    return tmp_path / "m"


def collect(*roots: Path, size: int = 8000, **options: object):
    return collect_machine_text(bytes_per_domain=size, seed=0, roots=roots, **options)


def test_all_domains_are_filled_to_the_size_asked(machine):
    ticks: list[int] = []
    found = collect(machine, progress=ticks.append)
    assert found.domains == tuple(sorted(DOMAINS))
    assert sum(ticks) == len(DOMAINS)
    for part in found.by_domain().values():
        size = sum(len(document.text.encode()) for document in part)
        assert 8000 <= size < 8000 + 2000
        assert all(len(document.text.encode()) <= 2000 for document in part)


def test_digest_ignores_times_listing_order_and_place(machine, tmp_path, monkeypatch):
    first = collect(machine)
    for path in machine.rglob("*"):
        os.utime(path, (1, 1))
    assert collect(machine).digest == first.digest
    shutil.copytree(machine, tmp_path / "far" / "away")
    assert collect(tmp_path / "far" / "away").digest == first.digest
    walk = os.walk

    def reversed_walk(root: Path):
        for folder, below, names in walk(root):
            below.reverse()
            yield folder, below, names[::-1]

    monkeypatch.setattr(collecting, "_FILES_LISTED", 60)
    capped = collect(machine, size=30_000, required_domains=1, warn=lambda _: None)
    monkeypatch.setattr(os, "walk", reversed_walk)
    assert collect(machine, size=30_000, required_domains=1, warn=lambda _: None).digest == capped.digest
    monkeypatch.undo()
    assert collect(machine, size=30_000, required_domains=1).digest != capped.digest


def test_seed_changes_the_choice_and_content_the_digest(machine):
    first = collect(machine)
    other = collect_machine_text(bytes_per_domain=8000, seed=1, roots=[machine])
    assert {document.text for document in other} != {document.text for document in first}
    chosen = next(document for document in first if document.domain == "c headers")
    path = Path(chosen.source)
    path.write_text(path.read_text().replace("the", "THE"))
    assert collect(machine).digest != first.digest


def test_no_text_occurs_twice_even_across_domains(machine):
    shutil.copytree(machine / "pkg", machine / "copy")
    for index in range(30):
        write(machine / "more" / f"{index}.md", prose(random.Random("same"), 1500))
        write(machine / "more" / f"{index}.h", prose(random.Random("same"), 1500))
    texts = [document.text for document in collect(machine, size=40_000)]
    assert len(texts) > 50
    assert len(set(texts)) == len(texts)


def test_every_file_gives_a_piece_before_any_gives_two(tmp_path):
    write(tmp_path / "big.h", prose(random.Random(0), 60_000))
    for index in range(10):
        write(tmp_path / f"small{index}.h", prose(random.Random(index + 1), 900))
    found = collect(tmp_path, size=14_000, required_domains=1, warn=lambda _: None)
    assert len({document.source for document in found}) == 11


def docstring_module(source: str) -> str:
    """`source` with a comment that puts it among the modules whose docstrings are taken."""
    variants = (f"{source}\n# {number}\n" for number in itertools.count())
    return next(text for text in variants if hashlib.sha256(text.encode()).digest()[0] % 2 == 1)


def test_what_cannot_be_read_is_passed_over(machine):
    expected = collect(machine, size=30_000).digest
    write(machine / "pkg" / "bin.h", b"int x;\x00" * 400)
    write(machine / "pkg" / "latin.html", b"caf\xe9 " * 400)
    write(machine / "pkg" / "huge.json", "[1, 2]\n" * 100_000)
    write(machine / "pkg" / "short.md", "too short to be a piece")
    write(machine / "pkg" / "empty.md", "")
    write(machine / "pkg" / "broken.py", docstring_module(f'"""{prose(random.Random(0), 900)}"""\ndef (:'))
    write(machine / "pkg" / "deep.py", docstring_module(f'"""{prose(random.Random(1), 900)}"""\n' + "(" * 5000))
    (machine / "pkg" / "loop.h").symlink_to(machine / "pkg" / "loop.h")
    (machine / "pkg" / "up").symlink_to(machine)
    os.mkfifo(machine / "pkg" / "pipe.h")
    assert collect(machine, size=30_000).digest == expected
    write(machine / "pkg" / "sound.py", docstring_module(f'"""{prose(random.Random(2), 900)}"""\nx = 1'))
    assert collect(machine, size=30_000).digest != expected


def test_docstrings_of_classes_and_functions_come_in_order(tmp_path):
    names = ["module", "C", "C.f", "C.f.g", "h"]
    texts = dict(zip(names, (prose(random.Random(name), 300).strip() for name in names), strict=True))
    quoted = {name: f'"""{text}"""' for name, text in texts.items()}
    source = (
        f"{quoted['module']}\nclass C:\n  {quoted['C']}\n  def f(self):\n    {quoted['C.f']}\n"
        f"    async def g(): {quoted['C.f.g']}\ndef h(): {quoted['h']}\ndef bare(): return 'a string'"
    )
    write(tmp_path / "m.py", docstring_module(source))
    found = collect(tmp_path, size=4000, required_domains=1, warn=lambda _: None)
    assert found.domains == ("docstrings",)
    whole = "".join(
        sorted((d.text for d in found), key=lambda text: "\n\n".join(texts.values()).find(text.strip()[:60]))
    )
    assert [whole.find(text[:60]) for text in texts.values()] == sorted(
        whole.find(text[:60]) for text in texts.values()
    )
    assert all(text[:60] in whole for text in texts.values())


def test_unreadable_files_are_passed_over(machine, monkeypatch):
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.suffix == ".html":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    warnings: list[str] = []
    found = collect(machine, warn=warnings.append)
    assert set(found.domains) == set(DOMAINS) - {"documentation"}
    assert warnings == ["domain 'documentation' is left out: only 0 of 8000 bytes were found on this machine."]


def test_our_own_metadata_and_nested_installations_are_not_text(machine):
    expected = collect(machine, size=30_000).digest
    write(machine / "imprint-0.1.0.dist-info" / "METADATA", "Name: imprint\n\n" + prose(random.Random(5), 4000))
    write(machine / "lib" / "site-packages" / "x.h", prose(random.Random(6), 4000))
    write(machine / "__editable___imprint_finder.py", f'"""{prose(random.Random(7), 4000)}"""')
    write(machine / ".git" / "x.h", prose(random.Random(8), 4000))
    assert collect(machine, size=30_000, warn=lambda _: None).digest == expected


def test_python_text_is_code_or_docstrings_never_both(machine):
    parts = collect(machine, size=30_000, required_domains=1).by_domain()
    code, docs = ({Path(document.source).name for document in parts[name]} for name in ("python code", "docstrings"))
    assert code
    assert docs
    assert not code & docs
    assert not any('"""' in document.text for document in parts["docstrings"])


def test_metadata_gives_its_description_without_the_header(machine):
    part = collect(machine, size=30_000, required_domains=1).by_domain()["package descriptions"]
    assert len({document.source for document in part}) == 8
    assert not any("Version:" in document.text for document in part)


def test_too_few_domains_are_named(tmp_path):
    plant(tmp_path / "m", ["a", "b", "c", "d"])
    for path in [*tmp_path.rglob("*.json"), *tmp_path.rglob("*.html"), *tmp_path.rglob("LICENSE")]:
        path.unlink()
    with pytest.raises(CorpusError, match=r"only 4 of the 5 .*documentation \(0 of 8000 bytes\), data files \(0 of"):
        collect(tmp_path / "m", warn=lambda _: None)
    with pytest.raises(CorpusError, match="only 0 of the 5"):
        collect(warn=lambda _: None)


def test_a_size_below_one_is_refused():
    with pytest.raises(ConfigError, match="bytes_per_domain=0"):
        collect(size=0)


def test_this_machine_has_five_domains_at_once_and_again():
    begin = time.process_time()
    first = collect_machine_text(bytes_per_domain=60_000, seed=0, warn=lambda _: None)
    assert time.process_time() - begin < 10
    assert len(first.domains) >= 5
    assert collect_machine_text(bytes_per_domain=60_000, seed=0, warn=lambda _: None).digest == first.digest
    assert all(root.is_dir() for root in machine_roots())
