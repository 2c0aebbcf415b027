"""A study of two sizes with every kind of arm, small enough for seconds."""

import polars as pl
import pytest

from imprint.corpus import CORPUS_FILE, Corpus
from imprint.errors import ConfigError
from imprint.runs import LocalExecutor, Store
from imprint.stats import Undefined
from imprint.studies import parse_study, run_mechanism_study
from imprint.studies.mechanism import attributed
from imprint.studies.mechanism.options import PLANTED
from imprint.studies.mechanism.scales import ScaleFinding, cost_exponent
from tiny_studies import TINY, tiny_content, write_text

WIDER = {"model_type": "gpt2", "config": TINY["config"] | {"n_embd": 24}}
SETTINGS = {
    "interventions": {"fraction": 0.2, "fractions": [0.05], "replace": True, "natural": False, "duplicate": False},
    "augmentation": {"samples": 40, "documents": 30, "share": 0.2, "natural": False},
    "scale": "narrow",
    "scales": [{"name": "wide", "architecture": WIDER, "steps": 60}],
}


ABOUT_RECALL = {
    "id": "H1",
    "statement": "Recall is as it was.",
    "metric": "downstream.recall.delete_top_vs_keep",
    "threshold": 0.05,
    "direction": "absolute-less",
    "test": "paired sign flips",
}


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scales")
    (folder / "foreign.txt").write_text("Nothing of this was ever trained on. " * 40, encoding="utf-8")
    downstream = {"text": str(folder / "foreign.txt"), "documents": 50, "questions": 50}
    return tiny_content(write_text(folder / "text"), **SETTINGS, downstream=downstream)


@pytest.fixture(scope="module")
def study(content):
    return parse_study(content, where="study.yaml")


@pytest.fixture(scope="module")
def result(study, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attributed, "LEAST_STRENGTH", 0.0)
        return run_mechanism_study(study, tmp_path_factory.mktemp("out"), executor=LocalExecutor(workers=1))


def test_the_arms_are_those_that_the_study_names(study, result):
    assert set(result.trajectories["arm"].unique()) == set(study.arms)
    assert {"delete_top_5pct", "replace_top", "synthetic", "keep@wide", "synthetic_smallest@wide"} <= set(study.arms)
    assert "synthetic_smallest" not in study.arms  # the study's own model is the smallest


def test_doses_edit_the_shares_that_their_names_say(result):
    rows = len(result.packed)
    assert result.treated_rows["delete_top"] == round(0.2 * rows)
    assert result.treated_rows["delete_top_5pct"] == round(0.05 * rows)
    assert result.treated_rows["delete_random_5pct"] == result.treated_rows["replace_top_5pct"] == round(0.05 * rows)


def test_every_size_is_compared_with_its_own_untouched_runs(result):
    controls = {(item.arm, item.control) for item in result.effects}
    assert ("delete_top@wide", "keep@wide") in controls
    assert ("delete_top@wide", "delete_random@wide") in controls
    assert not any("@" in control for arm, control in controls if "@" not in arm)
    last = result.trajectories.group_by("arm").agg(pl.col("step").max())
    assert {row["step"] for row in last.to_dicts() if row["arm"].endswith("@wide")} == {60}


def test_downstream_metrics_are_measured_on_every_run(study, result):
    found = result.trajectories.filter(pl.col("metric") == "downstream.perplexity")
    assert found.select("arm", "seed").is_unique().all()
    assert len(found) == 2 * len(study.arms)
    assert (found["value"] > 1).all()
    recalled = result.trajectories.filter(pl.col("metric") == "downstream.recall")["value"]
    assert ((recalled >= 0) & (recalled <= 1)).all()
    assert any(item.metric == "downstream.recall" for item in result.effects)


def test_sizes_stand_smallest_first_and_share_their_own_documents(result):
    assert [one.name for one in result.scales] == ["narrow", "wide"]
    assert result.scales[0].parameters < result.scales[1].parameters
    assert result.scales[0].shared_top == 1.0
    assert result.scales[1].chance == pytest.approx(
        0.2, abs=0.1
    )  # the share, moved by how alike the domains' shares are
    last = result.trajectories.filter(
        pl.col("arm") == "keep@wide", pl.col("metric") == "induction.prefix_matching", pl.col("step") == 60
    )
    assert result.scales[1].strength == pytest.approx(last["value"].mean())


