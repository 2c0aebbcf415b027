import random

import pytest
import torch
from tiny_families import BUILDERS, CAUSAL, tiny

from imprint.capabilities import Request, Scorer
from imprint.capabilities.rows import rows_of
from imprint.errors import ConfigError, InputError, InterventionNeverFired, ModelError
from imprint.interventions.activations import Intervention, Mean, Noise, Zero

MASK = 3
SITE = "L0.resid_post"


def requests(count=20, seed=0, longest=7):
    rng = random.Random(seed)

    def ids(n):
        return tuple(rng.randrange(4, 30) for _ in range(n))

    return [Request(context=ids(rng.randint(1, longest)), continuation=ids(rng.randint(1, 4))) for _ in range(count)]


def by_hand(model, request, name):
    """One forward pass a request (BERT: a token), nothing shared, nothing padded."""
    context, answer = torch.tensor([request.context]), torch.tensor(request.continuation)
    whole = torch.cat([context[0], answer])[None]
    with torch.no_grad():
        if name == "t5":
            start = torch.tensor([[0, *request.continuation[:-1]]])
            found = model(input_ids=context, decoder_input_ids=start).logits[0]
        elif name == "bert":
            masked = whole.repeat(len(answer), 1)
            places = torch.arange(context.shape[1], whole.shape[1])
            masked[torch.arange(len(answer)), places] = MASK
            found = model(input_ids=masked).logits[torch.arange(len(answer)), places]
        else:
            found = model(input_ids=whole).logits[0, context.shape[1] - 1 : -1]
    log_probs = found.log_softmax(-1).gather(1, answer[:, None]).sum()
    return log_probs.item(), bool((found.argmax(-1) == answer).all())


def scorer(model, asked, **how):
    return Scorer(model, asked, mask_token=MASK, **how)


def log_probs(scores):
    return [score.log_prob for score in scores]


@pytest.mark.parametrize("name", BUILDERS)
def test_every_family_equals_one_pass_a_request(name):
    model, asked = tiny(name), requests()
    found = scorer(model, asked, batch_tokens=40).score()
    expected = [by_hand(model, request, name) for request in asked]
    exact = 1e-6 if name == "gptj" else 1e-9  # GPT-J rounds its own logits to float32
    assert log_probs(found) == pytest.approx([log_prob for log_prob, _ in expected], abs=exact)
    assert [score.greedy for score in found] == [greedy for _, greedy in expected]
    assert [score.num_tokens for score in found] == [len(request.continuation) for request in asked]


@pytest.mark.parametrize("name", BUILDERS)
def test_resuming_at_a_block_changes_no_score(name):
    model, asked = tiny(name), requests(8)
    ablation = Intervention(site="decoder.L0.resid_post" if name == "t5" else SITE, edit=Zero(), dose=0.7)
    layer = 3 if name == "t5" else 1  # T5's two encoder blocks count first
    plain, resumed = scorer(model, asked), scorer(model, asked, layer=layer)
    assert log_probs(resumed.score()) == pytest.approx(log_probs(plain.score()), abs=1e-9)
    edited = log_probs(plain.score([ablation]))
    assert log_probs(resumed.score([ablation])) == pytest.approx(edited, abs=1e-9)
    assert edited != pytest.approx(log_probs(plain.score()), abs=1e-3)
    assert log_probs(plain.score()) == log_probs(scorer(model, asked).score())


def test_greedy_is_true_where_the_answer_is_what_the_model_says():
    model = tiny("llama")
    context = (5, 9, 12)
    with torch.no_grad():
        said = model(torch.tensor([context])).logits[0, -1].argmax().item()
    right, wrong = scorer(
        model, [Request(context=context, continuation=(token,)) for token in (said, said + 1)]
    ).score()
    assert (right.greedy, wrong.greedy) == (True, False)


def test_options_of_one_token_share_a_row():
    asked = [Request(context=(5, 6), continuation=(token,)) for token in (7, 8, 9)]
    assert len(rows_of(asked, "causal")) == 1
    assert len(rows_of([*asked, Request(context=(5,), continuation=(6, 7))], "causal")) == 1
    assert len(rows_of(asked, "masked", mask_token=MASK)) == 1
    assert len(rows_of([*asked, Request(context=(5, 6), continuation=(7, 8))], "causal")) == 2
    model = tiny("gpt2")
    together = scorer(model, asked)
    assert together.num_tokens == 2
    assert log_probs(together.score()) == [scorer(model, [request]).score()[0].log_prob for request in asked]


