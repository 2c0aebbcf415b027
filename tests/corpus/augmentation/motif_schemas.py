"""Schemas for the tests, as JSON values, and a strategy that draws sound ones of every kind."""

from hypothesis import strategies as st

from imprint.corpus.augmentation import parse_schema

WORD = {"kind": "slot", "of": "word", "length": [3, 6]}
LOG = {
    "kind": "sequence",
    "items": [
        {
            "kind": "bind",
            "name": "host",
            "silent": True,
            "item": {"kind": "slot", "of": "identifier", "length": [6, 9]},
        },
        {
            "kind": "repeat",
            "count": [8, 14],
            "separator": "\n",
            "item": {
                "kind": "template",
                "text": "{when} {host} sshd session opened for id={id}",
                "variables": {"when": {"kind": "slot", "of": "timestamp"}, "id": {"kind": "slot", "of": "uuid"}},
            },
        },
    ],
}


def schema(*writes, weights=None):
    """A schema with one motif for each generator, called m0, m1, ..."""
    weights = weights or [1.0] * len(writes)
    motifs = [{"name": f"m{n}", "write": w, "weight": v} for n, (w, v) in enumerate(zip(writes, weights, strict=True))]
    return parse_schema({"version": 1, "motifs": motifs})


def spans(most):
    return st.tuples(st.integers(0, most), st.integers(0, most)).map(sorted)


_texts = st.text(alphabet="ab <>{}\n", max_size=6)
_leaves = st.one_of(
    st.builds(lambda text: {"kind": "literal", "text": text}, _texts),
    st.builds(
        lambda of, length: {"kind": "slot", "of": of, "length": length},
        st.sampled_from(["word", "identifier", "integer", "hex", "base64", "uuid", "timestamp", "ip", "characters"]),
        spans(9),
    ),
    st.builds(lambda pool: {"kind": "slot", "of": "pool", "pool": pool}, st.lists(_texts, min_size=1, max_size=3)),
)


def _binds_once(items):
    """A name is known to all that follows in a sequence, so it may be bound in one item only."""
    return sum("'b'" in str(item) for item in items) < 2


def _grown(part):
    return st.one_of(
        st.builds(lambda options: {"kind": "choice", "options": options}, st.lists(part, min_size=1, max_size=3)),
        st.builds(
            lambda items: {"kind": "sequence", "items": items},
            st.lists(part, min_size=1, max_size=3).filter(_binds_once),
        ),
        st.builds(lambda i, c, s: {"kind": "repeat", "item": i, "count": c, "separator": s}, part, spans(5), _texts),
        st.builds(
            lambda item: {"kind": "template", "text": "{{{x}}}:{x}", "variables": {"x": item}},
            part,
        ),
        st.builds(
            lambda n, leaf: {"kind": "nest", "name": n, "leaf": leaf, "depth": [1, 3], "children": [0, 3]}, part, part
        ),
        st.builds(lambda k, v: {"kind": "records", "key": k, "value": v, "keys": [0, 3], "rows": [0, 4]}, part, part),
        st.builds(
            lambda fresh, moves: {"kind": "copies", "fresh": fresh, "tapes": [moves]},
            part,
            st.lists(st.tuples(*[st.integers(0, 40)] * 3), min_size=1, max_size=4),
        ),
        st.builds(
            lambda item, filler, count, gap: {
                "kind": "sequence",
                "items": [
                    {"kind": "bind", "name": "b", "item": item},
                    {"kind": "echo", "name": "b", "count": count, "gap": gap, "filler": filler},
                ],
            },
            part.filter(lambda p: '"b"' not in str(p).replace("'", '"')),
            part.filter(lambda p: '"b"' not in str(p).replace("'", '"')),
            spans(4),
            spans(12),
        ),
    )


generators = st.recursive(_leaves, _grown, max_leaves=6)
