import copy
import json
import math

import pytest
import torch
from handmade_heads import fixed_distance_transformer, two_back_transformer

from imprint.capabilities import copy_hits, copy_log_probs, random_period_probes
from imprint.errors import ComponentNotFound
from imprint.mechanisms import ablation_effects, joint_ablation, locate
from imprint.models import (
    Anatomy,
    Architecture,
    Component,
    ablate_heads,
    head_means,
    hooked,
    induction_transformer,
    record,
)

CONTEXT = 64
SIZES = {"vocab_size": 50, "n_positions": CONTEXT, "n_embd": 32, "n_layer": 2, "n_head": 4}


def probes_of(alphabet=range(1, 50), rows=16, seed=0):
    return random_period_probes(alphabet, rows=rows, seed=seed, bos=0, context=CONTEXT)


def roles(location):
    return {head.head: head.role for head in location.heads if head.role}


@pytest.fixture(scope="module")
def model():
    return induction_transformer(50, CONTEXT)


@pytest.fixture(scope="module")
def found(model):
    return locate(model, probes_of())


def test_the_hand_built_heads_and_no_others_are_named(found):
    assert roles(found) == {"L0.H0": "previous token", "L1.H0": "induction"}
    assert [head.head for head in found.heads] == ["L0.H0", "L0.H1", "L1.H0", "L1.H1"]
    assert found.best().head == "L1.H0"
    assert found.best("previous token").head == "L0.H0"


def test_what_is_said_about_the_induction_head(found):
    head = found.best()
    assert head.prefix_matching.estimate == pytest.approx(1.0, abs=1e-6)
    assert head.prefix_matching.n == 32
    assert head.prefix_matching_worst == pytest.approx(1.0, abs=1e-6)
    assert head.best_offset == 1
    assert head.p_induction == pytest.approx(1 / 200)
    assert head.ablation.estimate > 3.5  # nats a token: from certainty to ignorance among 49 tokens
    assert head.ablation_accuracy == 1.0
    assert head.p_previous > 0.5


def test_what_is_said_about_the_previous_token_head(found):
    head = found.best("previous token")
    assert head.previous_token == pytest.approx(1.0, abs=1e-6)
    assert head.p_previous == pytest.approx(1 / 200)
    assert head.prefix_matching.estimate < 1e-6
    assert head.ablation.low > 3.5
    assert head.ablation_accuracy == 1.0


def test_what_is_said_about_silent_heads(found):
    for name in ("L0.H1", "L1.H1"):
        head = next(head for head in found.heads if head.head == name)
        assert (head.ablation.estimate, head.ablation_accuracy) == (0.0, 0.0)
        assert head.prefix_matching_worst == pytest.approx(found.uniform_prefix, abs=1e-9)


def test_the_model_is_judged_by_its_copying(found):
    assert found.copy_accuracy.estimate == 1.0
    assert found.copy_chance == pytest.approx(1 / 49)
    assert found.null_prefix_95 < 0.2
    assert found.null_previous_95 < 0.2
    assert found.uniform_prefix == pytest.approx(sum(1 / (t + 1) for t in range(32, 62)) / 30)


def test_findings_survive_json(found):
    again = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert [head["role"] for head in again["heads"]] == ["previous token", "", "induction", ""]
    assert again["heads"][2]["ablation"]["unit"] == "item"


