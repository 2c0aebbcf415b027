"""AT-RP-7: a hand-built model in which the logits of ability a read the dimensions R_a and nothing else."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from imprint.interventions.activations import Intervention, Mean, Subspace, Zero, random_dims, sweep

ABILITIES, CODE, WIDTH, ITEMS = 4, 4, 64, 40
READ = torch.arange(ABILITIES * CODE).view(ABILITIES, CODE) * 3
"""R_a: the dimensions that ability a reads, scattered over the residual stream."""


@pytest.fixture(scope="module")
def world():
    """Token t says, in R_a, which of four answers ability a must give; blocks add nothing to the residual stream."""
    config = LlamaConfig(
        vocab_size=ITEMS + ABILITIES * CODE, hidden_size=WIDTH, intermediate_size=8, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, tie_word_embeddings=False, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(0)
    answers = torch.randint(0, CODE, (ITEMS, ABILITIES), generator=generator)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        embedding = torch.randn(config.vocab_size, WIDTH, generator=generator)
        embedding[:, READ.flatten()] = 0
        unembedding = torch.zeros(config.vocab_size, WIDTH)
        for ability in range(ABILITIES):
            embedding[torch.arange(ITEMS), READ[ability][answers[:, ability]]] = 1
            for answer in range(CODE):
                unembedding[ITEMS + ability * CODE + answer, READ[ability][answer]] = 1
        model.model.embed_tokens.weight.copy_(embedding)
        model.lm_head.weight.copy_(unembedding)
    return model, answers


def accuracies(world, variants):
    """By variant, the share of items of each ability whose right answer has strictly the highest logit."""
    model, answers = world
    batch = {"input_ids": torch.arange(ITEMS)[:, None]}
    scores = {}
    for name, logits in sweep(model, batch, variants).items():
        options = logits[:, ITEMS:].view(ITEMS, ABILITIES, CODE)
        right = options.gather(2, answers[..., None])
        wrong = options.masked_fill(torch.nn.functional.one_hot(answers, CODE).bool(), -torch.inf).amax(2)
        scores[name] = (right[..., 0] > wrong + 1e-6).double().mean(0)
    return scores


def ablation(ability, edit=Zero):
    within = Subspace.of_dims(READ[ability], WIDTH)
    return Intervention(site="L0.resid_post", edit=edit(within=within))


def test_the_influence_matrix_is_the_identity(world):
    variants = {"plain": []} | {str(ability): [ablation(ability)] for ability in range(ABILITIES)}
    scores = accuracies(world, variants)
    assert torch.equal(scores["plain"], torch.ones(ABILITIES, dtype=torch.float64))
    impact = torch.stack([(scores["plain"] - scores[str(ability)]) / scores["plain"] for ability in range(ABILITIES)])
    assert torch.equal(impact, torch.eye(ABILITIES, dtype=torch.float64))


def test_a_mean_of_the_dimensions_does_it_too(world):
    mean = world[0].model.embed_tokens.weight.detach()[:ITEMS].mean(0)
    variants = {"plain": [], "0": [ablation(0, lambda within: Mean(value=mean, within=within))]}
    scores = accuracies(world, variants)
    assert scores["0"][0] < 0.5
    assert torch.equal(scores["0"][1:], torch.ones(3, dtype=torch.float64))


def test_random_dimensions_do_not(world):
    """Other dimensions never touch ability 0; what they do to the others is what 4 dimensions in 60 do by chance."""
    variants = {str(seed): [random_dims(ablation(0), seed=seed).intervention] for seed in range(40)}
    scores = torch.stack(list(accuracies(world, variants).values()))
    assert bool((scores[:, 0] == 1).all())
    assert float(1 - scores[:, 1:].mean()) < 0.15
