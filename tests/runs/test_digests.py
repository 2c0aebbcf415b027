import hashlib
import math
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imprint.errors import ImprintError
from imprint.runs import canonical_json, content_digest, digest, file_digest, tree_digest

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars, lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(), child, max_size=3), max_leaves=6
)


def test_digest_is_the_sha256_of_the_canonical_text():
    assert canonical_json({"b": (1, 2.5), "a": "é"}) == '{"a":"\\u00e9","b":[1,2.5]}'
    assert digest({}) == hashlib.sha256(b"{}").hexdigest()


@settings(max_examples=30, deadline=None)
@given(values)
def test_key_order_does_not_matter(value):
    def reverse(node):
        if isinstance(node, dict):
            return {key: reverse(child) for key, child in reversed(node.items())}
        return [reverse(child) for child in node] if isinstance(node, list) else node

    assert digest(reverse(value)) == digest(value)


@pytest.mark.parametrize(
    ("left", "right"), [(1, 1.0), (1, True), (0, None), ("1", 1), ([1], [[1]]), (0.1, math.nextafter(0.1, 1))]
)
def test_different_values_have_different_digests(left, right):
    assert digest(left) != digest(right)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [1.0, math.nan]}, "value.a[1] is nan"),
        ({"a": math.inf}, "value.a is inf"),
        ({3: 1}, "value has the key 3"),
        ([object()], "value[0] is a object"),
        ([Path("x")], "value[0] is a PosixPath"),
    ],
)
def test_what_json_cannot_hold_is_named_with_its_place(value, words):
    with pytest.raises(ImprintError) as error:
        digest(value)
    assert words in str(error.value)


def test_file_and_tree_digests_follow_content_and_names(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / ".hidden").write_bytes(b"x")
    assert file_digest(tmp_path / "one/sub/.hidden") == hashlib.sha256(b"x").hexdigest()
    assert tree_digest(tmp_path / "one") == tree_digest(tmp_path / "two")
    (tmp_path / "two/sub/.hidden").rename(tmp_path / "two/sub/other")
    assert tree_digest(tmp_path / "one") != tree_digest(tmp_path / "two")


def test_tree_digest_enters_links_and_survives_a_loop(tmp_path):
    tree, elsewhere = tmp_path / "tree", tmp_path / "elsewhere"
    tree.mkdir()
    elsewhere.mkdir()
    (elsewhere / "weights").write_bytes(b"1")
    (tree / "linked").symlink_to(elsewhere)
    (tree / "loop").symlink_to(tree)
    before = tree_digest(tree)
    (elsewhere / "weights").write_bytes(b"2")
    assert tree_digest(tree) != before


def test_an_edited_input_is_hashed_again_even_within_one_tick(tmp_path):
    path = tmp_path / "input"
    path.write_bytes(b"1")
    before = content_digest(path)
    path.write_bytes(b"2")
    assert content_digest(path) != before


def test_an_old_input_is_hashed_once(tmp_path, monkeypatch):
    path = tmp_path / "input"
    path.write_bytes(b"1")
    old = time.time() - 100
    os.utime(path, (old, old))
    first = content_digest(path)
    monkeypatch.setattr("imprint.runs.digests.file_digest", lambda path: pytest.fail("hashed again"))
    assert content_digest(path) == first
