import json
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from imprint.errors import ConfigError, InputError
from imprint.studies import MechanismStudy, load_study, parse_study, study_schema
from imprint.studies.mechanism.hypotheses import default_hypotheses
from tiny_studies import TINY, tiny_content

ROOT = Path(__file__).parents[3]
RULE = {
    "id": "H1",
    "statement": "Deleting the top decile delays emergence.",
    "metric": "onset.delete_top_vs_delete_random",
    "threshold": 0.0,
    "direction": "greater",
    "test": "sign flips",
}


def refused(content, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_study(content, where="study.yaml")
    assert str(caught.value).startswith("study.yaml: ")
    assert "\n" not in str(caught.value)


def test_an_empty_study_is_the_demo():
    study = parse_study({}, where="study.yaml")
    assert study == MechanismStudy()
    assert study.hypotheses == default_hypotheses()
    assert study.arms == (
        "keep",
        "delete_top",
        "delete_random",
        "delete_natural",
        "delete_random_natural",
        "duplicate_top",
        "duplicate_random",
    )


def test_a_study_survives_its_own_yaml(tmp_path):
    study = parse_study(tiny_content(tmp_path), where="study.yaml")
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(study.model_dump(mode="json")))
    assert load_study(tmp_path / "again.yaml") == study


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_examples_load(path, tmp_path, monkeypatch):
    for variable in ("IMPRINT_CORPUS", "IMPRINT_TOKENIZER", "IMPRINT_WIKITEXT"):
        monkeypatch.setenv(variable, str(tmp_path))
    load_study(path)


def test_the_example_is_the_demo():
    """It says of itself that its keys are the defaults."""
    example, demo = load_study(ROOT / "examples" / "mechanism.yaml"), MechanismStudy()
    assert example.model_copy(update={"hypotheses": demo.hypotheses}) == demo
    assert example.hypotheses[0].metric == demo.hypotheses[1].metric


def test_the_schema_in_the_documentation_is_the_code_s():
    path = ROOT / "docs" / "reference" / "study.schema.json"
    schema = json.dumps(study_schema(), indent=2, sort_keys=True) + "\n"
    assert path.read_text(encoding="utf-8") == schema, (
        "the study file's schema changed; renew the documentation with: .venv/bin/python -c 'import json; from"
        " imprint.studies import study_schema; print(json.dumps(study_schema(), indent=2, sort_keys=True))'"
        " > docs/reference/study.schema.json"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"trainning": {}}, "unknown key 'trainning'; did you mean 'training'"),
        ({"training": {"step": 5}}, "unknown key 'training.step'; did you mean 'steps'"),
        ({"training": {"optimisation": {"lerning_rate": 1}}}, "'training.optimisation.lerning_rate'.*'learning_rate'"),
        ({"architecture": {"modeltype": "gpt2"}}, "'architecture.modeltype'; did you mean 'model_type'"),
        ({"probe": {"zzz": 1}}, "unknown key 'probe.zzz'; known keys: alphabet, rows, periods, seed, bos"),
        ({"hypotheses": [RULE | {"treshold": 1}]}, "'hypotheses.0.treshold'; did you mean 'threshold'"),
    ],
)
def test_unknown_keys(content, message):
    refused(content, message)


def test_a_misspelt_key_is_named_before_the_key_that_is_then_missing():
    rule = {key: value for key, value in RULE.items() if key != "threshold"}
    refused({"hypotheses": [rule | {"treshold": 1}]}, "unknown key 'hypotheses.0.treshold'; did you mean 'threshold'")


