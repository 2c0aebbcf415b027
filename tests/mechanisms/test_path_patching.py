"""Path patching against a transformer whose circuit is known, against algebra in every family, and against node patching."""

import pytest
import torch
from handmade_heads import CONTEXT, LOUD, two_back_transformer
from ordinal_heads import silence, twin_transformer
from tiny_families import CAUSAL, GPT, inputs, tiny
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from imprint.capabilities import repeat_probe
from imprint.errors import ComponentNotFound, ConfigError, ModelError
from imprint.mechanisms.circuits import circuit_paths
from imprint.mechanisms.ov_circuit import attention_norm
from imprint.mechanisms.path_patching import ROLES, _Paths, path_patching
from imprint.mechanisms.places import Mediator, place_of, reading, replacing
from imprint.models import Anatomy, eager_attention, hooked, induction_transformer, log_probs_of, record

READABLE = [name for name in CAUSAL if name != "falcon-rw"]


@pytest.fixture(scope="module")
def model():
    return induction_transformer(50, CONTEXT)


@pytest.fixture(scope="module")
def probe():
    return repeat_probe(range(1, 50), period=20, rows=6, seed=0, bos=0)


def matched(probe):
    return lambda pattern: pattern[:, probe.query, probe.match].mean(-1)


def copied(probe):
    return lambda logits: log_probs_of(logits[:, probe.query], probe.tokens[:, probe.query + 1]).mean(-1)


def run(model, probe, senders, receiver="L1.H0", **options):
    paths = path_patching(
        model,
        probe.tokens,
        probe.unrelated,
        senders,
        receiver,
        attended=matched(probe),
        outcome=copied(probe),
        **options,
    )
    return {(path.sender, path.role): path for path in paths}


def misled(probe):
    """Where L1.H0 looks with the keys of the unrelated run: [row, query, position], by the definition of the circuit."""
    attention = torch.zeros(*probe.tokens[:, probe.query].shape, probe.tokens.shape[1], dtype=torch.float64)
    for row, (clean, other) in enumerate(zip(probe.tokens.tolist(), probe.unrelated.tolist(), strict=True)):
        for i, t in enumerate(probe.query.tolist()):
            found = [j for j in range(1, t + 1) if other[j - 1] == clean[t]]
            attention[row, i, found or range(t + 1)] = 1 / len(found or range(t + 1))
    return attention


def log_prob(probe, *attentions):
    """Mean log-probability of the copy when heads that copy with weight LOUD attend so."""
    logits = nn.functional.one_hot(probe.tokens[:, probe.query], 50).double()
    for attention in attentions:
        logits = logits + LOUD * attention @ nn.functional.one_hot(probe.tokens, 50).double()
    return log_probs_of(logits, probe.tokens[:, probe.query + 1]).mean(-1)


def perfect(probe):
    attention = torch.zeros(*probe.tokens[:, probe.query].shape, probe.tokens.shape[1], dtype=torch.float64)
    attention[:, range(len(probe.query)), probe.match] = 1.0
    return attention


# The hand-built circuit


def test_the_circuit_goes_through_keys_and_nothing_else(model, probe):
    found = run(model, probe, ["L0.H0", "L0.H1"])
    key = found["L0.H0", "k"]
    assert key.attended == pytest.approx(1.0, abs=1e-6)
    wanted = misled(probe)[:, range(len(probe.query)), probe.match].mean(-1)
    assert key.attended_patched == pytest.approx(wanted.numpy(), abs=1e-6)
    assert key.attended_patched.max() < 0.1
    assert key.outcome == pytest.approx(log_prob(probe, perfect(probe)).numpy(), abs=1e-6)
    assert key.outcome_patched == pytest.approx(log_prob(probe, misled(probe)).numpy(), abs=1e-6)
    assert key.outcome_patched.max() < -4
    for sender, role in (("L0.H0", "q"), ("L0.H0", "v"), *(("L0.H1", role) for role in ROLES)):
        path = found[sender, role]
        assert (path.attended == path.attended_patched).all()
        assert (path.outcome == path.outcome_patched).all()


def test_what_is_removed_can_be_restored(model, probe):
    """Denoising: in the unrelated run, the keys of the repeated run bring induction back only as far as the values serve."""
    paths = path_patching(
        model,
        probe.unrelated,
        probe.tokens,
        ["L0.H0"],
        "L1.H0",
        attended=matched(probe),
        outcome=copied(probe),
    )
    key = next(path for path in paths if path.role == "k")
    assert key.attended.max() < 0.1
    assert key.attended_patched == pytest.approx(1.0, abs=1e-6)
    assert (key.outcome_patched < -4).all()  # it looks at the right place, where the unrelated token stands