def test_locating_is_seeded_and_leaves_the_model_as_it_was(model, found):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    again = locate(model, probes_of())
    assert model.training
    model.eval()
    assert again == found
    assert locate(model, probes_of(), seed=1) != found
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(("model_type", "seed"), [("gpt2", 0), ("gpt2", 1), ("gpt2", 2), ("gpt_neox", 0), ("llama", 0)])
def test_random_weights_have_no_named_heads(model_type, seed):
    names = {"vocab_size": 50, "bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.2}
    rotary = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes = SIZES if model_type == "gpt2" else {**rotary, "max_position_embeddings": CONTEXT}
    random = Architecture(model_type=model_type, config={**sizes, **names}).initialise(seed)
    location = locate(random, probes_of())
    assert roles(location) == {}
    assert location.best() is None
    assert location.best("previous token") is None
    assert location.copy_accuracy.estimate < 0.05


def test_a_fixed_distance_is_not_induction():
    """AT-IH-2. At its own period the head scores 1, copies and is necessary; only another period gives it away."""
    probes = probes_of()
    model = fixed_distance_transformer(probes[0].period - 1)
    head = next(head for head in locate(model, probes).heads if head.head == "L1.H0")
    assert head.role == ""
    assert head.p_induction > 0.5
    assert head.prefix_matching.estimate > 0.5
    assert head.prefix_matching_worst < 0.05
    fooled = locate(model, probes[:1])  # what the second period is for
    assert fooled.best().head == "L1.H0"


def test_a_head_that_looks_two_after_the_previous_occurrence_is_found():
    """METHODS P10: its score at offset +1 is nothing."""
    probes = probes_of(range(1, 25))
    location = locate(two_back_transformer(), probes)
    assert roles(location) == {"L0.H0": "previous token", "L1.H0": "induction"}
    head = location.best()
    assert head.best_offset == 2
    assert head.prefix_matching.estimate < 1e-6
    assert head.prefix_matching_worst == pytest.approx(1.0, abs=1e-6)
    assert head.p_induction == pytest.approx(2 / 200)  # the second offset is a second try


def test_attention_without_copying_is_not_induction():
    """The pattern is perfect, but nothing is written: neither copying nor an effect of ablation."""
    mute = induction_transformer(50, CONTEXT)
    Anatomy(mute).head_slices("L1.H0")["o"].assign(mute, torch.zeros(82, 164, dtype=torch.float64))
    location = locate(mute, probes_of())
    head = next(head for head in location.heads if head.head == "L1.H0")
    assert head.prefix_matching.estimate == pytest.approx(1.0, abs=1e-6)
    assert head.p_induction == pytest.approx(1 / 200)
    assert roles(location) == {"L0.H0": "previous token"}


def test_a_whisper_that_never_wins_is_not_induction():
    """The head is attentive and raises the copy's log-probability, but the model always predicts something else."""
    quiet = induction_transformer(50, CONTEXT)
    out = Anatomy(quiet).head_slices("L1.H0")["o"]
    out.assign(quiet, out.view(quiet) / 60)  # half a logit, against one for the current token
    location = locate(quiet, probes_of())
    head = next(head for head in location.heads if head.head == "L1.H0")
    assert location.copy_accuracy.estimate == 0.0
    assert head.ablation.low > 0.1
    assert head.p_induction == pytest.approx(1 / 200)
    assert roles(location) == {"L0.H0": "previous token"}


def test_attention_that_hurts_copying_is_not_induction():
    """Two heads attend alike; the one that speaks against the copy is not called an induction head."""
    probes = probes_of()
    torn = induction_transformer(50, CONTEXT)
    anatomy = Anatomy(torn)
    right, wrong = anatomy.head_slices("L1.H0"), anatomy.head_slices("L1.H1")
    for role in ("q", "k", "v"):
        wrong[role].assign(torn, right[role].view(torn))
    wrong["o"].assign(torn, -0.5 * right["o"].view(torn))
    location = locate(torn, probes)
    assert roles(location) == {"L0.H0": "previous token", "L1.H0": "induction"}
    hurting = next(head for head in location.heads if head.head == "L1.H1")
    assert hurting.p_induction == pytest.approx(1 / 200)
    assert hurting.ablation.high < 0


def test_initial_models_raise_the_bar(model):
    probes = probes_of(rows=4)
    low = locate(model, probes, initial_maxima=torch.full((20,), 0.1))
    assert low.best().head == "L1.H0"
    assert low.best().p_induction == pytest.approx(1 / 21)
    assert locate(model, probes, initial_maxima=torch.full((18,), 0.1)).best() is None
    some = torch.cat(
        [torch.full((19,), 0.1), torch.full((1,), 1.1)]
    )  # one in twenty-one, however many the other null has
    assert locate(model, probes, initial_maxima=some).best() is None
    high = locate(model, probes, initial_maxima=torch.full((20,), 1.1))
    assert high.best() is None
    assert locate(model, probes, initial_maxima=torch.zeros(0)).best().p_induction == pytest.approx(1 / 200)


# Ablation


def test_the_effect_is_the_difference_of_mean_log_probabilities(model):
    probes = probes_of()
    effect, lost = joint_ablation(model, probes, ["L1.H0"])
    means = head_means(model, ["L1.H0"], [{"input_ids": probe.tokens} for probe in probes])
    drops = []
    for probe in probes:
        intact = copy_log_probs(model, probe)
        with ablate_heads(model, ["L1.H0"], mode="mean", mean=means):
            drops.append((intact - copy_log_probs(model, probe)).mean(1))
    assert effect.estimate == pytest.approx(torch.cat(drops).mean().item())
    assert (effect.n, effect.unit, effect.metric) == (32, "item", "ablation L1.H0")
    assert lost == 1.0


def test_heads_that_share_the_job_are_seen_only_together():
    """METHODS P11: with a twin, either head alone is dispensable."""
    probes = probes_of()
    twins = induction_transformer(50, CONTEXT)
    anatomy = Anatomy(twins)
    one, other = anatomy.head_slices("L1.H0"), anatomy.head_slices("L1.H1")
    for role in ("q", "k", "v", "o"):
        other[role].assign(twins, one[role].view(twins))
    alone, lost_alone = joint_ablation(twins, probes, ["L1.H0"])
    together, lost_together = joint_ablation(twins, probes, ["L1.H0", "L1.H1"])
    assert alone.estimate < 0.1 < 3 < together.estimate
    assert (lost_alone, lost_together) == (0.0, 1.0)
    assert together.metric == "ablation L1.H0+L1.H1"


def test_only_the_heads_asked_for_are_ablated(model):
    effects = ablation_effects(model, probes_of(rows=8), heads=["L1.H0", "L0.H1"])
    assert list(effects) == ["L1.H0", "L0.H1"]
    assert effects["L0.H1"][0].estimate == 0.0
    with pytest.raises(ComponentNotFound, match="heads 0 to 1"):
        ablation_effects(model, probes_of(rows=8), heads=["L1.H2"])


def test_copying_that_ablation_took_away_is_restored_by_the_clean_output(model):
    """AT-RP-9: without the previous-token head copying is gone; the induction head's clean output brings it back."""
    probe = probes_of()[0]
    head = Component.parse("L1.H0")
    anatomy = Anatomy(model)
    columns = anatomy.head_columns(head)
    with record(model, [head]) as clean:
        model(probe.tokens)

    def restore(z):
        return torch.cat([z[..., : columns.start], clean["L1.H0"], z[..., columns.stop :]], dim=-1)

    assert copy_hits(model, probe).mean() == 1
    with ablate_heads(model, ["L0.H0"]):
        items = copy_hits(model, probe)
        assert items.mean() < probe.chance + 3 * math.sqrt(probe.chance / items.numel())
        with hooked(model, [(anatomy.out_projection(1), "pre", restore)]):
            assert copy_hits(model, probe).mean() == 1


def test_a_model_in_half_precision_has_the_same_induction_head(model, found):
    half = locate(copy.deepcopy(model).bfloat16(), [probes_of()[0]], ablate=2)
    assert half.best("induction").head == found.best("induction").head