def test_batches_and_order_of_requests_do_not_matter():
    model, asked = tiny("gpt_neox"), requests(30)
    base = log_probs(scorer(model, asked).score())
    assert log_probs(scorer(model, asked, batch_tokens=1).score()) == pytest.approx(base, abs=1e-9)
    backwards = scorer(model, asked[::-1], batch_tokens=33).score()
    assert log_probs(backwards)[::-1] == pytest.approx(base, abs=1e-9)


def test_an_intervention_that_does_nothing_leaves_every_bit():
    model, asked = tiny("llama"), requests()
    nothing = Intervention(site="L1.resid_post", edit=Zero(), dose=0.0)
    for layer in (0, 1):
        mine = scorer(model, asked, layer=layer)
        assert mine.score([nothing]) == mine.score()


def test_a_token_mask_means_the_same_tokens_in_any_batching():
    model, asked = tiny("llama"), requests(30)
    found = []
    for tokens in (1000, 12):
        mine = scorer(model, asked, batch_tokens=tokens, layer=1)
        mask = mine.token_mask(lambda view: view.input_ids % 2 == 0)
        assert mask.sum() == sum(int(((view.input_ids % 2 == 0) & view.mask).sum()) for view in mine.views())
        found.append(log_probs(mine.score([Intervention(site=SITE, edit=Zero(), tokens=mask)])))
    assert found[0] == pytest.approx(found[1], abs=1e-9)
    assert found[0] != pytest.approx(log_probs(scorer(model, asked).score()), abs=1e-3)


def test_masks_may_depend_on_the_states_of_a_batch():
    model, asked = tiny("llama"), requests()
    mine = scorer(model, asked, layer=1, batch_tokens=40)

    def loud(view):
        return view.states.norm(dim=-1) > 10.0

    once = mine.token_mask(loud)
    assert 0 < once.sum() < sum(view.mask.sum() for view in mine.views())
    whole = mine.score([Intervention(site=SITE, edit=Zero(), tokens=once)])

    def each(view):
        chosen = loud(view) & view.mask
        return [Intervention(site=SITE, edit=Zero(), tokens=chosen)] if chosen.any() else []

    assert log_probs(mine.score(each)) == pytest.approx(log_probs(whole), abs=1e-12)


def test_noise_belongs_to_tokens_not_to_batches():
    model, asked = tiny("llama"), requests(30)
    noise = [Intervention(site=SITE, edit=Noise(seed=3, rms=1.0), dose=1.0)]
    mine = scorer(model, asked, batch_tokens=12)
    assert mine.score(noise) == mine.score(noise)
    other = scorer(model, asked, batch_tokens=1000)
    assert log_probs(other.score(noise)) == pytest.approx(log_probs(mine.score(noise)), abs=1e-9)


def test_a_mean_ablation_of_all_dimensions_before_the_last_block_forgets_the_context():
    model = tiny("gpt2")
    asked = [Request(context=(token, 9, 8), continuation=(5,)) for token in (4, 11)]
    before = scorer(model, asked).score()
    assert before[0].log_prob != pytest.approx(before[1].log_prob, abs=1e-6)
    everything = Intervention(site="L1.resid_post", edit=Mean(value=torch.ones(24).double()))
    after = scorer(model, asked).score([everything])
    assert after[0].log_prob == pytest.approx(after[1].log_prob, abs=1e-12)


def test_scores_leave_the_model_as_it_was():
    model = tiny("llama").train()
    mine = scorer(model, requests(4), layer=1)
    mine.score([Intervention(site=SITE, edit=Zero())])
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_is_refused():
    model = tiny("llama")
    with pytest.raises(InputError, match="no requests"):
        scorer(model, [])
    with pytest.raises(ConfigError, match="build it with layer=0"):
        scorer(model, requests(2), layer=1).score([Intervention(site="L0.mlp", edit=Zero())])
    with pytest.raises(ModelError, match="mask_token_id"):
        Scorer(tiny("bert"), requests(2))
    with pytest.raises(InterventionNeverFired):
        scorer(model, requests(2)).score([Intervention(site=SITE, edit=Zero(), phase="decode")])


@pytest.mark.parametrize("name", [name for name in CAUSAL if name.startswith(("llama", "gpt2"))])
def test_only_what_is_read_is_unembedded(name, monkeypatch):
    model, asked = tiny(name), requests(6)
    seen = []
    model.get_output_embeddings().register_forward_hook(lambda _, args, __: seen.append(args[0].shape[0]))
    scorer(model, asked).score()
    assert sum(seen) == sum(len(request.continuation) for request in asked)