def test_keys_that_are_no_text():
    refused({1: 2}, "Keys should be strings")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"training": {"seeds": 1}}, r"training.seeds: .*greater than or equal to 2 \(it is 1\)"),
        ({"training": {"steps": "many"}}, r"training.steps: .*valid integer.* \(it is 'many'\)"),
        (
            {"training": {"steps": 50, "checkpoint_every": 50}},
            "checkpoint_every 50 leaves no checkpoint .* of 50 steps",
        ),
        ({"corpus": {"novel_repeats": 0.6, "boilerplate": 0.4}}, "leave no room for natural text"),
        ({"corpus": {"novel_repeats": 0.8, "boilerplate": 0.15}}, "10% of all documents but only 5% are natural"),
        ({"interventions": {"controls": ["weather"]}}, "interventions.controls.0: .*'random', 'loss', 'length' or"),
        ({"interventions": {"window": [100, 5000]}}, "window 100..5000 must lie within 1..2000"),
        ({"interventions": {"window": [0, 500]}}, "window 0..500 must lie within 1..2000"),
        ({"interventions": {"window": [550, 1000]}}, "begins at step 550, which is no multiple of checkpoint_every"),
        ({"kind": "survey"}, "kind 'survey' is not a study; the kinds are: mechanism"),
        ({"ranking": "influence"}, "ranking 'influence' is not known; choose one of consensus, log_prob, .*BM25"),
        ({"architecture": {"model_type": "gtp2"}}, "gtp2"),
        ({"architecture": {"model_type": "bert"}}, "'bert' does not predict the next token"),
        ({"architecture": {"config": {"n_layers": 2}}}, "no 'n_layers'; did you mean 'n_layer'"),
        ({"probe": {"alphabet": [0, *range(40, 80)]}}, "the alphabet holds the BOS token 0"),
        ({"probe": {"alphabet": [*range(200, 300)]}}, "token 299 is not in the model's vocabulary of 256"),
        ({"probe": {"alphabet": [40, 41]}}, "too short for 2 different repeat periods"),
        ({"corpus": {"passage_bytes": 32}}, "passage_bytes 32 is too short .* read position 64 of the context of 64"),
    ],
)
def test_bad_values(content, message):
    refused(content, message)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"n_layer": 1}, "a model of one layer forms no induction head"),
        ({"n_positions": 16}, "a context of 16 tokens is too short for an ICL score"),
    ],
)
def test_models_that_could_not_be_measured(sizes, message, tmp_path):
    refused(tiny_content(tmp_path, architecture=TINY | {"config": TINY["config"] | sizes}), message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "onsett.delete_top_vs_delete_random"}, "metric 'onsett.delete_top_vs_delete_random' is not known"),
        ({"metric": "onset.delete_top"}, "write auc.novel_repeats or <metric>.<arm>_vs_<control>"),
        (
            {"metric": "onset.delete_loss_vs_keep"},
            "H1 cannot be judged: the study has no arm 'delete_loss'; its arms are",
        ),
        ({"direction": "sideways"}, "hypotheses.0.direction: .*'greater', 'less' or 'absolute-less'"),
        ({"direction": "absolute-less", "threshold": -1}, "threshold=-1.0 of H1 must be positive"),
    ],
)
def test_hypotheses_that_could_not_be_judged(changes, message):
    refused({"hypotheses": [RULE | changes]}, message)


def test_two_hypotheses_of_one_id():
    refused({"hypotheses": [RULE, RULE]}, "H1 registered twice")


def test_hypotheses_about_planted_documents_need_some():
    for metric in ("auc.novel_repeats", "loss.repeats.delete_top_vs_keep"):
        refused(
            {"corpus": {"novel_repeats": 0}, "hypotheses": [RULE | {"metric": metric}]}, "corpus.novel_repeats above 0"
        )


def test_python_users_meet_the_same_checks():
    with pytest.raises(ValidationError, match="ranking"):
        MechanismStudy(ranking="influence")
    with pytest.raises(InputError, match="cannot be judged"):
        MechanismStudy.model_validate({"hypotheses": [RULE | {"metric": "onset.nobody_vs_keep"}]})


@pytest.mark.parametrize(
    ("sections", "left"),
    [
        ({"interventions": {"natural": False}}, ["H1", "H2", "H3", "H4", "H6"]),
        ({"interventions": {"duplicate": False}}, ["H1", "H2", "H3", "H5", "H6"]),
        ({"corpus": {"novel_repeats": 0}}, ["H2", "H3", "H4", "H5", "H6"]),
        ({"corpus": {"novel_repeats": 0, "boilerplate": 0}}, ["H2", "H3", "H4", "H6"]),
    ],
)
def test_by_default_only_what_can_be_judged_is_registered(sections, left):
    assert [hypothesis.id for hypothesis in parse_study(sections, where="x").hypotheses] == left


def test_natural_text_has_an_arm_only_beside_planted_text():
    assert "delete_natural" not in parse_study({"corpus": {"novel_repeats": 0, "boilerplate": 0}}, where="x").arms


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: [1, 2", "is not valid YAML: .*line 1"),
        ("- a\n- b\n", "holds list, not a mapping"),
        ("", "holds NoneType, not a mapping"),
        ("just words", "holds str, not a mapping"),
    ],
)
def test_files_that_are_no_study(tmp_path, text, message):
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_study(tmp_path / "study.yaml")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"title: \xff\xfe\n")
    with pytest.raises(ConfigError, match="is not valid YAML"):
        load_study(tmp_path / "bytes.yaml")
    with pytest.raises(ConfigError, match=r"cannot be read: No such file"):
        load_study(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("name", "scales"), [("mda_cpu", ["w40", "w48", "w96"]), ("mda_pythia", ["31M", "70M", "160M"])]
)
def test_the_examples_of_several_sizes_can_be_run(name, scales, tmp_path, monkeypatch):
    for variable in ("IMPRINT_CORPUS", "IMPRINT_TOKENIZER", "IMPRINT_WIKITEXT"):
        monkeypatch.setenv(variable, str(tmp_path))
    study = load_study(ROOT / "examples" / f"{name}.yaml")
    assert [scale.name for scale in study.scales] == scales
    assert study.training.seeds == 5
    assert study.smallest == ("w40" if name == "mda_cpu" else "14M")
    named = [hypothesis.metric for hypothesis in study.hypotheses]
    assert all(
        arm in study.arms for metric in named for arm in metric.rpartition(".")[2].split("_vs_") if "_vs_" in metric
    )
