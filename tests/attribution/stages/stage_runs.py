"""A tiny pipeline in double precision: SFT on the rows that are asked about, DPO, and SFT of adapters."""

import json

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from imprint.attribution.stages.pipeline import order_of
from imprint.capabilities.pair_margins import ItemMargins, PairMargins
from imprint.corpus import Stream, byte_tokenizer
from imprint.corpus.chat import ChatRows, RenderedChats, RenderedPreferences
from imprint.models.finetuning import (
    LoraRecipe,
    PreferenceRecipe,
    PreferenceTuning,
    SupervisedRecipe,
    SupervisedTuning,
)
from imprint.runs import Context, Step

ROWS = 10
SFT = SupervisedRecipe(learning_rate=0.01, warmup_steps=3, batch=5, steps=6, weight_decay=0.01)
DPO = PreferenceRecipe(learning_rate=0.01, warmup_steps=2, batch=3, steps=4, beta=0.5)
LAST = SupervisedRecipe(learning_rate=0.02, warmup_steps=2, batch=3, steps=4)
LORA = LoraRecipe(rank=2, alpha=4.0, targets=("c_attn", "c_fc"))
ANSWERS = ("yes", "no", "aye", "nay", "yep")


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def save_base(folder):
    """One layer, d = 16, far from zero, so that every part matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_inner": 16, "n_positions": 32, "vocab_size": 256}
        model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def pairs(folder, name, count, shift=0):
    rows = [
        {
            "id": f"{name}{n}",
            "prompt": f"{n % 4}?",
            "chosen": ANSWERS[(n + shift) % 5],
            "rejected": ANSWERS[(n + 2) % 5],
        }
        for n in range(count)
    ]
    return RenderedPreferences(paths=(write(folder / f"{name}.jsonl", rows),), context=24)


def chats(folder, name, count, shift=0):
    rows = [{"id": f"{name}{n}", "prompt": f"{n % 4}?", "response": ANSWERS[(n * n + shift) % 5]} for n in range(count)]
    return RenderedChats(paths=(write(folder / f"{name}.jsonl", rows),), context=24)


def pipeline(folder, **last):
    """(final stage, pairs of the outcome); the rows that are asked about are `mid0` to `mid9`, two stages back."""
    first = SupervisedTuning(
        start=save_base(folder / "base"), rows=chats(folder, "mid", ROWS), tuning=SFT, seed=1, checkpoint_every=3
    )
    second = PreferenceTuning(start=first, rows=pairs(folder, "dpo", 5), tuning=DPO, seed=2, checkpoint_every=2)
    third = SupervisedTuning(
        start=second, rows=chats(folder, "end", 6, shift=2), **{"tuning": LAST, "seed": 3, "lora": LORA} | last
    )
    return third, pairs(folder, "outcome", 6, shift=1)


class Weighed(Step):
    """An order in which one row has another weight."""

    order: Step
    row: int
    weight: float

    def execute(self, folder, context: Context) -> None:
        stream = Stream.load(context.get(self.order))
        weights = np.where(stream.rows == self.row, np.float32(self.weight), stream.weights)
        Stream(rows=stream.rows, weights=weights).save(folder)


def weighed(stage, row, weight):
    return Weighed(order=order_of(stage), row=row, weight=weight)


def value(store, final, outcome):
    """The mean margin of the pipeline's last model."""
    return float(ItemMargins.load(store.get(PairMargins(model=final, pairs=outcome))).margins.mean())


class Muted(Step):
    """The same rows, one of which teaches nothing."""

    rows: Step
    row: int

    def execute(self, folder, context: Context) -> None:
        rows = ChatRows.load(context.get(self.rows))
        rows.label_mask[self.row] = False
        rows.save(folder)