def test_the_receiver_alone_is_told(probe):
    """Mutation: with a second induction head, patching the stream of all later heads removes both, the path only one."""
    model = twin_transformer()
    path = run(model, probe, ["L0.H0"])["L0.H0", "k"]
    assert path.outcome_patched == pytest.approx(log_prob(probe, misled(probe), perfect(probe)).numpy(), abs=1e-6)
    place, said = place_of(Anatomy(model), Mediator(site="L0.H0")), {}
    with torch.no_grad():
        with hooked(model, reading({"sender": place}, said)):
            model(probe.unrelated)
        with hooked(model, [replacing(place, said["sender"])]):
            everywhere = copied(probe)(model(probe.tokens).logits)
    assert everywhere.numpy() == pytest.approx(log_prob(probe, misled(probe), misled(probe)).numpy(), abs=1e-6)
    assert (path.outcome_patched - everywhere.numpy() > 3).all()


def test_receivers_that_share_a_job_are_told_together(probe):
    """Both induction heads at once: what patching the stream of all later heads gives."""
    model = twin_transformer()
    both = run(model, probe, ["L0.H0"], receiver=("L1.H0", "L1.H1"))["L0.H0", "k"]
    assert both.receiver == "L1.H0+L1.H1"
    assert both.outcome_patched == pytest.approx(log_prob(probe, misled(probe), misled(probe)).numpy(), abs=1e-6)
    assert both.attended_patched.max() < 0.1
    alone = run(model, probe, ["L0.H0"], receiver="L1.H0")["L0.H0", "k"]
    assert (alone.outcome_patched - both.outcome_patched > 3).all()
    with pytest.raises(ConfigError, match="one layer"):
        run(model, probe, ["L0.H0"], receiver=("L1.H0", "L0.H1"))


def test_the_receiver_hears_nothing_from_a_silent_sender(probe):
    model = silence(twin_transformer(), "L0.H0")
    for path in run(model, probe, ["L0.H0", "L0.H1", "L0.mlp"]).values():
        assert (path.outcome == path.outcome_patched).all()
        assert (path.attended == path.attended_patched).all()


def test_the_same_sequences_tell_nothing(model, probe):
    paths = path_patching(
        model, probe.tokens, probe.tokens, ["L0.H0", "embed"], "L1.H0", attended=matched(probe), outcome=copied(probe)
    )
    assert all((path.outcome == path.outcome_patched).all() for path in paths)


# Every family


@pytest.mark.parametrize("name", READABLE)
def test_with_all_senders_the_receiver_hears_the_corrupted_run(name):
    """Embedding, heads and MLP of layer 0 together are all that layer 1 hears."""
    model, tokens, other = tiny(name), inputs(name)["input_ids"], inputs(name, seed=2)["input_ids"]
    paths = _Paths(model, tokens, other, ["L1.H2"], False)
    with torch.no_grad(), eager_attention(model):
        paths.clean()
        heard = paths.heard(("embed", "L0.z", "L0.mlp"))
        kept = {}
        with hooked(model, reading({role: paths._projected(role) for role in ROLES}, kept)):
            model(input_ids=other)
    for role in ROLES:
        torch.testing.assert_close(heard[role], kept[role])


@pytest.mark.parametrize("name", [name for name in READABLE if name != "olmo2"])
def test_what_the_receiver_hears_is_the_clean_stream_plus_what_the_sender_changed(name):
    model, tokens, other = tiny(name), inputs(name)["input_ids"], inputs(name, seed=2)["input_ids"]
    anatomy = Anatomy(model)
    with torch.no_grad(), eager_attention(model):
        states = []
        for each in (tokens, other):
            with record(model, ["L0.H3", "L1.resid_pre"]) as seen:
                model(input_ids=each)
            states.append(seen)
        out = anatomy.head_slices("L0.H3")["o"]
        change = (states[1]["L0.H3"] - states[0]["L0.H3"]) @ out.matrix(model.get_parameter(out.name)).T
        wanted = anatomy.projection("k", 1)(attention_norm(model, 1)(states[0]["L1.resid_pre"] + change))
        paths = _Paths(model, tokens, other, ["L1.H2"], False)
        paths.clean()
        heard = paths.heard(("L0.H3",))
    torch.testing.assert_close(heard["k"], paths._projected("k").of(wanted))


