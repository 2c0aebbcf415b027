"""What a perturbation study's file may say, and what is refused before anything is read."""

import pytest

from imprint.errors import ConfigError
from imprint.studies import MechanismStudy, load_mechanism_study, parse_study
from imprint.studies.perturbation.config import DEFAULT_DOSES
from imprint.studies.perturbation.registration import OWN_TEXT, TARGETED, check_hypotheses, parse_harm
from tiny_perturbation import tiny_perturbation


def parse(tmp_path, **changes):
    return parse_study(tiny_perturbation(tmp_path, **changes), where="study.yaml")


def test_the_kinds_are_told_apart(tmp_path):
    assert parse(tmp_path).kind == "perturbation"
    assert isinstance(parse_study({}, where="x"), MechanismStudy)
    with pytest.raises(ConfigError, match="kinds are: mechanism, perturbation"):
        parse_study({"kind": "other"}, where="x")


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("perturbations", {"doses": {"ablation": [0.5, float("nan")]}}, "nan is not a dose"),
        ("perturbations", {"doses": {"ablation": [0.5, -1.0]}}, "-1.0 is not a dose"),
        ("perturbations", {"doses": {"ablation": [0.5, 1.5]}}, "no more than all"),
        ("perturbations", {"doses": {"shift": [2.0]}}, "at least two different doses"),
        ("perturbations", {"doses": {"shift": [4.0, 2.0]}}, "ascending"),
        ("perturbations", {"site": "L1.rezid"}, "not the address of a component"),
        ("perturbations", {"site": "L1.mlp"}, "not the residual stream"),
        ("perturbations", {"site": "L0.resid_pre"}, "not the residual stream behind a block"),
        ("perturbations", {"control_draws": 1}, "greater than or equal to 2"),
        ("perturbations", {"families": []}, "at least one family"),
        ("perturbations", {"token_shares": [0.0]}, "not a share"),
        ("abilities", {"controls": ["sst2"]}, "not among the suites"),
        ("abilities", {"suites": ["copa", "copa"], "controls": []}, "named twice"),
        ("clusters", {"method": {"kind": "lda", "topics": 1}}, "greater than or equal to 2"),
        ("clusters", {"tokenz": 3}, "did you mean 'tokens'"),
        ("clusters", {"method": {"kind": "lda", "topicz": 3}}, "did you mean 'topics'"),
        ("clusters", {"method": {"kind": "ldaa"}}, "lda"),
        ("perturbations", {"famillies": []}, "did you mean 'families'"),
    ],
)
def test_bad_values_are_refused(tmp_path, section, change, message):
    with pytest.raises(ConfigError, match=message):
        parse(tmp_path, **{section: change})


def test_a_site_that_is_not_the_stream_may_be_ablated(tmp_path):
    changed = {"site": "L1.mlp", "families": ["ablation"], "token_shares": []}
    assert parse(tmp_path, perturbations=changed).perturbations.site == "L1.mlp"


def test_every_family_has_default_doses(tmp_path):
    chosen = parse(tmp_path, perturbations={"doses": {}}).perturbations
    assert chosen.doses_of("ablation") == DEFAULT_DOSES["ablation"]
    assert all(list(doses) == sorted(doses) for doses in DEFAULT_DOSES.values())


def test_environment_variables_are_put_in(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTS", "/texts")
    given = {"paths": ["${TEXTS}/a", "${NOWHERE_SET:-there}/b"]}
    assert [str(path) for path in parse(tmp_path, clusters=given).clusters.paths] == ["/texts/a", "there/b"]
    with pytest.raises(ConfigError, match="NOWHERE_SET is not set"):
        parse(tmp_path, clusters={"paths": ["${NOWHERE_SET}/b"]})


def test_default_hypotheses_name_each_control(tmp_path):
    study = parse(tmp_path)
    assert [item.metric for item in study.hypotheses] == [OWN_TEXT, TARGETED, "harm.rte"]


def test_hypotheses_that_cannot_be_judged_are_refused(tmp_path):
    rule = {"id": "X", "statement": "s", "threshold": 0.1, "direction": "greater", "test": "t"}
    with pytest.raises(ConfigError, match="no ability 'sst2'"):
        parse(tmp_path, hypotheses=[rule | {"metric": "harm.sst2"}])
    with pytest.raises(ConfigError, match=r"harm\.ABILITY"):
        parse(tmp_path, hypotheses=[rule | {"metric": "hurt.rte"}])
    study = parse(tmp_path, hypotheses=[rule | {"metric": "harm.rte.prose"}])
    check_hypotheses(study.hypotheses, ["rte"], ["prose", "code"])
    with pytest.raises(ConfigError, match="no cluster 'prose'"):
        check_hypotheses(study.hypotheses, ["rte"], ["code"])


def test_harm_metrics_are_read():
    assert parse_harm("harm.rte") == ("rte", None)
    assert parse_harm("harm.rte.a.b") == ("rte", "a.b")


def test_verbs_that_train_refuse_it(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("kind: perturbation\nmodel: {name: x}\nclusters: {paths: [y]}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="abilities"):
        load_mechanism_study(path)
