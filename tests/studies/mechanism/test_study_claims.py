import numpy as np
import pytest

from imprint.stats import Effect
from imprint.studies import ArmEffect, draw_claims, parse_study
from imprint.studies.mechanism.ranking_quality import MethodScore

STUDY = parse_study({}, where="x")


def effect(low, high, unit="item", n=64, control="", metric=""):
    return Effect(estimate=(low + high) / 2, low=low, high=high, n=n, unit=unit, control=control, metric=metric)


def head(name, *, prefix=0.02, p=1.0, ablation=(-0.1, 0.1), role=""):
    return {
        "head": name,
        "prefix_matching": effect(prefix - 0.01, prefix + 0.01).as_dict(),
        "prefix_matching_worst": prefix,
        "previous_token": 0.1,
        "best_offset": 1,
        "p_induction": p,
        "p_previous": 1.0,
        "ablation": effect(*ablation).as_dict(),
        "ablation_accuracy": 0.3,
        "role": role,
    }


def location(*, p=0.005, ablation=(1.0, 1.4), restored=(0.7, 0.9), others=(-0.05, 0.05)):
    target = head("L1.H0", prefix=0.8, p=p, ablation=ablation, role="induction")
    names = ("L0.H0", "L0.H1", "L1.H1")
    shares = {"L1.H0": restored} | dict.fromkeys(names, others)
    return {
        "heads": [target, *(head(name, ablation=others) for name in names)],
        "denoising": [{"head": name, "effect": effect(*share).as_dict()} for name, share in shares.items()],
        "null_prefix_95": 0.05,
    }


def methods(planted=(0.95, 0.99), natural=(0.94, 0.99), purity=0.9, ranking="consensus"):
    """AUC of the planted cause against all others and against natural text, and the purity of the top."""

    def row(question, metric, value, found):
        return MethodScore(method=ranking, question=question, metric=metric, value=value, effect=found, baseline=False)

    auc = {"all other documents": effect(*planted, unit="document"), "natural text": effect(*natural, unit="document")}
    rows = [row(f"novel repeats against {name}", "AUC", found.estimate, found) for name, found in auc.items()]
    return [*rows, row("top 10% that are novel repeats", "purity", purity, None)]


def arm(name, control, metric, low, high, *, late=(0, 0)):
    return ArmEffect(
        arm=name,
        control=control,
        metric=metric,
        effect=effect(low, high, unit="pipeline seed", n=5, control=control, metric=metric),
        p=0.0625,
        censored_arm=late[0],
        censored_control=late[1],
        is_control=control == "keep",
    )


STRENGTH = "induction.prefix_matching"


def retrained(
    delay=(0.3, 0.5), loss=(-0.4, -0.2), random=(-0.05, 0.06), natural=(-0.05, 0.05), late=(0, 0), tardy=(0, 0)
):
    return [
        arm("delete_top", "delete_random", "onset", *delay, late=late),
        arm("delete_top", "delete_random", STRENGTH, *loss),
        arm("delete_top", "keep", "onset", *delay),
        arm("delete_random", "keep", "onset", *random, late=tardy),
        arm("delete_random", "keep", STRENGTH, -0.5, -0.4),
        arm("delete_natural", "delete_random", "onset", *natural),
        arm("delete_natural", "delete_random", STRENGTH, *natural),
        arm("duplicate_top", "duplicate_random", "onset", -0.2, -0.1),
        arm("duplicate_random", "keep", "onset", 1.0, 2.0),
    ]


def draw(where=None, scores=None, effects=None, study=STUDY):
    scores = methods() if scores is None else scores
    return draw_claims(study, "L1.H0", where or location(), scores, retrained() if effects is None else effects)


def rung(**given):
    return draw(**given)[0].rung


def test_everything_right_stands_on_rung_four_and_no_higher():
    claim = draw()[0]
    assert claim.rung == 4
    assert claim.shown == (0, 1, 2, 3, 4)
    assert "replicated" in claim.blocked_by
    assert claim.mechanism == "L1.H0 (induction head)"
    assert claim.data == "the 10% of documents ranked highest by influence (90% of them planted novel repeats)"


def test_evidence_carries_its_null_unit_and_control():
    claim = draw()[0]
    for item in claim.evidence:
        assert item.null
        assert item.trust
        assert item.effect.n >= 2
    assert {item.rung: item.effect.unit for item in claim.evidence} == {
        0: "document",
        1: "item",
        2: "item",
        3: "item",
        4: "pipeline seed",
    }


