import numpy as np
import polars as pl
import pytest

from imprint.attribution import BASELINES, CONSENSUS, PROBES, RANKINGS, Scores, consensus, ranking, score_table
from imprint.corpus.steps import packed_world
from imprint.errors import ConfigError

ROWS = 6


def scores(rows, queries=(*PROBES, *(f"{name}/dot" for name in PROBES))):
    tokens = np.zeros((len(queries) // 2, ROWS, 4), dtype=np.float32)
    return Scores(queries=queries, rows=np.asarray(rows, dtype=np.float64), tokens=tokens, subspace="L1.H0", checks={})


@pytest.fixture
def folder(tmp_path):
    scores(np.arange(6 * ROWS).reshape(6, ROWS)).save(tmp_path)
    np.save(tmp_path / "baselines.npy", 100.0 + np.arange(len(BASELINES) * ROWS).reshape(len(BASELINES), ROWS))
    return tmp_path


def test_the_consensus_is_the_mean_rank():
    rows = np.zeros((6, ROWS))
    rows[0] = [0, 1, 2, 3, 4, 5]
    rows[1] = [50, 40, 30, 20, 10, 0]
    rows[2] = [0, 0, 0, 0, 0, 9]
    expected = [
        (1 + 6 + 3) / 18,
        (2 + 5 + 3) / 18,
        (3 + 4 + 3) / 18,
        (4 + 3 + 3) / 18,
        (5 + 2 + 3) / 18,
        (6 + 1 + 6) / 18,
    ]
    assert consensus(scores(rows)) == pytest.approx(expected)


def test_the_consensus_is_one_for_the_row_that_every_probe_puts_on_top():
    rows = np.random.default_rng(0).random((6, ROWS))
    rows[:3, 4] = 2.0
    found = consensus(scores(rows))
    assert found[4] == 1.0
    assert (np.delete(found, 4) < 1.0).all()


def test_the_consensus_knows_ranks_only():
    """A probe's unit, sign excepted, does not matter; the scores without curvature do not either."""
    rows = np.random.default_rng(1).normal(size=(6, ROWS))
    scaled = rows.copy()
    scaled[0] *= 1e6
    scaled[1] = np.exp(scaled[1])
    scaled[3:] = 0.0
    assert np.array_equal(consensus(scores(rows)), consensus(scores(scaled)))
    assert not np.array_equal(consensus(scores(rows)), consensus(scores(-rows)))


def test_no_consensus_without_the_probes():
    with pytest.raises(ConfigError, match="hold none of the induction probes"):
        consensus(scores(np.zeros((2, ROWS)), ("previous_token", "previous_token/dot")))


def test_every_name_is_its_own_ranking(folder):
    assert ranking(folder, "contrastive").tolist() == [6, 7, 8, 9, 10, 11]
    assert ranking(folder, "log_prob/dot").tolist() == [18, 19, 20, 21, 22, 23]
    assert ranking(folder, BASELINES[1]).tolist() == [106, 107, 108, 109, 110, 111]
    found = {name: tuple(ranking(folder, name)) for name in RANKINGS}
    assert len(set(found.values())) == len(RANKINGS) == 1 + 6 + len(BASELINES)


@pytest.mark.parametrize("name", ["", "Loss", "consensus/dot", "off_by_one"])
def test_names_that_are_no_ranking(folder, name):
    with pytest.raises(
        ConfigError, match=f"no ranking is called '{name}'; choose one of {CONSENSUS}, log_prob, .*BM25"
    ):
        ranking(folder, name)


def test_the_table_has_every_score_of_every_row(folder):
    kinds = np.array(["prose", "code"] * 3)
    table = score_table(folder, packed_world(np.zeros((ROWS, 5), dtype=np.int64), kinds))
    assert table["domain"].to_list() == kinds.tolist()
    assert table["document"].to_list() == [f"{kind}/{number:06d}" for number, kind in enumerate(kinds)]
    queries = (*PROBES, *(f"{name}/dot" for name in PROBES))
    assert table.columns == ["document", "domain", CONSENSUS, *queries, *(f"baseline: {name}" for name in BASELINES)]
    for name in (CONSENSUS, *queries):
        assert table[name].to_list() == ranking(folder, name).tolist()
    assert table[f"baseline: {BASELINES[-1]}"].to_list() == ranking(folder, BASELINES[-1]).tolist()


def test_the_table_of_another_mechanism_has_no_consensus(tmp_path):
    scores(np.ones((2, ROWS)), ("previous_token", "previous_token/dot")).save(tmp_path)
    np.save(tmp_path / "baselines.npy", np.zeros((len(BASELINES), ROWS)))
    table = score_table(tmp_path, packed_world(np.zeros((ROWS, 5), dtype=np.int64), np.array(["x"] * ROWS)))
    assert CONSENSUS not in table.columns
    assert isinstance(table, pl.DataFrame)
