"""Which of two answers a model prefers, item by item: the margin between their log-probabilities."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from pydantic import Field

from imprint.corpus.chat import PreferenceRows
from imprint.errors import CorpusError
from imprint.models import load_model
from imprint.models.finetuning import Supervised, check_rows, margins, start_folder
from imprint.runs import Context, Step, read_json, write_json, writing

_MARGINS, _ITEMS = "margins.npy", "items.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemMargins:
    """log p(chosen) - log p(rejected) of every item, in nats. Positive: the model prefers the chosen answer."""

    ids: tuple[str, ...]
    margins: Float64[np.ndarray, "item"]

    def save(self, folder: Path) -> None:
        """Write `margins.npy` and `items.json` into `folder` (made if absent)."""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / _MARGINS, self.margins, allow_pickle=False)
            write_json(folder / _ITEMS, list(self.ids))

    @classmethod
    def load(cls, folder: Path) -> "ItemMargins":
        """Read back what `save` wrote.

        Raises:
            CorpusError: a file is missing or damaged.
        """
        try:
            return cls(ids=tuple(read_json(folder / _ITEMS)), margins=np.load(folder / _MARGINS, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise CorpusError(f"{folder} does not hold complete item margins ({error}); measure them again.") from error


class PairMargins(Step):
    """The margins of one checkpoint on evaluation pairs (see `ItemMargins`).

    Trust: answers are summed over their tokens, so where the two differ in length the longer one starts behind: compare
    checkpoints, not items, or write answers of equal length.
    """

    model: Step
    """Any step that leaves a saved model: a training run or stage (its last checkpoint), an import."""
    pairs: Step
    """`RenderedPreferences` of the model's own tokenizer."""
    batch: int = Field(default=32, ge=1)

    def execute(self, folder: Path, context: Context) -> None:
        """Load the model once, score every pair, save."""
        torch.set_num_threads(1)
        pairs = PreferenceRows.load(context.get(self.pairs))
        model = load_model(start_folder(context.get(self.model), None))
        check_rows(model, pairs.chosen.tokens)
        chosen, rejected = Supervised.of(pairs.chosen), Supervised.of(pairs.rejected)
        with torch.no_grad():
            found = [
                margins(model, chosen, rejected, rows) for rows in torch.split(torch.arange(len(pairs)), self.batch)
            ]
        context.advance(1)
        ItemMargins(ids=pairs.ids, margins=torch.cat(found).double().numpy()).save(folder)
