import json

import pytest

from imprint.errors import ImprintError, IntegrityError
from imprint.runs import Manifest, digest
from imprint.runs.manifest import check_folder, looks_complete, read_manifest, result_files, seal_folder

RECIPE = {"step": "m.S", "fields": {"rate": 0.1, "big": 2**70, "text": "é\ud800"}}
KEY = digest(RECIPE)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.bin").write_bytes(b"abc")
    (tmp_path / ".hidden").write_bytes(b"")
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "state").write_bytes(b"x")
    (tmp_path / ".a.1-1.partial.npy").write_bytes(b"half")
    manifest = Manifest(
        key=KEY, step="m.S", recipe=RECIPE, upstream=("u",), files={}, seconds=1.5, cpu_seconds=0.1, resumed=False,
        created="2025-01-01T00:00:00.000+00:00", versions={"python": "3.11"}, warnings=("w",),
    )  # fmt: skip
    seal_folder(tmp_path, manifest)
    (tmp_path / "scratch" / "state").unlink()
    (tmp_path / "scratch").rmdir()
    (tmp_path / ".a.1-1.partial.npy").unlink()
    return tmp_path


def test_a_sealed_folder_is_complete_and_its_manifest_reads_back(folder):
    manifest = read_manifest(folder, KEY)
    assert set(manifest.files) == {"sub/a.bin", ".hidden"}
    assert manifest.files["sub/a.bin"].bytes == 3
    assert manifest.recipe == RECIPE
    assert looks_complete(folder, KEY)
    assert check_folder(folder, KEY) == []


def test_any_flipped_bit_in_the_manifest_is_found(folder):
    path = folder / "manifest.json"
    good = path.read_bytes()
    missed = []
    for position in range(0, len(good), 7):
        flipped = bytearray(good)
        flipped[position] ^= 1
        path.write_bytes(flipped)
        if not check_folder(folder, KEY):
            missed.append(good[position : position + 1])
    # Only white space between the parts may change (a space becomes "!", which is not JSON; a newline a tab or so).
    assert set(missed) <= {b"\n", b" "}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"key": "x"}', "\x00" * 100])
def test_a_corrupt_manifest_is_an_integrity_error(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(IntegrityError, match=r"manifest\.json"):
        read_manifest(folder, KEY)
    assert not looks_complete(folder, KEY)


def test_a_missing_or_foreign_manifest_is_an_integrity_error(folder):
    with pytest.raises(IntegrityError, match="of another step"):
        read_manifest(folder, "0" * 64)
    (folder / "manifest.json").unlink()
    with pytest.raises(IntegrityError, match="missing"):
        read_manifest(folder, KEY)


def test_an_edited_recipe_is_found_even_when_resealed(folder):
    manifest = read_manifest(folder, KEY)
    forged = manifest.model_copy(update={"recipe": {**RECIPE, "fields": {}}}).sealed()
    (folder / "manifest.json").write_text(json.dumps(forged.model_dump(mode="json")))
    assert not looks_complete(folder, KEY)


def test_check_tells_changed_missing_and_unexpected_files_apart(folder):
    (folder / "sub" / "a.bin").write_bytes(b"abd")
    assert looks_complete(folder, KEY)  # quick, so blind to this
    (folder / ".hidden").unlink()
    (folder / "extra").write_bytes(b"")
    found = {problem.file: problem.what for problem in check_folder(folder, KEY)}
    assert set(found) == {"sub/a.bin", ".hidden", "extra"}
    assert "its bytes changed" in found["sub/a.bin"]
    assert found[".hidden"] == "missing"
    assert "not in the manifest" in found["extra"]
    (folder / "sub" / "a.bin").write_bytes(b"ab")
    assert "2 bytes instead of 3" in {p.file: p.what for p in check_folder(folder, KEY)}["sub/a.bin"]
    assert not looks_complete(folder, KEY)


def test_links_are_refused_because_they_hold_paths_of_the_machine(tmp_path):
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(ImprintError, match="'link', a link"):
        list(result_files(tmp_path))
