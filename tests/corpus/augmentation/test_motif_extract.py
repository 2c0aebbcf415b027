import json
import re

import numpy as np
import pytest
from motif_schemas import LOG, WORD, schema

from imprint.corpus import boilerplate, noise, novel_repeats
from imprint.corpus.augmentation import (
    ExtractOptions,
    excess_copies,
    extract_motifs,
    factorise,
    read_schema,
    repetition,
    schema_json,
    shared_segments,
    synthetic_documents,
    tape_motif,
)
from imprint.corpus.augmentation.parts import Bind, Constant, Slot
from imprint.corpus.augmentation.schema import MotifSchema, walk
from imprint.errors import ConfigError


def written(whole, count, seed=0, most=1200):
    return [document.text for document in synthetic_documents(whole, count, seed, most_characters=most)]


def prose(count, seed=0, words=150):
    """Words of a large vocabulary in random order: repetition of vocabulary, no structure."""
    rng = np.random.default_rng(seed)
    known = ["".join(rng.choice(list("etaoinshrdlu"), size)) for size in rng.integers(2, 9, 400)]
    ranks = 1 / np.arange(1, 401)
    return [" ".join(rng.choice(known, words, p=ranks / ranks.sum())) for _ in range(count)]


NEST = {
    "kind": "nest",
    "name": {"kind": "slot", "of": "pool", "pool": ["div", "table", "row", "cell"]},
    "leaf": {"kind": "slot", "of": "word", "length": [4, 8]},
    "depth": [3, 4],
    "children": [2, 4],
}
ENVIRONMENTS = NEST | {"opening": ["\\begin{", "}"], "closing": ["\\end{", "}"]}
BRACKETS = NEST | {
    "name": {"kind": "literal", "text": ""},
    "opening": ["(", ""],
    "closing": [")", ""],
    "children": [2, 6],
}
BRACKETS["leaf"] = {"kind": "slot", "of": "integer", "length": [1, 2]}


@pytest.mark.parametrize("texts", [prose(40), [d.text for d in noise(40, 600, np.random.default_rng(0))], [], [""] * 5])
def test_no_structure_no_motifs(texts):
    found = extract_motifs(texts)
    assert found.schema.motifs == ()
    assert (found.structured, found.documents) == (0, len(texts))


def test_a_planted_template_is_recovered():
    found = extract_motifs(written(schema(LOG), 25))
    assert [motif.name for motif in found.schema.motifs] == ["template-0"]
    assert len(found.evidence[0].documents) == 25
    parts = [part for part, _ in walk(found.schema.motifs[0].write)]
    assert {part.of for part in parts if isinstance(part, Slot)} == {"timestamp", "uuid", "identifier"}
    assert any(isinstance(part, Constant) and "sshd session opened for id=" in part.text for part in parts)
    binds = [part for part in parts if isinstance(part, Bind)]
    assert [bind.item.of for bind in binds] == ["identifier"], "the host is drawn once a document"
    lines = written(found.schema, 1, seed=9)[0].splitlines()
    shape = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (\w+) sshd session opened for id=[0-9a-f-]{36}"
    hosts = [re.fullmatch(shape, line).group(1) for line in lines[:-1]]
    assert len(set(hosts)) == 1


@pytest.mark.parametrize(
    ("write", "name"), [(NEST, "nest-tags"), (ENVIRONMENTS, "nest-environments"), (BRACKETS, "nest-round")]
)
def test_planted_trees_are_recovered(write, name):
    texts = written(schema(write), 25, most=4000)
    found = extract_motifs(texts)
    assert [motif.name for motif in found.schema.motifs] == [name]
    nest = next(part for part, _ in walk(found.schema.motifs[0].write) if part.kind == "nest")
    assert (nest.depth, nest.children) == (tuple(write["depth"]), tuple(write["children"]))
    assert (nest.opening, nest.closing) == (tuple(write.get("opening", "<>")), tuple(write.get("closing", ("</", ">"))))