@pytest.mark.parametrize(
    ("given", "highest"),
    [
        ({"scores": methods(planted=(0.45, 0.6))}, None),
        ({"where": location(p=0.2)}, 0),
        ({"where": location(ablation=(-0.1, 0.5))}, 1),
        ({"where": location(ablation=(0.02, 0.06), others=(0.03, 0.07))}, 1),
        ({"where": location(restored=(-0.1, 0.2))}, 2),
        ({"where": location(restored=(0.2, 0.3), others=(0.28, 0.34))}, 2),
        ({"effects": retrained(delay=(-0.1, 0.5))}, 3),
        ({"effects": retrained(loss=(-0.2, 0.1))}, 3),
        ({"effects": retrained(random=(0.1, 0.3))}, 3),
        ({"effects": retrained(random=(-0.3, -0.1))}, 3),
        ({"effects": []}, 3),
    ],
)
def test_one_failure_keeps_the_claim_below_its_rung(given, highest):
    assert rung(**given) == highest


def test_a_random_control_that_moves_the_head_blocks_rung_four():
    claim = draw(effects=retrained(random=(0.15, 0.25)))[0]
    assert claim.rung == 3
    assert claim.blocked_by.startswith("rung 4 (data-causal): control delete_random")


def test_a_head_must_matter_more_than_an_ordinary_one():
    """The whole model suffers from any ablation: the target's cost is no evidence unless it exceeds the median's."""
    weak = location(ablation=(0.5, 0.7), others=(0.7, 0.9))
    assert rung(where=weak) == 1


def test_runs_that_never_emerged_leave_a_delay_that_is_at_least_as_long():
    claim = draw(effects=retrained(late=(5, 0)))[0]
    assert claim.rung == 4
    (delay,) = [item for item in claim.evidence if item.name == "delete_top: delay of emergence (log steps)"]
    assert delay.note.endswith("so the shift is at least this")


def test_controls_that_never_emerged_block_rung_four():
    assert rung(effects=retrained(late=(5, 1))) == 3
    claim = draw(effects=retrained(tardy=(1, 0)))[0]
    assert claim.rung == 3
    assert "control delete_random" in claim.blocked_by


def test_without_planted_documents_rung_zero_is_not_measured():
    claim = draw(scores=[])[0]
    assert claim.data == "the 10% of documents ranked highest by influence"
    assert claim.shown == (1, 2, 3, 4)
    assert claim.rung == 4


def test_a_ranking_that_is_no_influence_is_not_called_influence():
    claim = draw(scores=methods(ranking="loss"), study=STUDY.model_copy(update={"ranking": "loss"}))[0]
    assert claim.data.startswith("the 10% of documents ranked highest by 'loss' (90%")
    assert claim.evidence[0].name.startswith("'loss' ranks these documents above the others")


def test_natural_text_that_is_ranked_below_the_planted_stands_on_no_rung():
    natural = draw()[1]
    assert natural.rung is None
    assert natural.evidence[0].effect.estimate == pytest.approx(1 - 0.965)
    assert (natural.evidence[0].effect.low, natural.evidence[0].effect.high) == pytest.approx((0.01, 0.06))
    assert not natural.evidence[0].passed
    assert 4 not in natural.shown


def test_natural_text_that_moves_the_head_would_be_said():
    scores = methods(planted=(0.2, 0.3), natural=(0.1, 0.2))
    natural = draw(scores=scores, effects=retrained(natural=(0.2, 0.4)))[1]
    assert natural.evidence[0].passed
    assert natural.rung == 3  # the delay passed, but the same interval for the strength is a rise, not a loss


def test_natural_text_has_no_claim_where_it_was_not_deleted():
    assert len(draw(effects=[item for item in retrained() if item.arm != "delete_natural"])) == 1


def test_the_other_arms_say_nothing_about_deletion():
    names = [item.name for item in draw()[0].evidence if item.rung == 4]
    assert names == [
        "delete_top: delay of emergence (log steps)",
        f"delete_top: change of the final {STRENGTH}",
        "control delete_random: emergence shifts by less than 15 % (log steps)",
    ]


def test_the_rival_head_is_named():
    (necessity,) = [item for item in draw()[0].evidence if item.rung == 2]
    assert np.isclose(necessity.effect.estimate, 1.2)
    assert "median 0.00, largest 0.00 (L0.H0)" in necessity.null