def test_what_goes_by_way_of_other_heads_is_another_path():
    """Three layers: the receiver hears the sender's own words, not what layer 1 makes of them."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**GPT | {"n_layer": 3})).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    tokens, other = inputs("gpt2")["input_ids"], inputs("gpt2", seed=2)["input_ids"]
    anatomy = Anatomy(model)
    with torch.no_grad(), eager_attention(model):
        states = []
        for each in (tokens, other):
            with record(model, ["L0.H3", "L2.resid_pre"]) as seen:
                model(input_ids=each)
            states.append(seen)
        out = anatomy.head_slices("L0.H3")["o"]
        change = (states[1]["L0.H3"] - states[0]["L0.H3"]) @ out.matrix(model.get_parameter(out.name)).T
        wanted = anatomy.projection("k", 2)(attention_norm(model, 2)(states[0]["L2.resid_pre"] + change))
        paths, free = _Paths(model, tokens, other, ["L2.H2"], False), _Paths(model, tokens, other, ["L2.H2"], True)
        paths.clean()
        free.clean()
        kept, place = {}, place_of(anatomy, Mediator(site="L0.H3"))
        into = [replacing(place, states[1]["L0.H3"]), *reading({"k": paths._projected("k")}, kept)]
        with hooked(model, into):
            model(input_ids=tokens)
        heard, through = paths.heard(("L0.H3",))["k"], free.heard(("L0.H3",))["k"]
    torch.testing.assert_close(heard, paths._projected("k").of(wanted))
    assert not torch.allclose(heard, kept["k"])  # mutation: nothing held
    assert not torch.allclose(through, kept["k"])  # MLPs free, heads still held
    assert not torch.allclose(through, heard)


@pytest.mark.parametrize(("name", "role"), [("gpt2", "k"), ("gpt_neox", "v"), ("llama", "k"), ("llama", "v")])
def test_heads_that_share_keys_do_not_hear(name, role):
    """What layer 1 writes changes by something that the receiver's out-projection can write, also with shared keys."""
    model, tokens, other = tiny(name), inputs(name)["input_ids"], inputs(name, seed=2)["input_ids"]
    with torch.no_grad(), record(model, ["L1.attn"]) as clean:
        model(input_ids=tokens)
    with record(model, ["L1.attn"]) as patched:
        path_patching(
            model,
            tokens,
            other,
            ["L0.H0"],
            "L1.H2",
            attended=lambda pattern: pattern.sum((1, 2)),
            outcome=lambda logits: logits.sum((1, 2)),
            roles=[role],
        )
    change = (patched["L1.attn"] - clean["L1.attn"]).reshape(-1, 24)
    out = Anatomy(model).head_slices("L1.H2")["o"]
    span = torch.linalg.qr(out.matrix(model.get_parameter(out.name)).detach())[0]
    assert change.abs().max() > 1e-3
    torch.testing.assert_close(change @ span @ span.T, change, rtol=1e-4, atol=1e-5)


def linear_model():
    """A GPT-2 without norms and MLPs: the stream is a sum, and values and logits are linear in it."""
    model = tiny("gpt2")
    for block in model.transformer.h:
        block.ln_1, block.ln_2 = nn.Identity(), nn.Identity()
        nn.init.zeros_(block.mlp.c_proj.weight)
        nn.init.zeros_(block.mlp.c_proj.bias)
    model.transformer.ln_f = nn.Identity()
    return model


def test_in_a_linear_model_senders_add_up_through_values_and_not_through_keys():
    model, tokens, other = linear_model(), inputs("gpt2")["input_ids"], inputs("gpt2", seed=2)["input_ids"]
    heads = tuple(f"L0.H{head}" for head in range(4))
    paths = path_patching(
        model,
        tokens,
        other,
        [*heads, heads, "L0.z", "L0.attn"],
        "L1.H2",
        attended=lambda pattern: pattern[:, -1, 0],
        outcome=lambda logits: logits[:, -1, 5],
    )
    change = {(path.sender, path.role): path.outcome_patched - path.outcome for path in paths}
    for role in ROLES:
        assert change["L0.z", role] == pytest.approx(change["+".join(heads), role], abs=1e-9)
        assert change["L0.attn", role] == pytest.approx(change["L0.z", role], abs=1e-9)
    one_by_one = {role: sum(change[head, role] for head in heads) for role in ROLES}
    assert one_by_one["v"] == pytest.approx(change["L0.z", "v"], abs=1e-6)
    assert abs(one_by_one["k"] - change["L0.z", "k"]).max() > 1e-3
    for path in paths:
        moved = abs(path.attended - path.attended_patched).max()
        assert moved == 0 if path.role == "v" else moved > 1e-4


def test_through_mlps_the_sender_is_heard_twice():
    model, tokens, other = tiny("gpt2"), inputs("gpt2")["input_ids"], inputs("gpt2", seed=2)["input_ids"]
    heard = {}
    with torch.no_grad(), eager_attention(model):
        for through in (False, True):
            paths = _Paths(model, tokens, other, ["L1.H2"], through)
            paths.clean()
            heard[through] = paths.heard(("L0.H0",))["k"]
        with record(model, ["L0.H0"]) as said:
            model(input_ids=other)
        place = place_of(Anatomy(model), Mediator(site="L0.H0"))
        kept, key = {}, paths._projected("k")
        with hooked(model, [replacing(place, said["L0.H0"]), *reading({"k": key}, kept)]):
            model(input_ids=tokens)
    torch.testing.assert_close(heard[True], kept["k"])  # two layers: no other head lies between
    assert not torch.allclose(heard[True], heard[False])


