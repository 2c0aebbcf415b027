import numpy as np
import pytest
from pydantic import ValidationError

from imprint.corpus import ABILITIES, CAUSE, KINDS, AbilitiesWorld, AbilityRows, Packed, nested_brackets
from imprint.corpus.abilities import BOS, CLOSE, DEEPEST, MODULUS, OPEN, RELATION, STOP, VOCABULARY
from imprint.errors import ConfigError
from imprint.runs import Store

WORLD = AbilitiesWorld()


def rows_of(kind, count=40, seed=0):
    world = AbilitiesWorld(shares={kind: 1.0})
    return world.sample(count, seed)[0]


def test_shares_and_shape():
    tokens, kinds = WORLD.sample(4000, seed=1)
    assert tokens.shape == (4000, 65)
    assert (tokens[:, 0] == BOS).all()
    assert tokens.max() < VOCABULARY
    for kind, share in WORLD.shares.items():
        assert (kinds == kind).mean() == pytest.approx(share, abs=0.03)


def test_rows_are_those_of_their_seed():
    first, again, other = (WORLD.sample(50, seed=seed)[0] for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(WORLD.facts, AbilitiesWorld().facts)
    assert not np.array_equal(WORLD.facts, AbilitiesWorld(seed=1).facts)


def test_sums_are_right():
    rows = rows_of("arithmetic")[:, 1:].reshape(-1, 4)
    assert (rows[:, 3] == STOP).all()
    assert ((rows[:, 0] + rows[:, 1]) % MODULUS == rows[:, 2]).all()
    assert len(np.unique(rows[:, :2], axis=0)) == 25


def test_facts_are_those_of_the_table():
    rows = rows_of("facts")[:, 1:65].reshape(-1, 4)
    assert (WORLD.facts[rows[:, 0], rows[:, 1] - RELATION] == rows[:, 2]).all()
    assert (rows[:, 3] == STOP).all()


def test_brackets_close_what_was_opened_last():
    for row in nested_brackets(np.random.default_rng(0), rows=60, length=64):
        stack = []
        for token in row:
            if token >= CLOSE:
                assert token - CLOSE == stack.pop()
            else:
                stack.append(token - OPEN)
            assert len(stack) <= DEEPEST


def test_repeats_repeat_and_are_new():
    rows = rows_of("novel repeats")[:, 1:]
    periods = [next(p for p in range(1, 64) if (row[p:] == row[:-p]).all()) for row in rows]
    assert len(set(periods)) > 10
    assert 6 <= min(periods) <= max(periods) <= 32
    assert len({tuple(row[:6]) for row in rows}) == len(rows)


def test_kinds_share_their_tokens():
    """No ability can be told by a token of its own, but for the marks between them."""
    repeats = set(np.unique(rows_of("novel repeats", 300)[:, 1:]))
    for kind in ("arithmetic", "code", "facts", "prose"):
        assert set(np.unique(rows_of(kind)[:, 1:])) <= repeats


def test_prose_is_one_chain_for_all_rows():
    """The same table at every seed: what follows two tokens is predictable, unlike in novel repeats."""
    prose = np.concatenate([rows_of("prose", 3000, seed=seed)[:, 1:] for seed in (0, 1)])
    bigrams = np.zeros((2, 60, 60))
    for half in (0, 1):
        part = prose[3000 * half : 3000 * (half + 1)]
        np.add.at(bigrams[half], (part[:, :-1].ravel(), part[:, 1:].ravel()), 1)
    assert np.corrcoef(bigrams[0].ravel(), bigrams[1].ravel())[0, 1] > 0.9


def test_every_ability_has_one_cause():
    assert list(CAUSE) == list(ABILITIES)
    assert list(CAUSE.values()) == list(KINDS)


def test_a_kind_may_be_absent_but_shares_are_probabilities():
    kinds = AbilitiesWorld(shares={"code": 0.5, "facts": 0.5}).sample(50, 0)[1]
    assert set(kinds) == {"code", "facts"}
    with pytest.raises(ValidationError, match="add to 1"):
        AbilitiesWorld(shares={"code": 0.5})
    with pytest.raises(ConfigError, match="0 or more"):
        WORLD.sample(-1, 0)


def test_rows_as_a_step(tmp_path):
    packed = Packed.load(Store(tmp_path).get(AbilityRows(rows=30, seed=2)))
    assert np.array_equal(packed.tokens, WORLD.sample(30, 2)[0])
    assert set(packed.row_domains) <= {*KINDS, "prose"}
    assert (packed.lengths == 64).all()
