"""What a change of the training text must not harm, at one checkpoint: perplexity of foreign text, and recall."""

from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from imprint.capabilities import icl
from imprint.capabilities.recall import fact_questions, passage_questions, recall
from imprint.corpus import Packed
from imprint.models import Train, load_tokenizer, open_checkpoint
from imprint.models.training import checkpoint_name
from imprint.runs import Context, Step, write_json

DOWNSTREAM_FILE = "downstream.json"
PERPLEXITY = "downstream.perplexity"
RECALL = "downstream.recall"


class Downstream(Step):
    """`downstream.json`: perplexity a token of foreign text, and the share of right answers about the training text."""

    run: Train
    step: int
    text: Step | None = None
    """The packed foreign text."""
    rows: int = Field(default=2_000, ge=1)
    """Most rows of the foreign text that are scored, the same ones for every model."""
    passages: Step
    """The packed training text."""
    without_domains: tuple[str, ...] = ()
    facts: Path | None = None
    """Questions of the user in place of those about the training text."""
    questions: int = Field(default=600, ge=1)
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Measure and save."""
        torch.set_num_threads(1)
        trained = context.get(self.run)
        model = open_checkpoint(trained, self.step)
        packed = Packed.load(context.get(self.passages))
        if self.facts is None:
            asked = passage_questions(
                packed, questions=self.questions, seed=self.seed, without_domains=self.without_domains
            )
        else:
            tokenizer = load_tokenizer(trained / checkpoint_name(self.step))
            asked = fact_questions(self.facts, tokenizer, context=packed.context)
        found = {RECALL: float(recall(model, asked).mean())}
        if self.text is not None:
            foreign = Packed.load(context.get(self.text))
            rows = np.random.default_rng(self.seed).permutation(len(foreign))[: self.rows]
            tokens = torch.from_numpy(foreign.tokens[rows])
            losses, mask = icl.row_losses(model, tokens, torch.from_numpy(foreign.lengths[rows].astype(np.int64)))
            found[PERPLEXITY] = float(((losses * mask).sum() / mask.sum()).exp())
        write_json(folder / DOWNSTREAM_FILE, {**found, "questions": len(asked.starts), "chance": asked.chance})
        context.advance(1)
