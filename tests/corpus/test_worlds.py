import numpy as np
import pytest
from pydantic import ValidationError

from imprint.corpus import PRESETS, PlantedWorld, planted_world, repeated_ngram_rate, worlds
from imprint.errors import ConfigError

PROSE = PlantedWorld(vocabulary=8, context=32, shares={"prose": 1.0})


def test_shapes_ranges_and_kinds():
    world = planted_world("hard-negatives")
    tokens, kinds = world.sample(4000, 1)
    assert tokens.shape == (4000, 65)
    assert (tokens.min(), tokens.max()) == (0, 63)
    for kind, share in world.shares.items():
        assert abs((kinds == kind).mean() - share) < 4 * (share * (1 - share) / 4000) ** 0.5
    assert (world.cause, world.negatives) == ("novel repeats", ("boilerplate", "noise"))
    assert world.token_ids == 64


def test_same_seed_same_rows_other_seed_other_rows():
    world = planted_world("hard-negatives", seed=3)
    first, again, other = world.sample(50, 1), world.sample(50, 1), world.sample(50, 2)
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()
    assert (first[0] != other[0]).any()
    assert (planted_world("hard-negatives", seed=4).sample(50, 1)[0] != first[0]).any()


def test_table_is_the_formula_of_the_second_order_chain():
    world = PlantedWorld(vocabulary=5, ord2=0.7, seed=9)
    by_current, by_previous = np.random.default_rng([1, 9]).standard_normal((2, 5, 5))
    table = worlds.prose_table(world)
    for previous in range(5):
        for current in range(5):
            weights = np.exp(0.7 * (by_current[current] + 1.5 * by_previous[previous]))
            assert table[previous, current] == pytest.approx(weights / weights.sum())


def test_prose_follows_its_table():
    tokens, _ = PROSE.sample(20_000, 0)
    table = worlds.prose_table(PROSE)
    seen = np.zeros((8, 8, 8))
    np.add.at(seen, (tokens[:, :-2].ravel(), tokens[:, 1:-1].ravel(), tokens[:, 2:].ravel()), 1)
    visits = seen.sum(axis=-1, keepdims=True)
    expected = visits * table
    enough = expected > 5
    chi_square = ((seen - expected)[enough] ** 2 / expected[enough]).sum()
    freedom = enough.sum() - 64
    assert abs(chi_square - freedom) < 4 * (2 * freedom) ** 0.5
    assert not np.allclose(table[0], table[1], atol=0.05)  # the previous token matters


def test_inverse_sampling_equals_the_plain_search():
    table = worlds.prose_table(PROSE)
    cumulative = table.cumsum(axis=-1)
    rng = np.random.default_rng(0)
    expected = rng.integers(0, 8, size=(20, 50))
    draws = rng.random((20, 50))
    for t in range(2, 20):
        passed = (cumulative[expected[t - 2], expected[t - 1]] < draws[t][:, None]).sum(axis=1)
        expected[t] = np.minimum(passed, 7)
    assert (worlds._prose(np.random.default_rng(0), table, rows=50, length=20) == expected.T).all()


def test_entropy_of_prose_falls_with_ord2():
    def entropy(ord2: float) -> float:
        table = worlds.prose_table(PlantedWorld(ord2=ord2))
        return float(-(table * np.log(table)).sum(axis=-1).mean())

    assert np.log(64) > entropy(0.1) > entropy(1.0) > entropy(3.0)
    assert entropy(0.1) > 0.99 * np.log(64)


def test_repetition_separates_the_kinds_as_planted():
    tokens, kinds = planted_world("hard-negatives").sample(3000, 0)
    rate = repeated_ngram_rate(tokens, np.full(3000, 65), 2)
    assert rate[kinds == "novel repeats"].min() > 0.45
    assert rate[kinds == "boilerplate"].min() > 0.45
    assert rate[kinds == "noise"].max() < 0.1
    distinct = {kind: len(np.unique(tokens[kinds == kind], axis=0)) for kind in set(kinds)}
    assert distinct["boilerplate"] <= sum(range(6, 28, 3))
    assert distinct["novel repeats"] == (kinds == "novel repeats").sum()


def test_boilerplate_is_the_same_in_every_sample_of_one_world():
    world = PlantedWorld(shares={"boilerplate": 1.0}, segments=1)
    first, second = ({tuple(row) for row in world.sample(200, seed)[0].tolist()} for seed in (1, 2))
    assert len(first) == 6
    assert first == second
    other = {tuple(row) for row in world.model_copy(update={"seed": 1}).sample(200, 1)[0].tolist()}
    assert not first & other


def test_fixed_period_is_fixed_and_the_default_is_not():
    tokens, _ = planted_world("fixed-period").sample(300, 0)
    assert (tokens[:, 33:] == tokens[:, :-33]).all()
    varied, _ = planted_world("repeats").sample(300, 0)
    assert (varied[:, 33:] == varied[:, :-33]).all(axis=1).mean() < 0.3


def test_bos_shifts_the_content():
    tokens, _ = PlantedWorld(bos=True, context=16, shares={"noise": 1.0}).sample(2000, 0)
    assert tokens.shape == (2000, 17)
    assert (tokens[:, 0] == 0).all()
    assert (tokens[:, 1:].min(), tokens[:, 1:].max()) == (1, 64)
    assert PlantedWorld(bos=True).token_ids == 65


@pytest.mark.parametrize(
    "wrong",
    [
        {"shares": {"prose": 0.5}},
        {"shares": {"prose": 1.5, "noise": -0.5}},
        {"shares": {}},
        {"shares": {"poetry": 1.0}},
        {"vocabulary": 1},
        {"context": 11},
        {"ord2": 0.0},
        {"period": 65},
        {"seed": -1},
        {"vocabluary": 64},
    ],
    ids=str,
)
def test_fields_out_of_range(wrong):
    with pytest.raises(ValidationError):
        PlantedWorld(**wrong)


def test_worlds_travel_as_json_and_are_frozen():
    world = planted_world("hard-negatives", seed=2)
    assert PlantedWorld.model_validate_json(world.model_dump_json()) == world
    with pytest.raises(ValidationError):
        world.seed = 3  # type: ignore[misc]


def test_presets_are_named():
    assert set(PRESETS) == {"ord2", "hard-negatives", "repeats", "fixed-period"}
    with pytest.raises(ConfigError, match="no planted world 'ord3'; choose one of fixed-period, hard-negatives"):
        planted_world("ord3")


def test_sample_refuses_negative_numbers_and_allows_none():
    with pytest.raises(ConfigError, match="cannot sample -1 rows"):
        PROSE.sample(-1, 0)
    tokens, kinds = PROSE.sample(0, 0)
    assert (tokens.shape, kinds.shape) == ((0, 33), (0,))
