from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from imprint.attribution import Attribution, TopRows
from imprint.corpus import Corpus, FileCorpus, MachineCorpus, Packed, Stream
from imprint.interventions.data import CONTROL_KINDS
from imprint.runs import Store
from imprint.studies import KEEP, corpora, parse_study
from imprint.studies.mechanism.arms import Arm, branch, branches, measured, plan_arms, seeds, untouched_run
from imprint.studies.planted_rows import KindRows
from tiny_studies import tiny_content, write_text


def tiny(folder=Path("text"), **changes):
    return parse_study(tiny_content(folder, **changes), where="study.yaml")


def planned(study):
    data = corpora(study)
    run = untouched_run(study, data.train, 0)
    attribution = Attribution(run=run, step=20, packed=data.train, head="L1.H0", probe=study.probe)
    return data, attribution, plan_arms(study, attribution, data)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"interventions": {"controls": list(CONTROL_KINDS)}},
        {"interventions": {"controls": ["domain", "domain"], "natural": False}},
        {"interventions": {"controls": [], "duplicate": False}},
        {"corpus": {"novel_repeats": 0, "boilerplate": 0}},
    ],
)
def test_the_arms_that_are_run_are_the_arms_that_are_named(changes):
    """Hypotheses are checked against the names before anything runs, so the two lists may never drift apart."""
    study = tiny(**changes)
    _, _, arms = planned(study)
    assert tuple(arm.name for arm in arms) == study.arms[1:]
    assert {arm.control for arm in arms} <= set(study.arms)
    for arm in arms:
        assert (arm.control == KEEP) == arm.is_control
        assert arm.kind == arm.name.partition("_")[0]


def test_every_arm_is_compared_with_the_same_edit_of_random_rows():
    _, _, arms = planned(tiny(interventions={"controls": ["loss"]}))
    assert {arm.name: arm.against for arm in arms if arm.against} == {"delete_top": ("delete_loss",)}
    controls = {arm.name: arm.control for arm in arms if not arm.is_control}
    assert controls == {
        "delete_top": "delete_random",
        "delete_natural": "delete_random_natural",
        "duplicate_top": "duplicate_random",
    }


def test_controls_are_matched_to_the_treated_rows():
    study = tiny(interventions={"controls": list(CONTROL_KINDS), "fraction": 0.2})
    _, attribution, arms = planned(study)
    rows = {arm.name: arm.rows for arm in arms}
    assert rows["delete_top"] == TopRows(attribution=attribution, ranking="consensus", fraction=0.2)
    assert rows["duplicate_top"] == rows["delete_top"]
    assert rows["duplicate_random"] == rows["delete_random"]
    for kind in CONTROL_KINDS:
        assert (rows[f"delete_{kind}"].kind, rows[f"delete_{kind}"].treated) == (kind, rows["delete_top"])
    assert rows["delete_natural"].without_domains == ("novel repeats", "boilerplate")
    assert rows["delete_natural"].fraction == 0.2


def test_a_branch_shares_its_trunk_and_differs_by_the_edit_alone(tmp_path):
    study = tiny()
    data, _, arms = planned(study)
    trunk, top = untouched_run(study, data.train, 1), arms[0].rows
    for arm in arms:
        run = branch(study, arm, trunk, (20, 40), Store(tmp_path))
        assert (run.trunk, run.first_step, run.last_step) == (trunk, 20, 40)
        assert (run.seed, run.packed, run.optimisation) == (1, trunk.packed, trunk.optimisation)
        assert (run.stream.base, run.stream.rows, run.stream.kind) == (trunk.stream, arm.rows, arm.kind)
        assert (run.stream.first, run.stream.last) == (20, 40)
        assert run.stream.match == (top if arm.kind == "duplicate" else None)
    with pytest.raises(ValidationError, match="first_step 40 must come before"):
        branch(study, arms[0], trunk, (40, 40), Store(tmp_path))


def test_an_additive_budget_trains_to_the_end_of_the_longer_stream(tmp_path):
    write_text(tmp_path / "text")
    study = tiny(tmp_path / "text", interventions={"budget": "additive"})
    data, _, _ = planned(study)
    trunk, store = untouched_run(study, data.train, 1), Store(tmp_path / "store")
    rows = KindRows(packed=data.train, kind="novel repeats")
    for kind in ("duplicate", "delete"):
        arm = Arm(name=f"{kind}_top", kind=kind, rows=rows, control=KEEP, match=rows if kind == "duplicate" else None)
        run = branch(study, arm, trunk, (20, 40), store)
        shown = np.isin(Stream.load(store.get(trunk.stream)).rows[20:40], np.load(store.get(rows) / "rows.npy")).sum()
        extra = -(-int(shown) // study.training.batch) if kind == "duplicate" else 0
        assert run.last_step == 40 + extra
        assert Stream.load(store.get(run.stream)).steps == 40 + extra


def test_branches_are_every_arm_of_every_seed(tmp_path):
    study = tiny(training={"first_seed": 3, "seeds": 3})
    data, _, arms = planned(study)
    found = branches(study, arms, data, (20, 40), Store(tmp_path))
    assert list(seeds(study)) == [3, 4, 5]
    assert set(found) == {(arm.name, seed) for arm in arms for seed in (3, 4, 5)}
    assert all(trajectory.run.seed == seed for (_, seed), trajectory in found.items())
    assert len({trajectory.run.seed: trajectory.run.trunk for trajectory in found.values()}) == 3


def test_seeds_share_the_corpus_and_nothing_random():
    study = tiny()
    data = corpora(study)
    one, two = (untouched_run(study, data.train, seed) for seed in (0, 1))
    assert one.packed == two.packed
    assert one.stream != two.stream
    assert measured(study, one, data).heldout == data.heldout != data.train


def test_where_the_text_comes_from():
    named, found = corpora(tiny()), corpora(tiny(corpus={"paths": []}))
    assert named.train.corpus.base == FileCorpus(paths=(Path("text"),))
    assert found.train.corpus.base == MachineCorpus(bytes_per_domain=400_000, seed=0)
    assert named.train.corpus.base == named.heldout.corpus.base


def test_training_and_held_out_text_have_no_source_document_in_common(tmp_path):
    data, store = corpora(tiny(write_text(tmp_path / "text"))), Store(tmp_path / "store")
    parts = [Corpus.load(store.get(packed.corpus) / "corpus.jsonl") for packed in (data.train, data.heldout)]
    train, heldout = (
        {document.id.partition("#")[0] for document in part if document.source != "planted"} for part in parts
    )
    assert train
    assert heldout
    assert not train & heldout
    texts = [{document.text for document in part if document.domain == "novel repeats"} for part in parts]
    assert not texts[0] & texts[1]
    packed = Packed.load(store.get(data.train))
    assert {str(domain): int((packed.row_domains == domain).sum()) for domain in set(packed.row_domains)} == {
        "boilerplate": 10,
        "code": 30,
        "novel repeats": 30,
        "prose": 30,
    }
