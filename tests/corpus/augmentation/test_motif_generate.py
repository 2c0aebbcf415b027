import re
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motif_schemas import LOG, WORD, generators, schema

from imprint.corpus.augmentation import MotifSchema, synthetic_documents, synthetic_rows
from imprint.corpus.augmentation.alphabets import Characters, Tokens, draw_text
from imprint.corpus.augmentation.interpret import Writer, write
from imprint.corpus.augmentation.parts import Slot
from imprint.corpus.structure import TIMESTAMP, UUID
from imprint.errors import ConfigError


def text_of(part, *, seed=0, cap=2000):
    out = Writer(alphabet=Characters(), rng=Random(seed), cap=cap)
    write(schema(part).motifs[0].write, out, {})
    return "".join(map(chr, out.symbols))


@settings(max_examples=150, deadline=None)
@given(generators, st.integers(0, 5), st.integers(1, 60))
def test_caps_hold_and_seeds_decide(part, seed, cap):
    text = text_of(part, seed=seed, cap=cap)
    assert len(text) <= cap
    assert text == text_of(part, seed=seed, cap=cap)


@settings(max_examples=60, deadline=None)
@given(generators, st.integers(0, 5))
def test_every_binding_is_reused_verbatim(part, seed):
    """Marks around each reuse show that what is bound once is written the same every time."""
    mark = {"kind": "literal", "text": "☞"}
    again = {"kind": "sequence", "items": [mark, {"kind": "reuse", "name": "kept"}]}
    whole = {
        "kind": "sequence",
        "items": [
            {"kind": "bind", "name": "kept", "item": part, "silent": True},
            {"kind": "repeat", "item": again, "count": [3, 5]},
        ],
    }
    values = text_of(whole, seed=seed, cap=60_000).split("☞")[1:]
    assert 3 <= len(values) <= 5
    assert len(set(values)) == 1


def test_a_template_draws_each_variable_once():
    part = {"kind": "template", "text": "{a}|{b}|{a}|{{a}}", "variables": {"a": WORD, "b": WORD}}
    first, other, again, braces = text_of(part).split("|")
    assert first == again != other
    assert braces == "{a}"


def test_echo_brings_a_segment_back_at_random_distances():
    part = {
        "kind": "sequence",
        "items": [
            {"kind": "bind", "name": "s", "item": {"kind": "slot", "of": "integer", "length": [12, 12]}},
            {"kind": "echo", "name": "s", "count": [4, 4], "gap": [2, 30], "filler": {"kind": "literal", "text": "."}},
        ],
    }
    text = text_of(part)
    segment = text[:12]
    places = [match.start() for match in re.finditer(segment, text)]
    gaps = np.diff(places) - 12
    assert len(places) == 5
    assert gaps.min() >= 2
    assert gaps.max() <= 30
    assert len({text_of(part, seed=seed).count(".") for seed in range(8)}) > 4


def test_nest_closes_what_it_opens():
    part = {"kind": "nest", "name": WORD, "leaf": {"kind": "literal", "text": "x"}, "depth": [3, 3], "children": [2, 2]}
    text, stack, deepest = text_of(part), [], 0
    for closing, name in re.findall(r"<(/?)(\w+)>", text):
        if closing:
            assert stack.pop() == name
        else:
            stack.append(name)
            deepest = max(deepest, len(stack))
    assert not stack
    assert deepest == 3
    assert text.count("x</") == 4


def test_records_keep_their_keys():
    part = {"kind": "records", "key": WORD, "value": {"kind": "slot", "of": "integer"}, "keys": [3, 3], "rows": [5, 5]}
    rows = [re.findall(r"(\w+)=(\d+)", line) for line in text_of(part).splitlines()]
    assert [[key for key, _ in row] for row in rows] == [[key for key, _ in rows[0]]] * 5
    assert len({tuple(value for _, value in row) for row in rows}) == 5


def test_copies_follow_the_tape():
    digits = {"kind": "slot", "of": "integer", "length": [1, 1]}
    text = text_of({"kind": "copies", "fresh": digits, "tapes": [[[10, 10, 25], [3, 38, 10], [2, 0, 0]]]})
    assert len(text) == 10 + 25 + 3 + 10 + 2
    assert text[10:35] == (text[:10] * 3)[:25]
    assert text[38:48] == text[:10]


def test_a_copy_from_before_the_beginning_takes_what_there_is():
    digits = {"kind": "slot", "of": "integer", "length": [1, 1]}
    text = text_of({"kind": "copies", "fresh": digits, "tapes": [[[0, 5, 5], [3, 500, 6]]]})
    assert text == text[:3] * 3


@pytest.mark.parametrize(
    ("of", "shape"),
    [
        ("word", "[a-z]{3,8}"),
        ("identifier", r"[A-Za-z]\w{2,7}"),
        ("integer", r"[1-9]\d{2,7}"),
        ("hex", "[0-9a-f]{3,8}"),
        ("base64", "[A-Za-z0-9+/]{3,8}"),
        ("uuid", UUID),
        ("timestamp", TIMESTAMP),
        ("ip", r"(\d{1,3}\.){3}\d{1,3}"),
        ("characters", "[!-~]{3,8}"),
    ],
)
def test_slots_look_like_their_type(of, shape):
    rng = Random(0)
    values = [draw_text(Slot(of=of), rng) for _ in range(200)]
    assert all(re.fullmatch(shape, value) for value in values)
    assert len(set(values)) > 150


