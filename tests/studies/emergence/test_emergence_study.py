import json

import polars as pl
import pytest
from tiny_emergence import content, study, table

from imprint.emergence.graph import refine
from imprint.errors import ConfigError
from imprint.models import Train
from imprint.runs import LocalExecutor, Store, read_json
from imprint.stats import Undefined
from imprint.studies import parse_study, run_emergence_study, train_interventions
from imprint.studies.emergence.abruptness import abruptness
from imprint.studies.emergence.beside import beside
from imprint.studies.emergence.claims import draw_claims
from imprint.studies.emergence.observed import history, observations
from imprint.studies.emergence.runs import architecture_of, changed_mixture, held_out_runs, setting, trained_runs
from imprint.studies.emergence.study import PREDICTIONS_FILE, test_graph

CUT = {"action": "ablate", "sites": ["L0.z"]}
FLAT, UP = (0.0, 0.0, 0.0, 0.0), (0.0, 0.1, 0.8, 0.9)
NOTHING = {"copy": FLAT, "brackets": FLAT}
LEARNED = {"copy": UP, "brackets": UP}
SCORES = {
    "s": {"control": NOTHING, "few repeats": NOTHING, "no heads": NOTHING},
    "m": {"control": LEARNED, "few repeats": {"copy": FLAT, "brackets": UP}, "no heads": {"copy": UP, "brackets": UP}},
}


# The runs


def test_arms_are_pairs_that_differ_in_the_arm_only():
    runs = {(run.arm, run.scale.name, run.seed): run.train for run in trained_runs(study())}
    assert len(runs) == 3 * 2 * 2
    plain, fewer, edited = (runs[arm, "m", 1] for arm in ("control", "few repeats", "no heads"))
    same = [name for name in Train.model_fields if name not in ("packed", "stream")]
    assert all(getattr(plain, name) == getattr(fewer, name) for name in same)
    assert all(getattr(plain, name) == getattr(edited, name) for name in Train.model_fields)
    assert type(edited).__name__ == "TrainEdited"
    assert len({run.key for run in runs.values()}) == len(runs)
    assert {run.scale.name for run in held_out_runs(study())} == {"l"}


def test_a_mixture_keeps_the_proportions_of_what_it_does_not_name():
    one = study()
    world = changed_mixture(one.world, one.interventions[0])
    assert world.shares["novel repeats"] == 0.02
    before, after = one.world.shares, world.shares
    assert sum(after.values()) == pytest.approx(1.0)
    assert after["code"] / after["prose"] == pytest.approx(before["code"] / before["prose"])


def test_settings_are_multiples_of_the_untouched_value():
    """Nodes are matched with what changes them by their kind, in whatever order they are named."""
    graph = content()["graph"]
    nodes = [*graph["nodes"], {"name": "rate", "kind": "optimiser", "tier": "before"}]
    cut = {"action": "ablate", "sites": ["L0.z"], "share": 0.75}
    one = study(
        graph={**graph, "nodes": nodes},
        interventions=[
            {"name": "a", "sets": ["novel repeats"], "shares": {"novel repeats": 0.05}},
            {"name": "b", "sets": ["heads"], "edits": [cut]},
            {"name": "c", "sets": ["rate"], "optimisation": {"learning_rate": 6e-3}},
            {"name": "d", "sets": ["rate", "heads"], "edits": [cut], "optimisation": {"learning_rate": 1e-3}},
            {"name": "e", "sets": ["heads"], "edits": [cut | {"action": "sharpen", "factor": 3.0, "share": 0.5}]},
        ],
    )
    levels = [[setting(one, arm, node) for node in arm.sets] for arm in one.interventions]
    wanted = [[0.2], [0.25], [2.0], [1 / 3, 0.25], [2.0]]
    assert levels == [[pytest.approx(value) for value in part] for part in wanted]


@pytest.mark.parametrize("model_type", ["gpt2", "llama", "gpt_neox"])
def test_every_scale_is_a_model_of_its_size(model_type):
    scales = [{"name": name, "width": width, "model_type": model_type} for name, width in (("a", 16), ("b", 32))]
    one = study(scales=scales, held_out=None)
    sizes = [architecture_of(scale, 24).parameters for scale in one.scales]
    assert sizes[0] < sizes[1]
    assert architecture_of(one.scales[0], 24).initialise(0).config.num_attention_heads == 4


# From tables to findings


def test_a_run_becomes_one_number_a_node():
    seen = observations(study(training={"steps": 160, "checkpoints": 4}), table(SCORES, jitter=0.0))
    wide = seen.wide(["control"]).filter(pl.col("scale") == 1e5)
    assert wide["copy"].to_list() == pytest.approx([0.6] * 3)
    assert wide["loss"].to_list() == pytest.approx([2.0, 2.01, 2.02])
    assert wide["novel repeats"].to_list() == [1.0] * 3
    assert seen.wide(["few repeats"])["novel repeats"].to_list() == pytest.approx([0.08] * 6)


