import numpy as np
import polars as pl
import pytest

from imprint.stats import Undefined
from imprint.studies.mechanism.icl_link import icl_links


def table(strength, scores, seeds=5):
    """Runs of several arms; `strength` and `scores` give (arm, seed) values at the last of two steps."""
    rows = []
    for arm, (mine, score) in enumerate(zip(strength, scores, strict=True)):
        for seed in range(seeds):
            for step, share in ((0, 0.0), (100, 1.0)):
                for metric, values in (("induction.prefix_matching", mine), ("icl.olsson", score)):
                    rows.append((f"arm{arm}", seed, step, metric, float(share * values[seed])))
    return pl.DataFrame(rows, schema=["arm", "seed", "step", "metric", "value"], orient="row")


def test_what_falls_with_strength_has_a_correlation_of_minus_one():
    strength = np.random.default_rng(0).uniform(0.1, 0.9, (4, 5))
    (found,) = icl_links(table(strength, -2 * strength))
    assert (found.metric, found.runs) == ("icl.olsson", 20)
    assert found.correlation.estimate == pytest.approx(-1)
    assert found.within_arms.estimate == pytest.approx(-1)
    (turned,) = icl_links(table(strength, 3 * strength))
    assert turned.correlation.estimate == pytest.approx(1)


def test_arms_alone_may_carry_the_correlation():
    rng = np.random.default_rng(1)
    level = np.arange(6.0)[:, None] / 6
    strength, scores = level + rng.normal(0, 1e-3, (6, 5)), -level + rng.normal(0, 1e-3, (6, 5))
    (found,) = icl_links(table(strength, scores))
    assert found.correlation.high < -0.8
    assert abs(found.within_arms.estimate) < 0.5


def test_unrelated_numbers_are_not_linked():
    rng = np.random.default_rng(2)
    outside = 0
    for _ in range(20):
        (found,) = icl_links(table(rng.uniform(size=(6, 5)), rng.uniform(size=(6, 5))), draws=100)
        outside += found.correlation.excludes_zero
    assert outside <= 3


def test_what_does_not_vary_has_no_correlation():
    same = np.full((3, 5), 0.5)
    (found,) = icl_links(table(same, same))
    assert isinstance(found.correlation, Undefined)
    assert icl_links(table(same, same).filter(pl.col("metric") == "induction.prefix_matching")) == []
