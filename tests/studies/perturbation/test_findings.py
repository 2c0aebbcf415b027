"""Effects beside controls, cells and the matrix, from responses whose effects are known."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from made_responses import responses

from imprint.errors import InputError
from imprint.runs import write_json
from imprint.stats import Effect
from imprint.studies.perturbation.findings import family_q, find_cells, find_family, matrix_of, read_responses


def test_a_known_harm_is_found_at_every_dose():
    found = find_family(responses(harm=(0.1, 0.5, 1.0)), seed=0)
    assert [effect.estimate for effect in found.harm] == pytest.approx([0.1, 0.5, 1.0], abs=0.03)
    assert found.beyond.estimate == pytest.approx(1.6 / 3, abs=0.03)
    assert found.beyond.low < 1.6 / 3 < found.beyond.high
    assert found.p < 0.01
    assert found.shape.p < 0.01
    assert found.impact.lost.estimate > 0


def test_the_controls_effect_is_taken_off():
    found = find_family(responses(harm=(0.5, 0.5, 0.5), control=(0.5, 0.5, 0.5)), seed=0)
    assert abs(found.beyond.estimate) < 0.03
    assert found.harm[0].estimate == pytest.approx(0.5, abs=0.03)


def test_no_effect_gives_none():
    found = [find_family(responses(harm=(0, 0, 0), seed=seed), seed=seed) for seed in range(20)]
    assert sum(one.p <= 0.05 for one in found) <= 4
    assert not any(isinstance(one.shape.ec50, Effect) for one in found if one.shape.p > 0.05)


def test_thresholds_need_enough_doses():
    assert find_family(responses(), seed=0).threshold is None
    assert find_family(responses(harm=(0, 0, 0, 1, 1), control=(0,) * 5), seed=0).threshold is not None


def test_a_cell_is_the_median_over_families_and_doses():
    families = [
        find_family(responses(harm=harm, control=(0, 0, 0), family=name), seed=0)
        for name, harm in (("ablation", (1, 1, 1)), ("noise", (0.2, 0.2, 0.2)), ("shift", (0.4, 0.4, 0.4)))
    ]
    (cell,) = find_cells(families, seed=0)
    assert cell.phi.estimate == pytest.approx(0.4, abs=0.05)
    assert cell.phi.low <= cell.phi.estimate <= cell.phi.high
    assert cell.agreement == 1.0
    before = families[0].responses.base_correct.mean()
    after = np.mean([one.responses.target_correct.mean(1) for one in families])
    assert cell.mean_ais == pytest.approx((before - after) / before)


def test_opposite_signs_are_told():
    families = [find_family(responses(harm=(sign, sign, sign), family=str(sign)), seed=0) for sign in (1, 0.9, -1)]
    (cell,) = find_cells(families, seed=0)
    assert cell.agreement == pytest.approx(2 / 3)


def test_the_matrix_finds_the_planted_cell():
    harms = {("code", "copa"): 1.0, ("code", "rte"): 0.0, ("prose", "copa"): 0.0, ("prose", "rte"): 0.0}
    families = [
        find_family(responses(cluster=cluster, ability=ability, harm=(harm,) * 3, seed=number), seed=0)
        for number, ((cluster, ability), harm) in enumerate(harms.items())
    ]
    matrix = matrix_of(families, seed=0)
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


def _frame(arm, dose, margins):
    return pl.DataFrame(
        {
            "arm": arm,
            "dose": dose,
            "suite": "copa",
            "task": "copa",
            "item": list(range(len(margins))),
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
    draws = [_frame("control", 1.0, [-1.0, -2.0]), _frame("control", 1.0, [-2.0, -3.0])]
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


def test_without_a_control_nothing_is_taken_off():
    alone = dataclasses.replace(responses(harm=(0.5, 0.5, 0.5)), control=None)
    found = find_family(alone, seed=0)
    assert found.beyond.estimate == pytest.approx(0.5, abs=0.03)
    assert found.control_harm == ()
