import json

import numpy as np
import pytest
from scipy import stats

from imprint.errors import InputError, SelfCheckFailed
from imprint.stats import InfluenceRecord, influence_matrix

CLUSTERS, ABILITIES = ("prose", "code", "maths"), ("recall", "brackets", "sums")
TRUTH = np.array([[0.0, 0.6, 0.1], [0.5, 0.0, 0.05], [0.1, 0.0, 0.7]])


def records(control=None, p=0.01, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return [
        InfluenceRecord(
            cluster=cluster,
            ability=ability,
            family=family,
            setting=f"dose {dose}",
            estimate=float(sign * dose * TRUTH[row, column] + noise * rng.normal()),
            control=control,
            p=p,
        )
        for row, cluster in enumerate(CLUSTERS)
        for column, ability in enumerate(ABILITIES)
        for family, sign in (("ablation", 1.0), ("shift", 1.0), ("noise", -0.5))
        for dose in (0.5, 1.0, 1.5)
    ]


def test_mean_median_sign_and_families():
    phi = influence_matrix(records())
    assert (phi.clusters, phi.abilities) == (CLUSTERS, ABILITIES)
    assert phi.mean == pytest.approx(TRUTH * 0.5)
    assert phi.median == pytest.approx(TRUTH * 0.5)
    assert phi.families["ablation"] == pytest.approx(TRUTH)
    assert phi.families["noise"] == pytest.approx(-0.5 * TRUTH)
    assert phi.positive[0, 1] == pytest.approx(2 / 3)
    assert phi.positive[0, 0] == 0
    assert (phi.count == 9).all()
    assert (phi.quartiles[0] <= phi.median).all()
    assert json.loads(json.dumps(phi.as_dict()))["median"][2][2] == pytest.approx(0.35)


def test_controls_are_subtracted_in_pairs():
    assert influence_matrix(records(control=0.2), subtract_control=True).mean == pytest.approx(TRUTH * 0.5 - 0.2)
    with pytest.raises(InputError, match="run its matched control"):
        influence_matrix(records(), subtract_control=True)


def test_a_family_that_was_not_tried_on_a_cell_is_null():
    kept = [one for one in records() if (one.family, one.cluster) != ("shift", "code")]
    assert influence_matrix(kept).as_dict()["families"]["shift"][1] == [None, None, None]


def test_p_of_a_cell_and_of_the_matrix():
    assert influence_matrix(records(p=0.03)).p == pytest.approx(0.03)
    assert influence_matrix(records(p=1.0)).p == pytest.approx(0.999)
    mixed = [InfluenceRecord(**{**_fields(one), "p": 0.001 if one.cluster == "code" else 0.9}) for one in records()]
    phi = influence_matrix(mixed)
    assert phi.q[1] == pytest.approx(3 * phi.p[1])
    assert (phi.q[0] > 0.5).all()


def test_one_perturbation_that_did_nothing_does_not_swamp_the_others():
    """At p = 1 the tangent of Cauchy's combination is minus infinity, so p is kept below it."""
    one = records()[0]
    doses = [
        InfluenceRecord(**{**_fields(one), "setting": str(place), "p": 0.002 if place else 1.0}) for place in range(20)
    ]
    assert influence_matrix(doses).p[0, 0] < 0.05


def _fields(record):
    return {name: getattr(record, name) for name in InfluenceRecord.__slots__}


def test_null_of_combined_p_is_calibrated_under_dependence():
    """Doses of one item list are strongly dependent; Cauchy's combination must not reject more than it says."""
    rng, rejected = np.random.default_rng(0), 0
    for _ in range(400):
        shared = rng.normal()
        p = 2 * stats.norm.sf(np.abs(np.sqrt(0.8) * shared + np.sqrt(0.2) * rng.normal(size=5)))
        one = [
            InfluenceRecord(cluster="a", ability="b", family="f", setting=str(i), estimate=0.0, p=float(value))
            for i, value in enumerate(p)
        ]
        rejected += influence_matrix(one).p[0, 0] <= 0.05
    assert rejected / 400 < 0.085


def test_refuses_holes_and_bad_numbers():
    with pytest.raises(InputError, match="at least one record"):
        influence_matrix([])
    with pytest.raises(InputError, match="'prose' was measured on 'sums'"):
        influence_matrix([one for one in records() if (one.cluster, one.ability) != ("prose", "sums")])
    with pytest.raises(SelfCheckFailed, match="not finite"):
        influence_matrix([InfluenceRecord(**{**_fields(records()[0]), "estimate": float("nan")})])
    with pytest.raises(InputError, match="p-values"):
        influence_matrix(records(p=1.5))
