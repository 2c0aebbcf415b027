"""Tiny double-precision training runs, the query that follows them, and what retraining says about them."""

import torch
from attribution_models import CONTEXT, VOCABULARY, ragged_rows
from transformers import GPT2Config, GPT2LMHeadModel

from imprint.attribution.engine.queries import Query
from imprint.attribution.unrolled import (
    AdamW,
    NextToken,
    Preference,
    Sgd,
    Stage,
    Training,
    language_model_training,
    low_rank,
    parameters_of,
    row_log_likelihood,
    warm_up,
)

ROWS, DRAWN, STEPS, BATCH = 8, 7, 7, 4
"""Example 7 of 8 is never drawn."""
SMOOTH = AdamW(learning_rate=3e-3, eps_root=1e-8, schedule=warm_up(3))
HEAVY = Sgd(learning_rate=0.05, momentum=0.9, weight_decay=0.1, clip_norm=1.0)


def tiny_gpt2(width=8, seed=0, **config):
    """Fresh weights; dropout is on in its config, and must have no effect."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = {"vocab_size": VOCABULARY, "n_positions": CONTEXT, "n_layer": 2, "n_embd": width, "n_head": 2}
        return GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=0, eos_token_id=0, **config)).double()


def rows_of(seed=1, count=ROWS):
    """Ragged rows of at least 3 predicted tokens."""
    tokens, lengths = ragged_rows(count, seed=seed)
    return tokens, lengths.clamp(min=3)


def batches_of(seed=2, steps=STEPS, drawn=DRAWN):
    """Batches that leave the examples from `drawn` on out, and repeat others within a batch."""
    return torch.randint(0, drawn, (steps, BATCH), generator=torch.Generator().manual_seed(seed))


def likelihood(seed=3):
    """The log-likelihood of unseen rows."""
    tokens, lengths = rows_of(seed)
    return Query(name="likelihood", measure=lambda model: row_log_likelihood(model, tokens, lengths).sum())


def one_stage(optimiser=SMOOTH, **options):
    """A language-model run of one stage."""
    return language_model_training(tiny_gpt2(**options), *rows_of(), batches_of(), optimiser)


def two_stages(first=SMOOTH, second=HEAVY):
    """Pre-training and then SFT with another optimiser."""
    model = tiny_gpt2()
    tokens, lengths = rows_of(seed=4)
    answers = NextToken(tokens=tokens, lengths=lengths, prompts=torch.full((ROWS,), 2))
    stages = (
        Stage(name="pretrain", objective=NextToken(**pair(rows_of())), batches=batches_of(), optimiser=first),
        Stage(name="sft", objective=answers, batches=batches_of(seed=5), optimiser=second),
    )
    return Training(model=model, initial=parameters_of(model), stages=stages)


def four_stages():
    """Pre-train, SFT, DPO, LoRA."""
    base = two_stages()
    chosen, rejected = rows_of(seed=6, count=4), rows_of(seed=7, count=4)
    preference = Preference(
        chosen=NextToken(**pair(chosen), prompts=torch.ones(4, dtype=torch.int64)),
        rejected=NextToken(**pair(rejected)),
        beta=0.3,
    )
    stages = (
        *base.stages,
        Stage(
            name="dpo",
            objective=preference,
            batches=batches_of(seed=8, steps=4, drawn=3),
            optimiser=Sgd(learning_rate=0.1, momentum=0.5),
        ),
        Stage(
            name="lora",
            objective=NextToken(**pair(rows_of(seed=9))),
            batches=batches_of(seed=10, steps=5),
            optimiser=SMOOTH,
            trained=low_rank(base.model, ["c_attn", "c_proj"], rank=2, alpha=4.0, seed=1),
        ),
    )
    return Training(model=base.model, initial=base.initial, stages=stages)


def pair(rows):
    """Keyword arguments of an objective."""
    return {"tokens": rows[0], "lengths": rows[1]}


def differences(training, query, stage, rows, step=1e-4):
    """Central finite differences of retraining with each of these examples' weights perturbed."""

    def value(row, change):
        weights = [torch.ones(recipe.rows, dtype=torch.float64) for recipe in training.stages]
        weights[stage][row] += change
        return float(training.values(training.run(weights), [query])[0])

    return torch.tensor([(value(row, step) - value(row, -step)) / (2 * step) for row in rows], dtype=torch.float64)
