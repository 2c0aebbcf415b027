"""What a susceptibility study's file may say, and what is refused before anything runs."""

import pytest
from tiny_study import study_file, tiny_study

from imprint.errors import ConfigError
from imprint.studies import SusceptibilityStudy
from imprint.studies.registration import register_design
from imprint.studies.susceptibility import default_hypotheses, metric_of
from imprint.studies.susceptibility.design import design_of


def test_defaults_register_four_hypotheses_in_order_of_cost(tmp_path):
    study = tiny_study(tmp_path)
    assert isinstance(study, SusceptibilityStudy)
    assert [one.id for one in study.hypotheses] == ["H1", "H1b", "H4", "H2", "H3"]
    assert {one.id: one.threshold for one in study.hypotheses} == {
        "H1": 0.7,
        "H1b": 0.8,
        "H4": 0.0,
        "H2": 0.5,
        "H3": 1.0,
    }
    content = study_file(tmp_path)
    del content["stopping"]
    rules = SusceptibilityStudy(**content).stopping
    assert [(rule.after, rule.when, rule.skip) for rule in rules] == [
        ("H4", "not supported", ("H2", "H3")),
        ("H1", "supported", ("H2", "H3")),
    ]


def test_hypotheses_follow_the_sections_that_there_are():
    ids = [one.id for one in default_hypotheses("x", represented=False, removed=True)]
    assert ids == ["H1", "H1b", "H4", "H3"]
    assert metric_of("removal.shift.x") == ("removal.shift", "x")
    assert metric_of("surface.accuracy") == ("surface.accuracy", "")


def test_what_cannot_be_judged_is_refused(tmp_path):
    def refused(match, **changes):
        with pytest.raises(ConfigError, match=match):
            tiny_study(tmp_path, **changes)

    stages = study_file(tmp_path)["stages"]
    hypothesis = {"id": "X", "statement": "s", "threshold": 0.1, "direction": "greater", "test": "t"}
    refused("at least 2", conditions={"a": ["a.jsonl"]})
    refused("exactly one must", stages=[stages[1], stages[3]])
    refused("a shared stage must follow", stages=[stages[1], stages[0]])
    refused("name them apart", stages=[stages[0], stages[0] | {"data": ["x.jsonl"]}, stages[3], stages[3]])
    refused("did you mean 'stages'", stagess=stages)
    refused("is not known; write one of", hypotheses=[hypothesis | {"metric": "kl"}])
    refused("no outcome 'y'", hypotheses=[hypothesis | {"metric": "variance.icc.y"}])
    refused("'greater'", hypotheses=[hypothesis | {"metric": "variance.icc.x", "direction": "less"}])
    refused("needs the section 'removal'", hypotheses=[hypothesis | {"metric": "removal.shift.x"}], removal=None)
    refused(
        "a stopping rule speaks of 'H9'",
        stopping=[{"after": "H9", "when": "supported", "skip": ["H2"], "because": "b"}],
    )
    late = [{"after": "H4", "when": "supported", "skip": ["H1"], "because": "b"}]
    refused("H1 is examined before it", stopping=late)
    one = hypothesis | {"metric": "variance.icc.x"}
    refused("same metric and outcome", hypotheses=[one, one | {"id": "Y", "alpha": 0.9}])
    refused("exceeds the 2 pipeline seeds", removal={"attribution_seeds": 3})
    refused("greater than or equal to 8", removal={"subsets": 5})
    replayed = [stages[0] | {"tuning": stages[0]["tuning"] | {"dropout": True}}, *stages[1:]]
    refused("which dropout forbids", stages=replayed, removal={"method": "metagradient"})
    refused("'sft' has no data", stages=[stages[0], stages[1] | {"data": []}, *stages[2:]])
    refused("there is no condition 'z'", removal={"conditions": ["z"]})
    refused("choose from js1.reference", surface={"scalars": ["js9"]})
    refused("'los' is not measured", representation=study_file(tmp_path)["representation"] | {"scalars": ["los"]})
    refused("either model or pretraining", base={})
    refused("the same for every seed", base={"model": str(tmp_path), "each_seed": True})


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("removal", {"fractoin": 0.1}),
        ("representation", {"promts": []}),
        ("base", {"modell": "x"}),
        ("pipelines", {"seed": 3}),
    ],
)
def test_a_misspelt_key_of_any_section_has_a_suggestion(tmp_path, section, change):
    content = study_file(tmp_path)
    with pytest.raises(ConfigError, match=r"unknown key .*did you mean"):
        tiny_study(tmp_path, **{section: content[section] | change})


def test_a_misspelt_key_within_a_stage_has_a_suggestion(tmp_path):
    stages = study_file(tmp_path)["stages"]
    for change in ({"tunning": {}}, {"tuning": {"learning_rat": 1.0}}, {"lora": {"rnk": 2}}):
        with pytest.raises(ConfigError, match=r"unknown key .*did you mean"):
            tiny_study(tmp_path, stages=[stages[0] | change, *stages[1:]])


def test_a_design_is_registered_once_wherever_its_files_lie(tmp_path):
    first, moved = tiny_study(tmp_path / "here"), tiny_study(tmp_path / "there")
    digest = register_design(design_of(first), tmp_path / "out")
    assert register_design(design_of(moved), tmp_path / "out") == digest
    assert (
        register_design(design_of(first.model_copy(update={"deviations": ("one seed died",)})), tmp_path / "out")
        == digest
    )
    with pytest.raises(ConfigError, match="seed changed"):
        register_design(design_of(tiny_study(tmp_path, seed=1)), tmp_path / "out")
