from hypothesis import given, settings
from hypothesis import strategies as st

from imprint.runs import derive


def test_seeds_are_the_same_for_ever():
    assert derive(0) == 7520536977032167579
    assert derive(0, "arm", 3) == 7365401896737737982


def test_every_part_of_the_name_counts():
    seeds = {derive(0), derive(1), derive(0, "a"), derive(0, "b"), derive(0, "a", "b"), derive(0, "ab"), derive(0, 1)}
    assert len(seeds | {derive(0, "1")}) == 8


@settings(max_examples=30, deadline=None)
@given(st.integers(), st.lists(st.text() | st.integers(), max_size=4))
def test_seeds_fit_in_63_bits(seed, names):
    assert 0 <= derive(seed, *names) < 2**63


def test_neighbouring_seeds_give_unrelated_bits():
    ones = sum((derive(seed, "x") ^ derive(seed + 1, "x")).bit_count() for seed in range(200)) / 200
    assert 30 < ones < 33
