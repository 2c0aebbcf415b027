import json

import pytest
from hypothesis import given, settings
from motif_schemas import LOG, WORD, generators, schema
from pydantic import ValidationError

from imprint.corpus.augmentation import MotifSchema, parse_schema, read_schema, schema_json
from imprint.corpus.augmentation.parts import KINDS, MAX_MOVES
from imprint.errors import ConfigError


def motif(write, name="logs"):
    return {"motifs": [{"name": name, "write": write}]}


def nested(depth):
    part = {"kind": "literal", "text": "x"}
    for _ in range(depth - 1):
        part = {"kind": "repeat", "item": part, "count": [1, 2]}
    return part


BOUND = {"kind": "bind", "name": "host", "item": WORD}

WRONG = [
    (motif({"kind": "slot", "of": "wrd"}), r"motif 0 \('logs'\), field write.of: 'wrd' .* did you mean 'word'\?"),
    (motif({"kind": "slot", "of": "word", "lenght": [1, 2]}), r"write.lenght: unknown key; did you mean 'length'\?"),
    (motif({"kind": "sloot"}), r"no generator of kind 'sloot'; did you mean 'slot'\?"),
    (motif({}), 'an object with a key "kind", one of literal, slot'),
    (motif({"kind": "slot", "of": "word", "length": [9, 1]}), r"write.length: \[9, 1\] runs backwards"),
    (motif({"kind": "slot", "of": "word", "length": [0, 10**9]}), r"write.length\[1\]: .*65536, not 1000000000"),
    (motif({"kind": "slot", "of": "pool"}), "a pool needs entries"),
    (motif({"kind": "slot", "of": "word", "pool": ["a"]}), "a pool needs entries"),
    (motif({"kind": "choice", "options": [WORD], "weights": [1, 2]}), "2 weights for 1 options"),
    (motif({"kind": "choice", "options": [WORD], "weights": [0]}), "all weights are 0"),
    (motif({"kind": "choice", "options": []}), "field write.options: "),
    (motif({"kind": "repeat", "item": WORD, "count": [1, 5000]}), r"write.count\[1\]: .*1000, not 5000"),
    (motif({"kind": "sequence", "items": [WORD, {"kind": "reuse", "name": "hots"}]}), "'hots', which is not bound"),
    (
        motif({"kind": "sequence", "items": [BOUND, {"kind": "reuse", "name": "hots"}]}),
        r"'hots', which is not bound before it; did you mean 'host'\?",
    ),
    (motif({"kind": "sequence", "items": [{"kind": "reuse", "name": "host"}, BOUND]}), "not bound before it"),
    (motif({"kind": "sequence", "items": [BOUND, BOUND]}), "the name 'host' is bound twice"),
    (
        motif(
            {"kind": "sequence", "items": [{"kind": "choice", "options": [BOUND]}, {"kind": "reuse", "name": "host"}]}
        ),
        "not bound before it",
    ),
    (motif({"kind": "template", "text": "{hots}", "variables": {"host": WORD}}), r"'hots'.*did you mean 'host'\?"),
    (motif({"kind": "template", "text": "x", "variables": {"host": WORD}}), r"no place .* write \{host\} in its text"),
    (motif({"kind": "template", "text": "a { b", "variables": {}}), "single brace at character 2"),
    (
        motif({"kind": "template", "text": "{x}", "variables": {"x": {"kind": "slot", "of": "wordd"}}}),
        r"field write.variables.x.of: 'wordd'",
    ),
    (motif({"kind": "copies", "fresh": WORD, "tapes": [[[1, 1, 1]] * (MAX_MOVES + 1)]}), "at most 20000"),
    (motif(nested(13)), "nested more than 12 deep"),
    (
        motif({"kind": "sequence", "items": [{"kind": "sequence", "items": [WORD] * 900}] * 3}),
        "more than 2000 generators",
    ),
    (motif(WORD, name="no spaces"), "field name: "),
    ({"motifs": [{"name": "a", "write": WORD}] * 2}, "two motifs are called 'a'"),
    ({"motifs": [{"name": f"a{n}", "write": WORD} for n in range(65)]}, "at most 64"),
    ({"motiffs": []}, r"field motiffs: unknown key; did you mean 'motifs'\?"),
    ({"version": 2, "motifs": []}, "field version: "),
    ({"motifs": [3]}, "motif 0, "),
    ([], "the motif schema: "),
]


@pytest.mark.parametrize(("value", "message"), WRONG)
def test_every_mistake_is_one_clear_sentence(value, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_schema(value)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ('{"motifs": [NaN]}', "NaN is not JSON"),
        ("[" * 100_000, "nests JSON more than"),
        ('{"a":' * 5_000, "nests JSON more than"),
        (" " * 2_000_001, "2000001 characters"),
    ],
)
def test_text_that_is_no_schema(text, message):
    with pytest.raises(ConfigError, match=message):
        read_schema(text, where="here")


def test_brackets_in_strings_are_no_nesting():
    read_schema(json.dumps(motif({"kind": "literal", "text": '[{"\\' * 200})))


@settings(max_examples=60, deadline=None)
@given(generators)
def test_a_schema_survives_json(write):
    whole = schema(write)
    assert read_schema(json.dumps(schema_json(whole))) == whole


def test_the_same_checks_hold_for_schemas_built_in_python():
    with pytest.raises(ValidationError, match="not bound before it"):
        MotifSchema.model_validate(motif({"kind": "reuse", "name": "x"}))
    assert schema(LOG).motifs[0].weight == 1
    with pytest.raises(ValidationError):
        schema(LOG).motifs[0].weight = 2


def test_strategy_knows_every_kind():
    assert set(KINDS) >= {"literal", "slot", "choice", "sequence", "repeat", "template", "nest", "records", "copies"}