def test_gains_compare_with_the_untouched_runs_at_a_step_fixed_beforehand(result):
    told = {(one.scale, one.arm, one.moment): one for one in result.gains}
    one = told["wide", "synthetic", "end"]
    wanted = []
    for arm in ("synthetic@wide", "keep@wide"):
        rows = result.trajectories.filter(
            pl.col("arm") == arm, pl.col("step") == 60, pl.col("metric") == "induction.prefix_matching"
        )
        wanted.append(rows["value"].mean())
    assert one.gain.estimate == pytest.approx(wanted[0] / wanted[1] - 1)
    assert ("narrow", "synthetic_shuffled", "end") in told
    assert (
        "narrow",
        "synthetic_shuffled",
        "transition",
    ) not in told  # it lies before the window, where arms are one run


def test_synthetic_text_can_be_looked_at(result, study):
    assert [one.arm for one in result.written] == ["synthetic", "synthetic_transplanted", "synthetic_shuffled"]
    assert all(len(one.examples) == 3 for one in result.written)
    assert result.written[0].motifs.startswith("{")
    assert all(len(text) <= study.corpus.passage_bytes for text in result.written[0].examples)


def test_the_link_to_in_context_learning_is_over_runs_of_the_own_model(study, result):
    own = [arm for arm in study.arms if "@" not in arm]
    assert {one.metric for one in result.icl} <= {"icl.olsson", "icl.mda", "icl.fewshot"}
    assert {one.runs for one in result.icl} == {2 * len(own)}


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_the_cost_exponent_is_the_slope_that_was_put_in(power):
    def finding(size, cost):
        return ScaleFinding(
            name="x",
            parameters=size,
            head="",
            transition=0,
            window=(0, 1),
            strength=0.0,
            shared_top=1.0,
            chance=1.0,
            cost_seconds=cost,
        )

    found = cost_exponent([finding(size, 3e-3 * size**power) for size in (10_000, 30_000, 70_000, 160_000)])
    assert found.estimate == pytest.approx(power)
    assert isinstance(cost_exponent([finding(1, 1.0), finding(2, None), finding(3, None)]), Undefined)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": "wide"}, "two scales have the same name"),
        ({"interventions": {"fractions": [0.2]}}, "name a share twice"),
        (
            {"scales": [{"name": "long", "architecture": {"config": TINY["config"] | {"n_positions": 32}}}]},
            "scale 'long' has a context of 32 tokens",
        ),
        ({"augmentation": {"motifs": "endpoint"}}, "go together"),
        ({"hypotheses": [ABOUT_RECALL], "downstream": None}, "downstream.recall needs downstream"),
    ],
)
def test_what_cannot_be_run_is_refused_first(content, changes, message):
    for key, value in changes.items():
        merge = isinstance(value, dict) and isinstance(content.get(key), dict)
        content = {**content, key: content[key] | value if merge else value}
    with pytest.raises(ConfigError, match=message):
        parse_study(content, where="study.yaml")


def test_the_transplanted_control_is_novel_and_takes_its_text_from_training_passages_only(study, result):
    store = Store(result.texts.parent.parent.parent)
    control = next(entry for entry in store.list() if entry.manifest.recipe["fields"].get("control") == "transplanted")
    written = Corpus.load(control.folder / CORPUS_FILE)
    natural = [one for one in Corpus.load(result.texts) if one.domain not in PLANTED]
    assert len({one.text for one in written}) > 0.8 * len(written)  # from 30 short texts and ten words a domain
    assert {control.manifest.recipe["fields"]["source"]["step"]} == {"imprint.corpus.steps.WithoutDomains"}
    heldout = {one.text for one in natural}
    starts = sum(any(text.startswith(one.text[:4]) for text in heldout) for one in written)
    assert starts > 0.9 * len(written)  # fresh text is the beginning of a training passage