SOURCES = {
    "log": written(schema(LOG), 30, seed=1),
    "tags": written(schema(NEST), 30),
    "records": written(schema({"kind": "records", "key": WORD, "value": WORD, "keys": [3, 5], "rows": [8, 12]}), 30),
    "novel repeats": [d.text for d in novel_repeats(40, 500, np.random.default_rng(1))],
    "boilerplate": [d.text for d in boilerplate(40, 500, np.random.default_rng(1))],
    "echo": written(
        schema(
            {
                "kind": "sequence",
                "items": [
                    {"kind": "bind", "name": "s", "item": {"kind": "slot", "of": "hex", "length": [20, 40]}},
                    {
                        "kind": "echo",
                        "name": "s",
                        "count": [5, 9],
                        "gap": [5, 60],
                        "filler": {"kind": "sequence", "items": [WORD, {"kind": "literal", "text": " "}]},
                    },
                ],
            }
        ),
        16,
    ),
}
FEW = ExtractOptions(samples=20)


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_written_repeats_itself_as_the_source_does(name):
    """Tolerance: 0.1 for n-gram repetition, compression and copied share, factor 1.5 for the quartiles of distances."""
    texts = SOURCES[name]
    found = extract_motifs(texts, FEW)
    kept = [texts[number] for evidence in found.evidence for number in evidence.documents]
    assert len(kept) >= 0.9 * len(texts)
    cap = int(np.quantile([len(text) for text in kept], 0.95))
    source, made = repetition(kept), repetition(written(found.schema, 50, seed=5, most=cap))
    assert made.ngram_rate == pytest.approx(source.ngram_rate, abs=0.1)
    assert made.compression == pytest.approx(source.compression, abs=0.1)
    assert made.copied == pytest.approx(source.copied, abs=0.1)
    ratio = made.quantiles(made.distances) / source.quantiles(source.distances)
    assert ratio.max() < 1.5
    assert ratio.min() > 1 / 1.5


def test_novel_repeats_stay_novel_and_boilerplate_stays_boilerplate():
    novel, fixed = (extract_motifs(SOURCES[name], FEW).schema for name in ("novel repeats", "boilerplate"))
    assert [motif.name for motif in novel.motifs] == ["copies"]
    assert [motif.name for motif in fixed.motifs] == ["boilerplate"]
    assert shared_segments(written(novel, 40, seed=3, most=500)).mean() < 0.1
    assert shared_segments(written(fixed, 40, seed=3, most=500)).mean() > 0.3
    forgotten = MotifSchema(motifs=(tape_motif(SOURCES["boilerplate"]),))
    assert shared_segments(written(forgotten, 40, seed=3, most=500)).mean() < 0.1, "the mutation: fresh tokens instead"


def test_mutation_a_motif_that_does_not_repeat_like_its_source_is_replaced():
    """With no tolerance at all every template fails its check and the tapes take over."""
    strict = extract_motifs(SOURCES["log"], ExtractOptions(tolerance=0.0, samples=10))
    assert {motif.name for motif in strict.schema.motifs} <= {"copies", "boilerplate"}
    other = repetition(written(schema(WORD), 40))
    assert other.copied == 0, "and documents of words alone would have failed the statistics above"


def test_mixed_documents_are_weighted_by_how_many_each_motif_stands_for():
    found = extract_motifs([*SOURCES["log"][:20], *SOURCES["novel repeats"][:10], *prose(20)])
    weights = {motif.name: motif.weight for motif in found.schema.motifs}
    assert weights["template-0"] == 20
    assert weights["copies"] == pytest.approx(10, abs=1)
    assert found.structured <= 31


def test_extraction_is_deterministic_and_survives_json():
    one, again = extract_motifs(SOURCES["log"], FEW), extract_motifs(SOURCES["log"], FEW)
    assert one.schema == again.schema
    assert read_schema(json.dumps(schema_json(one.schema))) == one.schema


def test_words_in_sentences_alone_have_no_structure_however_long():
    assert extract_motifs(prose(20, seed=3, words=400)).schema.motifs == ()


def test_tapes_keep_every_distance_and_length():
    for number, text in enumerate(SOURCES["echo"][:8]):
        (made,) = written(MotifSchema(motifs=(tape_motif([text]),)), 1, seed=number, most=4000)
        assert len(made) == len(text)
        place = 0
        for factor in factorise(text):
            place += factor.fresh + factor.length
            for back in range(place - factor.length, place):
                assert made[back] == made[back - factor.distance]


def test_excess_is_beyond_the_vocabulary():
    words = [excess_copies(text) for text in prose(30)]
    assert abs(np.mean(words)) < 0.02
    assert np.max(words) < 0.1
    token = "3f2a9c1db7e04e21"
    assert excess_copies(f"see {token} for this, then {token} again, at last {token}") > 0.3
    assert excess_copies(SOURCES["novel repeats"][0]) > 0.3


def test_shared_segments_by_hand():
    assert shared_segments(["abcdefghi", "bcdefghi", "zzzzzzzz", "x"]).tolist() == [0.5, 1, 0, 0]


def test_what_cannot_be_extracted():
    with pytest.raises(ConfigError, match="least_documents=1"):
        extract_motifs([], ExtractOptions(least_documents=1))
    with pytest.raises(ConfigError, match="nothing to follow"):
        tape_motif([""])
