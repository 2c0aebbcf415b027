import json

import polars as pl
import pytest

from imprint.errors import ConfigError, CorpusError, ImprintError
from imprint.report import (
    load_report_data,
    render_markdown,
    report_data,
    save_report_data,
    write_evidence,
    write_report,
)
from imprint.runs import LocalExecutor, Store, file_digest
from imprint.studies import STAGES, parse_study, run_mechanism_study, train_untouched
from imprint.studies.mechanism import attributed as mechanism
from imprint.studies.mechanism.attributed import choose_window
from tiny_studies import bytes_of, tiny_content, write_text

HERE = LocalExecutor(workers=1)


class Listener:
    """A reporter that remembers the stages, and how far each of them came."""

    def __init__(self):
        self.stages, self.done = {}, {}

    def stage(self, name, total):
        from contextlib import nullcontext

        self.stages[name], self.done[name] = total, 0

        def advance(units):
            self.done[name] += units

        return nullcontext(advance)

    def message(self, text):
        pass


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("corpus") / "text")


@pytest.fixture(scope="module")
def study(text):
    return parse_study(tiny_content(text), where="study.yaml")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def unformed(study, out):
    """The study as it is: forty steps form no head."""
    with pytest.raises(ImprintError) as caught:
        run_mechanism_study(study, out, executor=HERE)
    return caught.value, bytes_of(out / "store")


@pytest.fixture(scope="module")
def finished(study, out, unformed):
    """The same study in the same folder, told that the weakest head will do."""
    listener = Listener()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mechanism, "LEAST_STRENGTH", 0.0)
        result = run_mechanism_study(study, out, executor=HERE, reporter=listener)
    save_report_data(report_data(result, command="imprint run study.yaml", created="today"), out / "report.json")
    write_report(load_report_data(out / "report.json"), out)
    write_evidence(result, out, command="imprint run study.yaml")
    return result, listener


def test_no_head_is_said_in_one_sentence_with_exit_code_one(unformed):
    error, _ = unformed
    assert error.exit_code == 1
    assert str(error).startswith("no induction head formed in the reference run (largest prefix matching 0.")
    assert str(error).endswith("train longer or plant more novel repeats")
    assert "\n" not in str(error)


def test_nothing_is_lost_when_no_head_formed(unformed, finished, out):
    _, before = unformed
    after = bytes_of(out / "store")
    assert before
    assert {name: after[name] for name in before} == before
    assert len(after) > len(before)


def test_every_stage_is_timed_and_told(finished, out):
    result, listener = finished
    assert set(result.seconds) == set(STAGES)
    assert json.loads((out / "seconds.json").read_text()) == result.seconds
    assert {name.partition(":")[0] for name in listener.stages} == {
        "corpus",
        "train",
        "locate",
        "attribute",
        "intervene",
    }
    for name, total in listener.stages.items():
        assert listener.done[name] == total, name


def test_what_was_found_fits_together(finished, study):
    result, _ = finished
    assert result.study == study
    assert (result.reference_seed, result.window[1]) == (0, 40)
    assert result.transition in (0, 20, 40)
    runs = result.trajectories.select("arm", "seed").unique()
    assert set(runs.iter_rows()) == {(arm, seed) for arm in study.arms for seed in (0, 1)} == set(result.onsets)
    assert result.treated_rows == dict.fromkeys(study.arms[1:], round(0.1 * len(result.packed)))
    assert sorted(result.order) == list(range(len(result.packed)))
    assert [verdict.id for verdict in result.verdicts] == [item.id for item in study.hypotheses]
    assert len(result.claims) == 2
    assert {item.rung for item in result.claims[0].evidence} == {0, 1, 2, 3, 4}
    assert {share.domain for share in result.domains} == {"boilerplate", "code", "novel repeats", "prose"}


def test_arms_share_everything_before_the_window(finished):
    """At the window's start every arm of a seed is the untouched run, to the last bit."""
    result, _ = finished
    first = result.trajectories.filter(pl.col("step") == result.window[0])
    for (_, _), group in first.group_by("seed", "metric"):
        assert group["arm"].n_unique() == len(result.study.arms)
        assert group["value"].n_unique() == 1


def test_deleting_something_changes_the_run(finished):
    result, _ = finished
    last = result.trajectories.filter(pl.col("step") == 40, pl.col("metric") == "loss.heldout", pl.col("seed") == 0)
    assert last["value"].n_unique() == len(result.study.arms)


def test_evidence_has_the_promised_shape(finished, out):
    result, _ = finished
    evidence = json.loads((out / "evidence.json").read_text())
    assert {"claims", "hypotheses", "seconds"} <= set(evidence)
    for claim in evidence["claims"]:
        assert {"data", "mechanism", "capability", "rung", "evidence"} <= set(claim)
        for item in claim["evidence"]:
            assert {"rung", "name", "effect"} <= set(item)
            assert {"estimate", "low", "high", "n", "unit", "control"} <= set(item["effect"])
            assert item["effect"]["low"] <= item["effect"]["high"]
    for hypothesis in evidence["hypotheses"]:
        assert {"id", "statement", "metric", "threshold", "verdict", "statistic", "p"} <= set(hypothesis)
        assert hypothesis["verdict"] in ("supported", "refuted", "inconclusive")
    assert set(evidence["seconds"]) == set(STAGES)
    assert evidence["registration"] == result.registration


