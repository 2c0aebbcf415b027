from dataclasses import replace

import pytest
from mechanism_results import EFFECTS, mechanism_result, shift

from imprint.report.answer import answer_lines
from imprint.stats import RUNGS


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return mechanism_result(tmp_path_factory.mktemp("result"))


def lines(result, **changes):
    return answer_lines(replace(result, **changes))


def natural(result, low, high, late=(0, 0)):
    kept = [item for item in EFFECTS if item.arm != "delete_natural"]
    return lines(result, effects=[*kept, shift("delete_natural", "delete_random", low, high, late=late)])[3]


def test_five_lines_each_with_its_question(result):
    found = answer_lines(result)
    assert [line.partition("?")[0] for line in found] == [
        "Which data",
        "Through what",
        "Is it causal",
        "Natural text",
        "How far",
    ]
    assert all("\n" not in line and line.endswith(".") for line in found)


def test_which_data(result):
    first = max(result.domains, key=lambda domain: domain.top_share)
    assert answer_lines(result)[0] == (
        f"Which data? {first.top_share:.0%} of the top 10% of documents by influence are '{first.domain}' (25% of the"
        " corpus); AUC of 'novel repeats' 0.97, best cheap baseline 0.91 (log_prob/dot)."
    )


def test_which_data_by_another_ranking(result):
    line = lines(result, study=result.study.model_copy(update={"ranking": "loss"}))[0]
    assert "of documents by 'loss' are" in line
    assert "AUC of 'novel repeats' 0.40" in line


def test_which_data_where_nothing_is_planted(result):
    assert lines(result, methods=[])[0].endswith("of the corpus).")


def test_through_what(result):
    assert answer_lines(result)[1] == (
        "Through what? L1.H1, induction: prefix matching 0.81 (null 0.05); ablating it costs 1.23 nats a copied token,"
        " restoring it brings back 62%."
    )


def test_a_head_that_passed_no_test_is_a_candidate(result):
    assert lines(result, head="L1.H0")[1].startswith(
        "Through what? L1.H0, the strongest candidate: prefix matching 0.04"
    )


def test_is_it_causal(result):
    assert answer_lines(result)[2] == (
        "Is it causal? Training without them delays emergence by +49% [+35%, +65%] (ended before emergence: 2 of 5 runs of"
        " delete_top, 0 of delete_random, so the shift is at least this) against random documents; random documents against"
        " none: +0% [-5%, +5%] (5 seeds)."
    )


@pytest.mark.parametrize(
    ("low", "high", "late", "words"),
    [
        (-0.1, 0.1, (0, 0), "natural text does not move the head by as much as 15 %."),
        (-0.1, 0.1, (1, 0), "undecided (ended before emergence: 1 of 5 runs of delete_natural, 0 of delete_random, so"),
        (-0.3, 0.1, (0, 0), "undecided with these seeds."),
        (0.05, 0.3, (0, 0), "natural text moves the head."),
        (0.05, 0.3, (3, 0), "natural text moves the head."),
        (0.05, 0.3, (0, 1), "undecided (ended before emergence"),
        (-0.3, -0.05, (0, 0), "natural text moves the head."),
        (-0.3, -0.05, (1, 0), "undecided (ended before emergence"),
        (0.0, 0.0, (5, 5), "undecided (ended before emergence"),
    ],
)
def test_natural_text(result, low, high, late, words):
    assert words in natural(result, low, high, late)


def test_natural_text_that_was_not_tested(result):
    line = lines(result, effects=[item for item in EFFECTS if item.arm != "delete_natural"])[3]
    assert line == "Natural text? Not tested in this study."


def test_how_far(result):
    rung = result.claims[0].rung
    assert rung == 4
    assert answer_lines(result)[4] == (
        f"How far? The claim 'in-context copying of novel sequences' stands on rung 4 of 5 ({RUNGS[4]}); registered"
        " hypotheses: 1 supported, 0 refuted, 0 inconclusive."
    )
    bare = replace(result.claims[0], evidence=())
    assert "stands on no rung" in lines(result, claims=[bare])[4]