def test_rows_do_not_see_each_other():
    model, tokens, other = tiny("llama"), inputs("llama")["input_ids"], inputs("llama", seed=2)["input_ids"]
    read = {"attended": lambda pattern: pattern[:, -1, 0], "outcome": lambda logits: logits[:, -1, 5]}
    whole = path_patching(model, tokens, other, ["L0.H1"], "L1.H0", **read)
    single = path_patching(model, tokens[1:2], other[1:2], ["L0.H1"], "L1.H0", **read)
    for all_rows, one in zip(whole, single, strict=True):
        assert one.outcome_patched[0] == pytest.approx(all_rows.outcome_patched[1])


# The circuit as a table


def test_the_circuit_stands(model, probe):
    counted = []
    found = {
        (path.sender, path.role): path
        for path in circuit_paths(model, probe, ["L0.H0", "L0.H1", ("L0.H0", "L0.H1")], "L1.H0", advance=counted.append)
    }
    assert len(found) == 9
    assert counted == [1, 1, 1]
    for sender in ("L0.H0", "L0.H0+L0.H1"):
        assert found[sender, "k"].prefix_matching.low > 0.9
        assert found[sender, "k"].copying.low > 4
        assert found[sender, "k"].copying.n == 6
    others = [path for name, path in found.items() if name not in {("L0.H0", "k"), ("L0.H0+L0.H1", "k")}]
    assert all(path.copying.estimate == path.prefix_matching.estimate == 0 for path in others)
    assert found["L0.H0", "k"].as_dict()["role"] == "k"


def test_a_head_at_offset_two_is_fed_through_keys_and_values():
    """L0.H1 stores the token two back, where L1.H0 matches; L0.H0 stores the previous token, which L1.H0 copies (P10)."""
    probe = repeat_probe(range(1, 25), period=20, rows=6, seed=0, bos=0)
    paths = circuit_paths(two_back_transformer(), probe, ["L0.H0", "L0.H1"], "L1.H0", offset=2)
    found = {(path.sender, path.role): path for path in paths}
    assert found["L0.H1", "k"].prefix_matching.low > 0.8
    assert found["L0.H1", "k"].copying.low > 3
    assert found["L0.H0", "v"].prefix_matching.estimate == 0
    assert found["L0.H0", "v"].copying.low > 3
    for nothing in (("L0.H0", "k"), ("L0.H0", "q"), ("L0.H1", "q"), ("L0.H1", "v")):
        assert abs(found[nothing].copying.estimate) < 1e-9
    blind = circuit_paths(two_back_transformer(), probe, ["L0.H1"], "L1.H0", roles=["k"])
    assert abs(blind[0].prefix_matching.estimate) < 0.1  # offset 1 sees nothing of it
    with pytest.raises(ConfigError, match="period of 20"):
        circuit_paths(two_back_transformer(), probe, ["L0.H0"], "L1.H0", offset=20)


def test_the_model_is_left_as_it_was(model, probe):
    before = model(probe.tokens).logits
    run(model, probe, ["L0.H0"])
    assert torch.equal(model(probe.tokens).logits, before)
    assert not model.training


def test_paths_that_do_not_exist(model, probe):
    with pytest.raises(ConfigError, match="lower layer"):
        run(model, probe, ["L1.H1"])
    with pytest.raises(ConfigError, match="cannot be a sender"):
        run(model, probe, ["L0.neurons"])
    with pytest.raises(ConfigError, match="needs a sender"):
        run(model, probe, [])
    with pytest.raises(ConfigError, match="needs a sender"):
        run(model, probe, [()])
    with pytest.raises(ComponentNotFound):
        run(model, probe, ["L0.H0"], receiver="L1.mlp")
    with pytest.raises(ComponentNotFound):
        run(model, probe, ["L0.H7"])
    tokens = inputs("bert")["input_ids"]
    read = {"attended": lambda pattern: pattern.sum((1, 2)), "outcome": lambda logits: logits.sum((1, 2))}
    with pytest.raises(ModelError, match="causal"):
        path_patching(tiny("bert"), tokens, tokens, ["L0.H0"], "L1.H0", **read)
    with pytest.raises(ConfigError, match="same rows"):
        path_patching(tiny("gpt2"), tokens, tokens[:, :4], ["L0.H0"], "L1.H0", **read)
