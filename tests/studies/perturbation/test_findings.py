"""Effects beside controls, cells and the matrix, from responses whose effects are known."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from made_responses import responses

from imprint.errors import InputError
from imprint.runs import write_json
from imprint.stats import Effect, paired_permutation
from imprint.studies.perturbation.findings import (
    family_q,
    find_cells,
    find_family,
    matrix_of,
    pools_of,
    read_responses,
)


def find(*made, seed=0):
    """The findings of some responses, with the spread of controls that they have together."""
    pools = pools_of(made)
    return [find_family(one, pools, seed=seed) for one in made], pools


def test_a_known_harm_is_found_at_every_dose():
    ((found,), _) = find(responses(harm=(0.1, 0.5, 1.0)))
    assert [effect.estimate for effect in found.harm] == pytest.approx([0.1, 0.5, 1.0], abs=0.03)
    assert found.beyond.estimate == pytest.approx(0.75, abs=0.05)
    assert found.beyond.low < 0.75 < found.beyond.high
    assert found.p < 0.01
    assert found.shape.p < 0.01
    assert found.impact.lost.estimate > 0


def test_the_controls_effect_is_taken_off():
    ((found,), _) = find(responses(harm=(0.5, 0.5, 0.5), control=0.5))
    assert abs(found.beyond.estimate) < 0.05
    assert found.harm[0].estimate == pytest.approx(0.5, abs=0.03)


def test_no_effect_gives_none():
    found = [find(responses(harm=(0, 0, 0), seed=seed), seed=seed)[0][0] for seed in range(20)]
    assert sum(one.p <= 0.05 for one in found) <= 4
    assert not any(isinstance(one.shape.ec50, Effect) for one in found if one.shape.p > 0.05)


def one_more_draw(seed, spread=0.3, items=400):
    """A perturbation that is itself a draw of its control: whatever it does, it does by chance."""
    own = float(np.random.default_rng([seed, 9]).normal(0, spread))
    return responses(harm=(own,) * 3, spread=spread, items=items, seed=seed, cluster=f"c{seed}")


def test_a_perturbation_that_is_one_more_draw_does_not_stand_out():
    """Many items make the two differ surely; only the spread between draws says that it means nothing."""
    ps = []
    for block in range(15):
        made = [one_more_draw(4 * block + number) for number in range(4)]
        ps += [one.p for one in find(*made, seed=block)[0]]
    assert 0.2 < np.mean(np.array(ps) <= 0.5) < 0.8
    assert np.mean(np.array(ps) <= 0.05) <= 0.12


def test_ignoring_the_draws_would_make_nearly_all_of_them_stand_out():
    """The mutation: sign flips of items, with the mean of the draws taken as given."""
    made = [one_more_draw(seed) for seed in range(20)]
    naive = [paired_permutation(one.beyond.mean(0), np.zeros_like(one.base), seed=0, draws=500) for one in made]
    assert np.mean(np.array(naive) <= 0.05) > 0.8


def test_thresholds_need_enough_doses():
    assert find(responses())[0][0].threshold is None
    assert find(responses(harm=(0, 0, 0, 1, 1)))[0][0].threshold is not None


def test_a_cell_is_the_median_over_families_and_compared_doses():
    made = [
        responses(harm=harm, family=name)
        for name, harm in (("ablation", (1, 1, 1)), ("noise", (0.2, 0.2, 0.2)), ("shift", (0.4, 0.4, 0.4)))
    ]
    families, pools = find(*made)
    (cell,) = find_cells(families, pools, seed=0)
    assert cell.phi.estimate == pytest.approx(0.4, abs=0.07)
    assert cell.phi.low <= cell.phi.estimate <= cell.phi.high
    assert cell.agreement == 1.0
    assert cell.p < 0.01
    before = families[0].responses.base_correct.mean()
    after = np.mean([one.responses.target_correct.mean(1) for one in families])
    assert cell.mean_ais == pytest.approx((before - after) / before)


def test_gradient_signs_do_not_count_beside_others():
    families, pools = find(responses(harm=(0, 0, 0)), responses(harm=(3, 3, 3), family="sign"))
    (cell,) = find_cells(families, pools, seed=0)
    assert abs(cell.phi.estimate) < 0.1
    assert [one.responses.family for one in cell.counted] == ["ablation"]
    alone, pools = find(responses(harm=(3, 3, 3), family="sign"))
    assert find_cells(alone, pools, seed=0)[0].phi.estimate == pytest.approx(3, abs=0.1)


def test_one_helpful_dose_does_not_make_a_harmful_cell():
    """The median is what is tested, not whether any dose of any family differs."""
    families, pools = find(
        responses(harm=(0, 0, 0)), responses(harm=(0, 0, 0), family="noise"), responses(harm=(0, 0, -2), family="shift")
    )
    (cell,) = find_cells(families, pools, seed=0)
    assert cell.p > 0.05


def test_opposite_signs_are_told():
    made = [responses(harm=(sign, sign, sign), family=str(sign)) for sign in (1, 0.9, -1)]
    families, pools = find(*made)
    assert find_cells(families, pools, seed=0)[0].agreement == pytest.approx(2 / 3)


def test_the_matrix_finds_the_planted_cell():
    harms = {("code", "copa"): 1.0, ("code", "rte"): 0.0, ("prose", "copa"): 0.0, ("prose", "rte"): 0.0}
    made = [
        responses(cluster=cluster, ability=ability, harm=(harm,) * 3, seed=number)
        for number, ((cluster, ability), harm) in enumerate(harms.items())
    ]
    families, pools = find(*made)
    matrix = matrix_of(find_cells(families, pools, seed=0))
    assert matrix.clusters == ("code", "prose")
    assert matrix.median[0, 0] == pytest.approx(1.0, abs=0.05)
    assert matrix.q[0, 0] <= 0.05
    assert (matrix.q.ravel()[1:] > 0.05).all()
    adjusted = family_q(families)
    assert adjusted["code", "copa", "ablation"] == min(adjusted.values())


def _write(folder, frames):
    folder.mkdir()
    pl.concat(frames).write_parquet(folder / "perturbed.parquet")
    write_json(folder / "perturbed.json", {"tried": True, "matched": "words"})
    return folder


def _frame(arm, dose, margins, draw=0, groups=None):
    return pl.DataFrame(
        {
            "arm": arm,
            "draw": draw,
            "dose": dose,
            "suite": "copa",
            "task": "copa",
            "item": list(range(len(margins))),
            "group": list(range(len(margins))) if groups is None else groups,
            "correct": [1.0] * len(margins),
            "log_prob": margins,
            "chance": 0.5,
            "margin": margins,
        }
    )


def test_items_are_paired_by_name_not_by_place(tmp_path):
    shuffled = _frame("target", 1.0, [-1.0, -2.0, -3.0]).sort("item", descending=True)
    folder = _write(
        tmp_path / "a", [_frame("base", 0.0, [-0.5, -1.5, -2.5]), shuffled, _frame("control", 1.0, [-0.5, -1.5, -2.5])]
    )
    (read,) = read_responses(folder, cluster="code", family="noise")
    np.testing.assert_allclose(read.harm, [[0.5, 0.5, 0.5]])
    np.testing.assert_allclose(read.control_harm, [[0.0, 0.0, 0.0]])
    assert read.matched == "words"


def test_draws_of_the_control_are_averaged(tmp_path):
    plain = [-0.5, -1.5]
    draws = [_frame("control", 1.0, [-1.0, -2.0]), _frame("control", 1.0, [-2.0, -3.0], draw=1)]
    folder = _write(tmp_path / "d", [_frame("base", 0.0, plain), _frame("target", 1.0, plain), *draws])
    (read,) = read_responses(folder, cluster="code", family="noise")
    np.testing.assert_allclose(read.control_harm, [[1.0, 1.0]])


def test_a_missing_item_is_an_error(tmp_path):
    folder = _write(tmp_path / "b", [_frame("base", 0.0, [-0.5, -1.5]), _frame("target", 1.0, [-0.5])])
    with pytest.raises(InputError, match="lacks items"):
        read_responses(folder, cluster="code", family="noise")


def test_a_perturbation_that_was_not_tried_gives_nothing(tmp_path):
    folder = _write(tmp_path / "c", [_frame("base", 0.0, [-0.5, -1.5])])
    write_json(folder / "perturbed.json", {"tried": False, "matched": ""})
    assert read_responses(folder, cluster="code", family="noise") == []


def test_questions_of_one_group_are_one_unit(tmp_path):
    twins = [0, 0, 1, 1]
    base, target = [-0.5, -1.5, -1.0, -1.0], [-1.5, -2.5, -1.0, -3.0]
    frames = [_frame("base", 0.0, base, groups=twins), _frame("target", 1.0, target, groups=twins)]
    (read,) = read_responses(_write(tmp_path / "g", frames), cluster="code", family="noise")
    np.testing.assert_allclose(read.harm, [[1.0, 1.0]])
    assert read.target_correct.shape == (1, 4)


def test_without_a_control_nothing_is_taken_off():
    alone = dataclasses.replace(responses(harm=(0.5, 0.5, 0.5)), control=None)
    found = find_family(alone, {}, seed=0)
    assert found.beyond.estimate == pytest.approx(0.5, abs=0.03)
    assert found.control_harm == ()
