import numpy as np
import pytest

from imprint.attribution import BASELINES, Scores
from imprint.corpus.steps import packed_world
from imprint.studies import basis, top_documents
from imprint.studies.mechanism.ranking_quality import cause_auc, cause_purity, domain_shares, score_methods

KINDS = np.array(["novel repeats"] * 10 + ["boilerplate"] * 10 + ["prose"] * 60 + ["code"] * 20)
PACKED = packed_world(np.zeros((100, 5), dtype=np.int64), KINDS)
QUERIES = ("log_prob", "contrastive", "attention", "log_prob/dot", "contrastive/dot", "attention/dot")


@pytest.fixture
def folder(tmp_path):
    """The log_prob probe is perfect, contrastive ranks boilerplate above it, attention is a constant, the rest is noise."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, 100))
    rows[0] = 10.0 * (KINDS == "novel repeats") + rng.random(100)
    rows[1] = rows[0] + 100.0 * (KINDS == "boilerplate")
    rows[2] = 1.0
    tokens = np.zeros((3, 100, 4), dtype=np.float32)
    Scores(queries=QUERIES, rows=rows, tokens=tokens, subspace="L1.H0/qkvo", checks={}).save(tmp_path)
    baselines = rng.random((len(BASELINES), 100))
    baselines[BASELINES.index("loss")] = -rows[0]
    np.save(tmp_path / "baselines.npy", baselines)
    return tmp_path


def table(folder, **changes):
    found = score_methods(folder, changes.get("packed", PACKED), fraction=0.1)
    return {(row.method, row.question): row for row in found}


def test_known_answers(folder):
    rows = table(folder)
    question = "novel repeats against {}".format
    for negatives in ("all other documents", "natural text", "boilerplate"):
        assert rows["log_prob", question(negatives)].value == 1.0
        assert rows["loss", question(negatives)].value == 0.0
        assert rows["attention", question(negatives)].value == 0.5
    assert rows["contrastive", question("natural text")].value == 1.0
    assert rows["contrastive", question("boilerplate")].value == 0.0
    assert rows["contrastive", question("all other documents")].value == pytest.approx(80 / 90)
    assert rows["log_prob", "top 10% that are novel repeats"].value == 1.0
    assert rows["contrastive", "top 10% that are novel repeats"].value == 0.0
    assert rows["attention", "top 10% that are novel repeats"].value == pytest.approx(0.1)


def test_every_ranking_is_there_and_baselines_are_marked(folder):
    rows = table(folder)
    assert {method for method, _ in rows} == {"consensus", *QUERIES, *BASELINES}
    assert {method for (method, _), row in rows.items() if row.baseline} == {
        *BASELINES,
        "log_prob/dot",
        "contrastive/dot",
        "attention/dot",
    }


def test_an_auc_carries_its_interval(folder):
    row = table(folder)["consensus", "novel repeats against all other documents"]
    assert row.effect.low <= row.value <= row.effect.high
    assert (row.effect.n, row.effect.unit, row.effect.control) == (100, "document", "all other documents")


def test_what_is_not_planted_is_not_asked(folder):
    prose = packed_world(np.zeros((100, 5), dtype=np.int64), np.array(["prose"] * 100))
    only = packed_world(np.zeros((100, 5), dtype=np.int64), np.array(["novel repeats"] * 100))
    assert score_methods(folder, prose, fraction=0.1) == score_methods(folder, only, fraction=0.1) == []
    without = packed_world(np.zeros((100, 5), dtype=np.int64), np.where(KINDS == "boilerplate", "prose", KINDS))
    assert not [question for _, question in table(folder, packed=without) if "boilerplate" in question]


def test_looking_up_the_cause(folder):
    rows = list(table(folder).values())
    assert cause_auc(rows, "log_prob").estimate == 1.0
    assert cause_auc(rows, "contrastive", "boilerplate").estimate == 0.0
    assert cause_purity(rows, "contrastive") == 0.0
    assert cause_auc(rows, "nothing") is None
    assert cause_auc([], "log_prob") is None
    assert cause_purity([], "log_prob") is None


def test_words_for_what_was_ranked_by():
    assert basis("consensus") == basis("log_prob") == "influence"
    assert basis("loss") == "'loss'"
    assert basis("log_prob/dot") == "'log_prob/dot'"


def test_domain_shares():
    scores = np.where(KINDS == "code", -3.0, np.where(KINDS == "boilerplate", 5.0, 1.0)) + np.linspace(0, 0.1, 100)
    shares = domain_shares(scores, PACKED, np.array([0, 1, 2, 10]))
    assert [share.domain for share in shares] == ["boilerplate", "prose", "novel repeats", "code"]
    boilerplate = shares[0]
    assert (boilerplate.documents, boilerplate.corpus_share, boilerplate.top_share) == (10, 0.1, 0.25)
    assert boilerplate.mean_influence.estimate == pytest.approx(scores[10:20].mean() / scores.std())
    assert shares[-1].mean_influence.high < 0
    positive = scores[KINDS != "code"].sum()
    assert [share.influence_share for share in shares] == pytest.approx(
        [scores[kind == KINDS].sum() / positive for kind in ("boilerplate", "prose", "novel repeats")] + [0.0]
    )
    assert sum(share.top_share for share in shares) == sum(share.corpus_share for share in shares) == 1.0


def test_a_domain_of_one_document_has_no_interval():
    kinds = np.array(["prose"] * 5 + ["poem"])
    shares = domain_shares(np.arange(6.0), packed_world(np.zeros((6, 5), dtype=np.int64), kinds), np.array([5]))
    assert [(share.domain, share.mean_influence is None) for share in shares] == [("poem", True), ("prose", False)]


def test_scores_that_do_not_vary():
    shares = domain_shares(np.zeros(100), PACKED, np.array([0]))
    assert {share.mean_influence.estimate for share in shares} == {share.influence_share for share in shares} == {0.0}


def test_shown_documents_are_the_top_and_each_domain_s_best():
    order = np.argsort(-np.where(KINDS == "prose", 100.0, 0.0) - np.linspace(0, 1, 100), kind="stable")
    shown = top_documents(order, PACKED, per_domain=2, overall=5)
    assert list(shown[:5]) == order[:5].tolist()
    assert len(shown) == len(set(shown)) == 11
    for kind in ("novel repeats", "boilerplate", "code"):
        best = [row for row in order if KINDS[row] == kind][:2]
        assert [row for row in shown if KINDS[row] == kind] == best
