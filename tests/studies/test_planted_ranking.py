from planted_runs import measured

from imprint.studies.planted_ranking import early_transition


def test_influence_is_taken_early_inside_the_transition(tmp_path):
    """At the checkpoint nearest to .15 on a log scale, before the peak, for the strongest head that a layer can feed."""
    heads = [(0, 3, 0.99), (1, 1, 0.2), (1, 2, 0.9)]
    folder = measured(tmp_path / "run", [0.02, 0.03, 0.12, 0.5, 0.9, 0.16], [0.0] * 6, heads)
    assert early_transition(folder) == (200, "L1.H2")


def test_on_a_log_scale_half_is_as_near_as_double(tmp_path):
    assert early_transition(measured(tmp_path / "run", [0.01, 0.08, 0.29, 0.9], [0.0] * 4))[0] == 100
    assert early_transition(measured(tmp_path / "other", [0.01, 0.07, 0.29, 0.9], [0.0] * 4))[0] == 200
