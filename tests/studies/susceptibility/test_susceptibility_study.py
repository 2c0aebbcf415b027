"""The whole study on pipelines that take milliseconds: what is run, what is shared, and that it resumes."""

import shutil

import numpy as np
import polars as pl
import pytest
from tiny_study import LETTERS, study_file, tiny_study, write_files, write_model

from imprint.errors import ConfigError, CorpusError
from imprint.runs import LocalExecutor, Store
from imprint.studies import run_susceptibility_study
from imprint.studies.susceptibility import NotExamined
from imprint.studies.susceptibility.outcomes import condition_means, nest_of
from imprint.studies.susceptibility.pipelines import pipelines


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("susceptibility")
    write_files(folder)
    write_model(folder / "model")
    study = tiny_study(folder)
    return folder, study, run_susceptibility_study(study, folder / "out", executor=LocalExecutor(1))


def test_the_table_holds_the_whole_nest(ran):
    _, study, found = ran
    assert found.table.height == len(LETTERS) * 2 * 6
    assert (
        found.table.select(pl.struct("condition", "pipeline", "stage", "sample").is_duplicated().any()).item() is False
    )
    means = condition_means(found.table, "x")
    assert list(means) == list(study.conditions)
    nest = nest_of(found.table, "x")
    assert nest.stages is None
    assert nest.values.mean() == pytest.approx(np.mean(list(means.values())))


def test_what_a_condition_teaches_is_what_its_models_prefer(ran):
    _, _, found = ran
    means = list(condition_means(found.table, "x").values())
    assert means == sorted(means), "the larger the share of x, the larger the margin of x over y"
    assert means[-1] - means[0] > 1


def test_every_registered_hypothesis_has_a_verdict_or_a_reason(ran):
    _, study, found = ran
    assert [one.id for one in found.examined] == [one.id for one in study.hypotheses]
    assert all(not isinstance(one, NotExamined) or one.reason for one in found.examined)
    assert found.explanation.named in ("unexplained", "few conversations", "representation", "surface")
    (variance,) = found.variance
    assert variance.one_way.f.p < 0.01


def test_the_removal_pulls_the_outcome_towards_the_others(ran):
    _, _, found = ran
    highest, lowest = found.removal.removals
    assert (highest.condition, highest.above, lowest.condition, lowest.above) == ("d", True, "a", False)
    assert len(highest.drivers) == 4
    shifts = [(highest.outcomes[one] - highest.outcomes["drivers"]).mean() for one in ("random", "untouched")]
    assert highest.shift.estimate == pytest.approx(min(shifts) / found.removal.sd), "the smaller one counts"


def test_pipelines_share_what_comes_before_the_conditions(ran):
    folder, study, _ = ran
    lines = pipelines(study)
    assert len({one.base.key for one in lines}) == 1
    assert len({one.finals[0].key for one in lines}) == len(lines)
    by_seed = {one.seed: one.stages[0] for one in lines if one.condition == "a"}
    other = {one.seed: one.stages[0] for one in lines if one.condition == "b"}
    assert {seed: step.seed for seed, step in by_seed.items()} == {seed: step.seed for seed, step in other.items()}
    steps = [entry.manifest.step for entry in Store(folder / "out" / "store").list()]
    stages = [step for step in steps if step.endswith(("SupervisedTuning", "PreferenceTuning"))]
    assert len(stages) == (len(lines) + 2 * 2 * 3) * 4, "untouched pipelines, and three arms of two conditions"


def test_the_same_command_resumes_to_the_same_result(ran):
    folder, study, found = ran
    again = run_susceptibility_study(study, folder / "out", executor=LocalExecutor(1))
    assert again.table.equals(found.table)
    assert again.examined == found.examined
    with pytest.raises(ConfigError, match="begun with another design"):
        run_susceptibility_study(tiny_study(folder, context=44), folder / "out", executor=LocalExecutor(1))


def test_other_content_under_the_same_name_is_another_design(ran, tmp_path):
    folder, _, _ = ran
    shutil.copytree(folder, tmp_path / "there")
    with (tmp_path / "there" / "items.jsonl").open("a") as stream:
        stream.write('{"prompt": "say 9", "chosen": "xx", "rejected": "yy"}\n')
    with pytest.raises(ConfigError, match="outcomes changed"):
        run_susceptibility_study(tiny_study(tmp_path / "there"), folder / "out", executor=LocalExecutor(1))


def test_stage_seeds_are_no_pipelines(ran, tmp_path):
    folder, _, _ = ran
    study = tiny_study(folder, pipelines={"seeds": 2, "stage_seeds": 2}, representation=None, removal=None)
    shutil.copytree(folder / "out" / "store", tmp_path / "out" / "store")
    found = run_susceptibility_study(study, tmp_path / "out", executor=LocalExecutor(1))
    assert nest_of(found.table, "x").stages is not None
    assert found.variance[0].one_way.f.denominator_df == len(LETTERS)


def test_a_malformed_line_is_warned_of_and_an_empty_file_refused(ran, tmp_path):
    folder, _, _ = ran
    for path in folder.glob("*.jsonl"):
        shutil.copy(path, tmp_path)
    shutil.copytree(folder / "model", tmp_path / "model")
    with (tmp_path / "a.jsonl").open("a") as stream:
        stream.write('{"prompt": "say 1", "response": ""}\nno json\n')
    study = tiny_study(tmp_path, representation=None, removal=None)
    found = run_susceptibility_study(study, tmp_path / "out", executor=LocalExecutor(1))
    assert any("a.jsonl:17" in warning and "a.jsonl:18" in warning for warning in found.warnings)
    (tmp_path / "a.jsonl").write_text("")
    with pytest.raises(CorpusError, match=r"a\.jsonl holds no conversation"):
        run_susceptibility_study(study, tmp_path / "other", executor=LocalExecutor(1))


def test_what_would_stop_half_way_is_refused_before_anything_is_written(ran, tmp_path):
    folder, _, _ = ran

    def refused(match, **changes):
        with pytest.raises(ConfigError, match=match):
            run_susceptibility_study(tiny_study(folder, **changes), tmp_path / "out", executor=LocalExecutor(1))
        assert not (tmp_path / "out").exists()

    probes = study_file(folder)["representation"]
    refused("conditions.a: there is no file 'nowhere.jsonl'", conditions={"a": ["nowhere.jsonl"], "b": ["b.jsonl"]})
    refused("rows of 64 tokens do not fit", context=64)
    refused("names layer 7, the base model has layers 0 to 0", representation=probes | {"sites": ["L7.resid_post"]})