def test_the_manifest_names_every_file_by_its_digest(finished, out):
    manifest = json.loads((out / "manifest.json").read_text())
    assert set(manifest["files"]) == {
        "report.html",
        "report.md",
        "report.json",
        "evidence.json",
        "registration.json",
        "trajectories.parquet",
    }
    for name, digest in manifest["files"].items():
        assert file_digest(out / name) == digest, name
    assert parse_study(manifest["study"], where="manifest") == finished[0].study
    store = Store(out / "store")
    for key in manifest["steps"].values():
        assert store.entry(key)


def test_the_report_says_what_was_found(finished, out):
    result, _ = finished
    data = load_report_data(out / "report.json")
    assert len(data.answer_lines) == 5
    assert len({point.arm for point in data.trajectories}) == len(result.study.arms)
    assert {row.arm for row in data.effects} == set(result.study.arms[1:])
    assert {domain.domain for domain in data.domains if domain.planted} == {"novel repeats", "boilerplate"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "A tiny study" in page
    assert result.registration in page


def test_a_second_run_finds_the_same_and_computes_nothing(finished, study, out, monkeypatch):
    monkeypatch.setattr(mechanism, "LEAST_STRENGTH", 0.0)
    before = bytes_of(out / "store", manifests=True)
    again = run_mechanism_study(study, out, executor=HERE)
    assert bytes_of(out / "store", manifests=True) == before
    assert again.trajectories.equals(finished[0].trajectories)
    assert [claim.as_dict() for claim in again.claims] == [claim.as_dict() for claim in finished[0].claims]
    assert again.verdicts == finished[0].verdicts


def test_hypotheses_cannot_be_changed_once_the_run_has_begun(finished, text, out):
    rule = finished[0].study.hypotheses[0].model_dump()
    weaker = parse_study(tiny_content(text, hypotheses=[rule | {"threshold": 0.5}]), where="study.yaml")
    before = bytes_of(out)
    with pytest.raises(ConfigError, match="was registered with other hypotheses"):
        run_mechanism_study(weaker, out, executor=HERE)
    with pytest.raises(ConfigError, match="was registered with other hypotheses"):
        train_untouched(weaker, out, executor=HERE)
    assert bytes_of(out) == before


def test_a_corpus_that_cannot_be_read_registers_nothing(tmp_path):
    (tmp_path / "text").mkdir()
    study = parse_study(tiny_content(tmp_path / "text"), where="study.yaml")
    with pytest.raises(CorpusError, match="is empty: no document was found") as caught:
        run_mechanism_study(study, tmp_path / "out", executor=HERE)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out" / "registration.json").exists()


def test_untouched_runs_are_those_of_the_study(finished, study, out):
    before = bytes_of(out / "store", manifests=True)
    runs = train_untouched(study, out, executor=HERE)
    assert bytes_of(out / "store", manifests=True) == before
    assert [run.seed for run in runs] == [0, 1]
    for run in runs:
        onset = finished[0].onsets["keep", run.seed]
        assert (run.onset, run.emerged) == (onset.step, not onset.censored)


def rising(strength):
    steps = [0, 100, 200, 300, 400, 500]
    metrics = {"induction.prefix_matching": strength, "copy.accuracy": [0.0] * 6}
    return pl.DataFrame(
        [
            {"arm": "keep", "seed": 0, "step": step, "metric": name, "value": value}
            for name, values in metrics.items()
            for step, value in zip(steps, values, strict=True)
        ]
    )


@pytest.mark.parametrize(
    ("strength", "transition", "first"),
    [
        ([0.02, 0.02, 0.05, 0.2, 0.5, 0.6], 300, 200),
        ([0.02, 0.02, 0.02, 0.02, 0.02, 0.4], 400, 300),
        ([0.02, 0.3, 0.5, 0.5, 0.5, 0.5], 100, 100),
    ],
)
def test_the_window_begins_at_a_checkpoint_before_the_transition(strength, transition, first):
    study = parse_study({"training": {"steps": 500, "checkpoint_every": 100}}, where="x")
    assert choose_window(study, rising(strength)) == (0, transition, (first, 500))


def test_a_window_of_the_user_s_is_kept():
    given = {"training": {"steps": 500, "checkpoint_every": 100}, "interventions": {"window": [200, 300]}}
    study = parse_study(given, where="x")
    assert choose_window(study, rising([0.0, 0.1, 0.2, 0.3, 0.4, 0.5]))[2] == (200, 300)


def test_a_head_that_is_too_weak_is_none():
    study = parse_study({"training": {"steps": 500, "checkpoint_every": 100}}, where="x")
    with pytest.raises(ImprintError, match=r"largest prefix matching 0\.199, copy accuracy 0\.000 after 500 steps"):
        choose_window(study, rising([0.0, 0.1, 0.199, 0.1, 0.1, 0.1]))
    choose_window(study, rising([0.0, 0.1, 0.2, 0.1, 0.1, 0.1]))


def test_a_study_without_anything_planted(text, tmp_path, monkeypatch):
    """No cause to separate: no methods table, no natural arm, and the answer says that nothing was tested."""
    monkeypatch.setattr(mechanism, "LEAST_STRENGTH", 0.0)
    bare = {"novel_repeats": 0, "boilerplate": 0}
    arms = {"duplicate": False, "controls": []}
    study = parse_study(tiny_content(text, corpus=bare, interventions=arms), where="study.yaml")
    result = run_mechanism_study(study, tmp_path, executor=HERE)
    assert study.arms == ("keep", "delete_top", "delete_random")
    assert (result.methods, len(result.claims)) == ([], 1)
    assert "loss.repeats" not in set(result.trajectories["metric"])
    data = report_data(result, command="imprint run")
    assert data.answer_lines[3] == "Natural text? Not tested in this study."
    assert render_markdown(data)
