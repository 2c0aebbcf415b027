"""Attribution over a window as the study asks for it: what is shared, what is compared, and where."""

import numpy as np
import pytest

from imprint.attribution import Attribution, EkfacOptions, HeadsTransfer, Scores, agree, attribute_head
from imprint.corpus import Packed, PlantedWorld, ShuffledStream, WorldRows
from imprint.errors import ConfigError, InputError
from imprint.mechanisms import ProbeOptions
from imprint.models import Architecture, Train, open_checkpoint
from imprint.runs import LocalExecutor, Store
from imprint.studies.mechanism.window import window_findings

SHARES = {"prose": 0.5, "novel repeats": 0.3, "noise": 0.2}
ROWS = WorldRows(world=PlantedWorld(vocabulary=16, context=16, shares=SHARES), rows=80, seed=1)
SIZES = {"n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": 16, "vocab_size": 16}
RUN = Train(
    architecture=Architecture(config=SIZES | {"bos_token_id": 0, "eos_token_id": 0}),
    packed=ROWS,
    stream=ShuffledStream(packed=ROWS, steps=20, batch=8, seed=0),
    seed=0,
    checkpoint_every=5,
    last_step=20,
)
PROBE = ProbeOptions(alphabet=tuple(range(16)), rows=8, bos=None)
OPTIONS = EkfacOptions(max_rows=40)
ROLES = [
    {"head": "L0.H0", "role": "previous token"},
    {"head": "L0.H1", "role": ""},
    {"head": "L1.H0", "role": "induction"},
    {"head": "L1.H1", "role": "induction"},
]


def ask(store, **changes):
    fields = {"checkpoints": (5, 15), "main": 10, "head": "L1.H0", "roles": ROLES, "first": 5, "last": 20}
    fixed = {"probe": PROBE, "options": OPTIONS, "fraction": 0.25, "store": store, "executor": LocalExecutor(workers=1)}
    return window_findings(RUN, ROWS, **{**fields, **fixed, **changes})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def findings(store):
    return ask(store)


def attribution(step):
    return Attribution(run=RUN, step=step, packed=ROWS, head="L1.H0", probe=PROBE, options=OPTIONS)


def test_the_study_s_own_attribution_is_shared(store, findings):
    assert findings.steps == (5, 10, 15)
    assert findings.keys["attribution/10"] == attribution(10).key
    assert store.has(attribution(10))
    assert set(findings.keys) == {"attribution/5", "attribution/10", "attribution/15", "heads"}


def test_agreement_is_that_of_the_scores(store, findings):
    one, other = (Scores.load(store.path(attribution(step))).of("contrastive") for step in (5, 15))
    found = {(pair.one, pair.other): pair for pair in findings.agreement.checkpoints["contrastive"]}
    assert set(found) == {("5", "10"), ("5", "15"), ("10", "15")}
    domains = Packed.load(store.get(ROWS)).row_domains
    assert found["5", "15"] == agree(one, other, fraction=0.25, names=("5", "15"), groups=domains)
    assert set(findings.agreement.probes) == {5, 10, 15}
    assert len(findings.agreement.summed) == 4
    assert findings.agreement.summed[-1].other == "learning-rate weighted sum"


def test_heads_are_compared_at_the_main_checkpoint(store, findings):
    packed = Packed.load(store.get(ROWS))
    model = open_checkpoint(store.get(RUN), 10)
    probe = PROBE.build(packed.context)[0]
    alone = [
        attribute_head(model, packed, head, probe, options=OPTIONS).scores.of("contrastive")
        for head in ("L0.H1", "L1.H1")
    ]
    found = findings.transfer["contrastive"]
    assert found.heads == ("L0.H0", "L0.H1", "L1.H0", "L1.H1", "L0.H0 (previous token)")
    assert found.overlap[1, 3] == pytest.approx(agree(*alone, fraction=0.25).overlap)
    assert found.spearman[1, 3] == pytest.approx(agree(*alone, fraction=0.25).spearman, abs=1e-3)
    assert (found.contrast.p, found.contrast.arrangements) == (None, 1)
    assert list(findings.transfer) == ["log_prob", "contrastive"]
    assert "previous_token/split_half" in findings.checks


def test_time_is_that_of_the_window(findings):
    assert (findings.time.edges[0], findings.time.edges[-1]) == (5, 20)
    assert sum(findings.time.shares) == pytest.approx(1)
    assert findings.time.presentations == 15 * 8


def test_without_previous_token_heads_and_with_one_checkpoint(store):
    found = ask(store, checkpoints=(), roles=[{"head": one["head"], "role": ""} for one in ROLES], first=18)
    assert found.steps == (10,)
    assert found.agreement.summed == ()
    assert found.transfer["contrastive"].heads == ("L0.H0", "L0.H1", "L1.H0", "L1.H1")
    assert found.transfer["contrastive"].contrast.within is None
    assert len(found.time.shares) == 2


def test_asked_again_nothing_is_computed(store, findings, monkeypatch):
    for step in (Attribution, HeadsTransfer):
        monkeypatch.setattr(step, "execute", None)
    again = ask(store)
    np.testing.assert_array_equal(
        again.transfer["contrastive"].overlap_low, findings.transfer["contrastive"].overlap_low
    )
    assert again.time == findings.time
    assert again.agreement == findings.agreement


def test_refusals(store):
    with pytest.raises(ConfigError, match="no checkpoint at step 7"):
        ask(store, checkpoints=(7,))
    with pytest.raises(InputError, match="do not lie in a stream of 20 steps"):
        ask(store, last=21)