def test_weights_are_frequencies():
    part = {"kind": "slot", "of": "pool", "pool": ["a", "b"], "weights": [3, 1]}
    text = text_of({"kind": "repeat", "item": part, "count": [1000, 1000]})
    assert text.count("a") == pytest.approx(750, abs=60)
    both = schema({"kind": "literal", "text": "x"}, {"kind": "literal", "text": "y"}, weights=[1, 9])
    kinds = [document.text for document in synthetic_documents(both, 400, 0)]
    assert kinds.count("y") == pytest.approx(360, abs=25)


def test_documents_are_the_same_however_many_are_made():
    ten = synthetic_documents(schema(LOG, WORD), 10, 7)
    assert synthetic_documents(schema(LOG, WORD), 3, 7) == ten[:3]
    assert synthetic_documents(schema(LOG, WORD), 4, 7, first=6) == ten[6:]
    assert [one.text for one in synthetic_documents(schema(LOG, WORD), 10, 8)] != [one.text for one in ten]
    assert len({one.id for one in ten}) == 10
    assert {one.domain for one in ten} <= {"synthetic/m0", "synthetic/m1"}


def test_bindings_differ_between_documents():
    hosts = {document.text.split()[2] for document in synthetic_documents(schema(LOG), 30, 0)}
    assert len(hosts) == 30


def explosive(of="word"):
    part = {"kind": "slot", "of": of, "length": [60_000, 65_536]}
    for _ in range(8):
        part = {"kind": "repeat", "item": part, "count": [1000, 1000]}
    return part


@pytest.mark.parametrize("silent", [False, True])
def test_a_bomb_stays_small(silent):
    part = explosive("hex")
    if silent:
        part = {
            "kind": "repeat",
            "count": [1000, 1000],
            "item": {"kind": "bind", "name": "x", "item": part, "silent": True},
        }
    out = Writer(alphabet=Characters(), rng=Random(0), cap=100)
    write(schema(part).motifs[0].write, out, {})
    assert len(out.symbols) <= 100
    assert out.visits <= out.most_visits + 3_000


def test_a_motif_that_writes_nothing_is_named():
    empty = schema({"kind": "repeat", "item": {"kind": "literal", "text": ""}, "count": [2, 2]})
    with pytest.raises(ConfigError, match="motif 'm0' wrote no usable text"):
        synthetic_documents(empty, 1, 0)
    with pytest.raises(ConfigError, match="motif 'm0' wrote too little"):
        synthetic_rows(empty, 1, 0, length=8, vocabulary=9)
    with pytest.raises(ConfigError, match="motif 'm0' wrote no usable text"):
        synthetic_documents(schema({"kind": "literal", "text": "a\0b"}), 1, 0)


@pytest.mark.parametrize("wrong", [{"count": -1}, {"most_characters": 0}, {"most_characters": 65_537}])
def test_sizes_out_of_range(wrong):
    arguments = {"count": 1, "most_characters": 10} | wrong
    with pytest.raises(ConfigError, match="cannot write"):
        synthetic_documents(schema(WORD), arguments["count"], 0, most_characters=arguments["most_characters"])


def test_no_motifs_no_documents():
    with pytest.raises(ConfigError, match="has no motifs"):
        synthetic_documents(MotifSchema(motifs=()), 1, 0)


def test_rows_are_full_and_in_the_vocabulary():
    tokens, names = synthetic_rows(schema(LOG, WORD), 30, 3, length=65, vocabulary=50, first_id=1)
    assert tokens.shape == (30, 65)
    assert tokens.min() >= 1
    assert tokens.max() <= 50
    assert set(names) == {"m0", "m1"}
    again, _ = synthetic_rows(schema(LOG, WORD), 10, 3, length=65, vocabulary=50, first_id=1)
    assert np.array_equal(again, tokens[:10])
    with pytest.raises(ConfigError, match="vocabulary of 2 or more"):
        synthetic_rows(schema(WORD), 1, 0, length=8, vocabulary=1)


def test_constants_have_one_id_and_bindings_come_back_in_rows():
    tokens = Tokens(vocabulary=1000, seed=1)
    assert tokens.constant("to be or not to be")[:3] == tokens.constant("to be")
    part = {
        "kind": "sequence",
        "items": [
            {"kind": "bind", "name": "s", "item": {"kind": "slot", "of": "characters", "length": [6, 6]}},
            {"kind": "reuse", "name": "s"},
        ],
    }
    rows, _ = synthetic_rows(schema(part), 5, 0, length=12, vocabulary=64)
    assert np.array_equal(rows[:, :6], rows[:, 6:])
    assert len({tuple(row) for row in rows}) == 5