def test_the_graph_is_refined_from_the_runs():
    one = study(training={"steps": 160, "checkpoints": 4}, seeds=3)
    findings = test_graph(one, table(SCORES))
    refined = refine(one.causal_graph, findings)
    states = {edge.pair: edge.state for edge in refined.edges}
    assert states["novel repeats", "copy"] == "supported"
    assert states["heads", "copy"] == "dropped"
    assert findings.of("novel repeats", "copy")[0].at_floor == (1e4,)
    claim = next(one for one in draw_claims(one, findings, refined) if one.capability == "copy")
    assert claim.data == "novel repeats"
    assert claim.shown == (4,)


def test_cross_checks_stand_beside_the_graph_and_say_when_they_cannot_be_had():
    one = study(training={"steps": 160, "checkpoints": 4}, seeds=3)
    rows = table(SCORES)
    findings = test_graph(one, rows)
    refined = refine(one.causal_graph, findings)
    found = beside(observations(one, rows), findings, refined, seed=0)
    assert "at least 3" in found.taxonomy.reason
    # Few repeats (1 to .08) lose .6 of copying at one of two scales: .3 over .92.
    assert found.structure.effect("novel repeats", "copy").direct.estimate == pytest.approx(0.3 / 0.92, abs=0.005)
    assert found.structure.effect("heads", "copy").direct.estimate == pytest.approx(0.0, abs=0.005)
    assert "R2-SortnRegress" in {one.method for one in found.discovery.agreement}
    json.dumps(found.as_dict())


def test_what_no_run_has_learned_decides_no_edge():
    one = study(training={"steps": 160, "checkpoints": 4}, seeds=3)
    nowhere = {scale: dict.fromkeys(("control", "few repeats", "no heads"), NOTHING) for scale in ("s", "m")}
    refined = refine(one.causal_graph, test_graph(one, table(nowhere)))
    assert {edge.state for edge in refined.edges} == {"undecided"}


def test_shuffled_arms_support_nothing():
    one = study(training={"steps": 160, "checkpoints": 4}, seeds=3)
    swapped = {
        "s": SCORES["s"],
        "m": {"control": LEARNED, "few repeats": LEARNED, "no heads": LEARNED},
    }
    refined = refine(one.causal_graph, test_graph(one, table(swapped)))
    assert not refined.in_state("supported", "added")


def test_the_history_is_a_trajectory_table():
    found = history(table(SCORES, items=100))
    row = found.filter(pl.col("family") == "control", pl.col("model") == "m", pl.col("task") == "copy").row(
        -1, named=True
    )
    assert row["score"] == pytest.approx(0.9 + 0.008)
    assert row["stderr"] == pytest.approx((row["score"] * (1 - row["score"]) / 100) ** 0.5)
    assert (row["params"], row["tokens"], row["flops"]) == (1e5, 16000.0, 6 * 1e5 * 16000.0)


def test_an_ability_can_be_abrupt_in_its_accuracy_only():
    steps = tuple(range(100, 900, 100))
    late = tuple(0.0 if step < 500 else (step - 400) / 400 for step in steps)
    rows = table({"m": {"control": {"copy": late}}}, steps=steps, jitter=0.0)
    log = pl.col("step").cast(pl.Float64).log10()
    smooth = rows.with_columns(log_prob=pl.when(pl.col("kind") == "ability").then(log).otherwise(None))
    assert [one.word for one in abruptness(rows) if one.ability == "copy"] == ["abrupt"]
    assert [one.word for one in abruptness(smooth) if one.ability == "copy"] == ["abrupt in accuracy only"]
    level = rows.with_columns(value=pl.when(pl.col("kind") == "ability").then(log / 10).otherwise("value"))
    assert [one.word for one in abruptness(level)] == ["smooth"]
    few = table({"m": {"control": {"copy": late[:4]}}}, steps=steps[:4])
    assert [one.word for one in abruptness(few)] == ["too few checkpoints"]


# The whole


def test_a_study_runs_and_resumes_to_the_same_result(tmp_path):
    one, executor = study(), LocalExecutor(workers=1)
    trained = train_interventions(one, tmp_path, arms=("no heads",), executor=executor)
    assert set(trained["arm"]) == {"control", "no heads"}
    before = {entry.key for entry in Store(tmp_path / "store").list()}
    first = run_emergence_study(one, tmp_path, executor=executor)
    assert before < {entry.key for entry in Store(tmp_path / "store").list()}
    assert set(first.table["scale"]) == {"s", "m", "l"}
    assert first.refined.counts["supported"] == 0
    assert isinstance(first.prediction, Undefined)
    assert isinstance(first.allocation, Undefined)
    assert [one.id for one in first.examined] == ["P1", "P2", "A1"]
    assert first.foretold
    written = (tmp_path / PREDICTIONS_FILE).read_bytes()
    again = run_emergence_study(one, tmp_path, executor=executor)
    assert again.table.equals(first.table)
    assert again.refined == first.refined
    assert (tmp_path / PREDICTIONS_FILE).read_bytes() == written
    assert again.foretold
    (tmp_path / PREDICTIONS_FILE).unlink()
    assert not run_emergence_study(one, tmp_path, executor=executor).foretold
    assert pl.read_parquet(tmp_path / "history.parquet").height == 2 * 2 * 3 * 3 * 2
    with pytest.raises(ConfigError, match=r"another design .training changed"):
        run_emergence_study(study(training={"steps": 15, "checkpoints": 3}), tmp_path, executor=executor)


def test_ablated_runs_are_measured_without_their_heads(tmp_path):
    """A model whose only layer's heads are ablated sees one token: what it says of the next does not depend on the others."""
    single = [{"name": name, "width": 8, "heads": 2, "layers": 1} for name in ("s", "m")]
    one = study(scales=[single[0], single[1] | {"width": 16}], held_out=None, allocating=None)
    found = run_emergence_study(one, tmp_path, executor=LocalExecutor(workers=1))
    assert found.prediction is None
    loss = found.table.filter(
        pl.col("node") == "loss", pl.col("step") == 0, pl.col("seed") == 0, pl.col("scale") == "s"
    )
    values = dict(loss.select("arm", "value").iter_rows())
    assert values["control"] == values["few repeats"]
    assert values["no heads"] != values["control"]


def test_the_design_is_registered_before_the_first_run(tmp_path):
    class Refusing:
        def run(self, steps, store, **_):
            assert read_json(tmp_path / "design.json")["design"]["seeds"] == 2
            assert json.loads((tmp_path / "registration.json").read_text())["hypotheses"]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_emergence_study(study(), tmp_path, executor=Refusing())


# The file


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"interventions": [{"name": "x", "sets": ["heads"]}]},
            "changes nothing; give edits or shares or optimisation",
        ),
        ({"interventions": [{"name": "x", "sets": ["loss"], "optimisation": {"learning_rate": 1.0}}]}, "sets 'loss'"),
        ({"interventions": [{"name": "x", "sets": ["heads"], "optimisation": {"rate": 1.0}}]}, "no 'rate'; it has"),
        ({"interventions": [{"name": "control", "sets": ["heads"], "optimisation": {"beta1": 0.5}}]}, "untouched runs"),
        (
            {"interventions": [{"name": "x", "sets": ["heads", "novel repeats"], "optimisation": {"beta1": 0.5}}]},
            "needs one that sets heads or novel repeats alone",
        ),
        ({"interventions": [{"name": "x", "sets": ["heads"], "shares": {"facts": 1.5}}]}, "between 0 and 1"),
        ({"scales": [{"name": "s", "width": 8}, {"name": "s", "width": 16}]}, "same name"),
        ({"scales": [{"name": "s", "width": 8}, {"name": "m", "width": 18}]}, "not a multiple of its 4 heads"),
        ({"training": {"steps": 100, "checkpoints": 7}}, "do not divide 100 steps"),
        ({"world": {"context": 512}}, "beyond the 128"),
        ({"seeds": 1}, "greater than or equal to 2"),
        ({"held_out": {"scale": {"name": "l", "width": 24}, "seeds": 5}}, "exceeds the 2 seeds"),
        ({"graph": {**content()["graph"], "nodes": content()["graph"]["nodes"][:3], "edges": []}}, "has no ability"),
        ({"scalez": 3}, "unknown key 'scalez'; did you mean 'scales'"),
    ],
)
def test_files_that_make_no_study_are_refused_in_one_sentence(change, words):
    with pytest.raises(ConfigError, match=words) as caught:
        parse_study(content(**change), where="tiny")
    assert "\n" not in str(caught.value)


def test_abilities_and_dynamics_must_be_measured():
    graph = content()["graph"]
    for name, kind in (("arithmetic", "ability"), ("entropy", "dynamics")):
        nodes = [*graph["nodes"], {"name": name, "kind": kind, "tier": "late"}]
        with pytest.raises(ConfigError, match=f"{kind} '{name}' is not measured; choose"):
            study(graph={**graph, "nodes": nodes})
